"""The step outside: make the identity at a remote provider, settle whatever it says, then commit 2."""

from __future__ import annotations

from enum import Enum

import msgspec

from semel.errors import (
    FieldError,
    IdentityAlreadyExists,
    IdentityOutcome,
    OutcomeUnknown,
    ProviderRefused,
    SemelError,
)
from semel.model import Account, Identity, Name, Registration, Secret
from semel.ports import (
    Absent,
    Delete,
    Done,
    Exists,
    Found,
    Insert,
    NewIdentity,
    Rejected,
    RemoteProvider,
    Replace,
    Unknown,
)
from semel.protocol import commits
from semel.protocol.commits import Ask, Held
from semel.protocol.ending import FINAL, complete, fail
from semel.protocol.engine import Engine, Registered
from semel.states import IdentityState

__all__ = ["Outside"]

_TRIES = 3


class _LeaseLostError(Exception):
    """Somebody else has the registration by now: look again."""


class _Whose(Enum):
    """What "already exists" came to."""

    OURS = "ours"
    SOMEBODYS = "somebody's"
    OPEN = "open"
    """It has just gone, or come: the same create again says which."""


class Outside:
    """One worker's way from commit 1 to commit 2. ``held`` is kept as last written, so that nothing is read again."""

    def __init__(self, engine: Engine, remote: RemoteProvider, ask: Ask, held: Held, password: Secret | None) -> None:
        self._engine = engine
        self._remote = remote
        self._ask = ask
        self._password = password
        self._resumed = False
        self.held = held

    async def run(self, *, resumed: bool = False) -> Registered | None:
        """Return the success; ``None``: look again. A refusal for good fails the registration and is raised.

        ``resumed``: a create was sent before, or may have been.
        """
        self._resumed = resumed
        try:
            return await self._make()
        except _LeaseLostError:
            return None

    async def _make(self) -> Registered | None:
        for _ in range(_TRIES):
            await self._lease_for_a_call()
            match await self._remote.create(self._identity()):
                case Done() as done:
                    return await self._complete(done.provider_id, ours=True)
                case Rejected() as no:
                    fields = (FieldError(no.field, "provider_refused", no.message),) if no.field else ()
                    await self._fail(ProviderRefused(no.message, fields, identity=self._before))
                    return None
                case Unknown() as unknown:
                    raise await self._unknown(unknown)
                case Exists():
                    pass
            whose, provider_id = await self._whose()
            if whose is _Whose.OURS:
                return await self._complete(provider_id, ours=False)
            if whose is _Whose.SOMEBODYS:
                await self._fail(IdentityAlreadyExists(errors=(_EMAIL_TAKEN,), identity=self._before))
                return None
        raise await self._unknown(Unknown("the provider contradicts itself"))

    @property
    def _before(self) -> IdentityOutcome | None:
        """What is to be said of the identity where this attempt made none: an earlier one may have."""
        return IdentityOutcome.REMOVAL_DUE if self._resumed else None

    def _identity(self) -> NewIdentity:
        ask, account_id = self._ask, self.held.registration.account_id
        username = next((name.value for name in ask.names if name.kind == "username"), None)
        return NewIdentity(account_id, ask.email, self._password, ask.proved, ask.profile.full_name, username)

    async def _lease_for_a_call(self) -> None:
        """No request to the provider starts unless the lease outlasts its time-out. Raises ``_LeaseLostError``."""
        engine, registration = self._engine, self.held.registration
        needed = engine.later(self._remote.timeout)
        if registration.lease_until is None or registration.owner is None:
            raise _LeaseLostError
        if registration.lease_until < needed:
            now, lease = engine.clock.now(), engine.options.lease
            if not await self._replace(commits.leased(registration, registration.owner, now, lease, engine.options)):
                raise _LeaseLostError

    async def _replace(self, registration: Registration) -> bool:
        put = await self._engine.put([Replace(registration)])
        if put.done:
            self.held = msgspec.structs.replace(self.held, registration=registration.but(version=put.token))
        return put.done

    async def _complete(self, provider_id: str | None, *, ours: bool) -> Registered | None:
        """Commit 2.

        It is a success only if our own create was answered *done*; else the password is verified on a new look.
        """
        try:
            registered = await complete(self._engine, self.held, provider_id)
        except FINAL as refused:
            await self._fail(refused, provider_id or self.held.registration.account_id)
            return None
        return registered if ours else None

    async def _fail(self, error: SemelError, made: str | None = None) -> None:
        """Fail the registration, then say why; a look again where it is not known to have failed.

        ``made`` is the provider's id of an identity that is there: it is removed at once, where that can be done.
        """
        if await fail(self._engine, self.held, error.code):
            if made is not None:
                error.identity = await self._rolled_back(made)
            raise error

    async def _rolled_back(self, provider_id: str) -> IdentityOutcome:
        """Delete it. The failing commit has just said so, for a whole horizon, and upkeep looks again in any case."""
        removed = isinstance(await self._remote.delete(provider_id), Done)
        return IdentityOutcome.REMOVED if removed else IdentityOutcome.REMOVAL_DUE

    async def _unknown(self, answer: Unknown) -> OutcomeUnknown:
        """Leave it pending for the same key's retry, or upkeep, and let neither wait for the whole lease."""
        pause = 2 * self._remote.timeout
        registration = self.held.registration
        over = self._engine.later(pause)
        if registration.lease_until is not None and registration.lease_until > over:
            await self._replace(commits.left_alone(registration, self._engine.clock.now(), pause))
        return OutcomeUnknown(retry_after=answer.retry_after or pause)

    async def _whose(self) -> tuple[_Whose, str | None]:
        """Settle "already exists" by identity, never by its text."""
        await self._lease_for_a_call()
        mine = await self._remote.find(self.held.registration.account_id)
        if isinstance(mine, Unknown):
            raise await self._unknown(mine)
        if isinstance(mine, Found):
            return _Whose.OURS, mine.provider_id
        if self._ask.email is None:
            return _Whose.OPEN, None
        await self._lease_for_a_call()
        other = await self._remote.find_by_email(self._ask.email)
        if isinstance(other, Unknown):
            raise await self._unknown(other)
        if isinstance(other, Absent) or other.identity_id == self.held.registration.account_id:
            return _Whose.OPEN, None
        return await self._whose_other(other)

    async def _whose_other(self, other: Found) -> tuple[_Whose, str | None]:
        record = await self._engine.store.get(Identity, (other.identity_id,))
        if record is None:
            return await self._condemn(other) if self._planted(other) else _Whose.SOMEBODYS, None
        if record.state is IdentityState.CONDEMNED:
            return await self._remove(record, other), None
        if record.wanted_email not in {None, self._ask.email}:
            return _Whose.OPEN, None  # one of ours that has given this email up: its wish is on the way
        if record.state is IdentityState.OWNED and await self._engine.store.get(Account, (record.id,)) is not None:
            # Whether or not that account has this email as well: at the provider somebody gave it to its identity.
            return _Whose.SOMEBODYS, None
        return _Whose.OPEN, None

    def _planted(self, other: Found) -> bool:
        """Whether an identity that is none of ours must not keep this caller from the email: asked before each delete.

        The caller has proved the email that it bears, nobody has confirmed it there, and for so long nobody will have
        been about to.
        """
        after, proved = self._engine.options.planted_after, self._ask.names[0] if self._ask.proved else None
        if not after or proved != Name("email", other.email or "") or other.confirmed or other.disabled:
            return False
        return other.created_at is not None and other.created_at <= self._engine.later(-after)

    async def _condemn(self, other: Found) -> _Whose:
        """Remove what somebody planted. Its record is inserted first, so that from here on nobody adopts it."""
        engine = self._engine
        planted = commits.planted(other, self.held.registration.id, engine.clock.now(), engine.options)
        put = await engine.put([Insert(planted)])
        if not put.done:
            return _Whose.OPEN
        spared = await self._spared(other)
        if spared is None:
            return await self._delete(other)
        # Taken back: with the record as we wrote it, nobody else has announced a delete, and we have sent none.
        await engine.put([Delete(planted.but(version=put.token))])
        return spared

    async def _remove(self, record: Identity, other: Found) -> _Whose:
        """Delete a condemned identity that is in the way. First its record says so, as before each delete of upkeep.

        What somebody had planted goes only for who may have it condemned now, whoever did so before: by now it may bear
        another email. For all others its record is kept no longer.
        """
        engine, is_planted = self._engine, commits.is_planted(record)
        if is_planted and not self._planted(other):
            return _Whose.SOMEBODYS
        watched = commits.watched_on(record, engine.clock.now(), engine.options)
        if not (await engine.put([Replace(watched)])).done:
            return _Whose.OPEN
        spared = await self._spared(other) if is_planted else None
        return await self._delete(other) if spared is None else spared

    async def _spared(self, other: Found) -> _Whose | None:
        """Look again at what somebody planted, now that it is condemned; ``None`` if it is as it was.

        Else what it is by now: somebody's, or no longer in the way.
        """
        await self._lease_for_a_call()
        again = await self._remote.find_by_email(other.email or "")
        if isinstance(again, Unknown):
            raise await self._unknown(again)
        if isinstance(again, Absent) or again.provider_id != other.provider_id:
            return _Whose.OPEN
        return None if self._planted(again) else _Whose.SOMEBODYS

    async def _delete(self, other: Found) -> _Whose:
        await self._lease_for_a_call()
        removed = await self._remote.delete(other.provider_id)
        if isinstance(removed, Unknown):
            raise await self._unknown(removed)
        return _Whose.OPEN


_EMAIL_TAKEN = FieldError("email", "identity_already_exists", "Email is already registered with the identity provider")
