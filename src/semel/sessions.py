"""Sign-in and sessions of the embedded provider; those of a remote provider are its own.

One record a sign-in, the *family*: it lists the hashes of the refresh tokens that are live, and the account lists the
family. So an account's end, a raised epoch or a sign-out ends every token at once, without an index.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec

from semel import canonical
from semel.errors import (
    AccountInactive,
    ConfigurationInvalid,
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
    OutcomeUnknown,
    StoreUnavailable,
)
from semel.keys import Keys, Purpose
from semel.model import Account, Identifier, Identity, Name, Secret, SessionFamily
from semel.ports import Delete, EmbeddedProvider, Insert, Ref, Replace, Tokens, Write
from semel.protocol.engine import Engine, Outcome, Put
from semel.states import Door
from semel.tokens import AccessTokens, Claims, Leaf, RefreshTokens, hash_of, leaves_of, leaves_text, rotated

__all__ = ["SessionKeeper", "SessionOptions", "without_sessions"]

_RETRY_AFTER: Final = 1.0
"""In seconds: who comes back with a spent token must do so within the reuse interval."""


_MOST_SESSIONS: Final = 50
"""An account ends with all that it owns in one commit, and DynamoDB takes a hundred writes in one."""


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long sessions live, in seconds. Raises ``ConfigurationInvalid`` where the values contradict each other."""

    access_lifetime: float = 900.0
    """How long an access token is good; ending a session does not wait for it."""
    lifetime: float = 30 * 86_400.0
    """How long a session lasts, counted from its sign-in."""
    reuse_interval: float = 10.0
    """For how long a spent refresh token buys a sibling, so that a lost answer or a second tab signs nobody out."""
    per_account: int = 20
    """How many sessions an account has at once; a further sign-in ends the oldest. All end in one commit with it."""
    issuer: str = "semel"
    audience: str = "semel"

    def __post_init__(self) -> None:
        """Check the values against each other."""
        for holds, rule in (
            (0 < self.access_lifetime <= self.lifetime, "access_lifetime must be above 0 and at most lifetime"),
            (0 <= self.reuse_interval < self.lifetime, "reuse_interval must be from 0 to lifetime"),
            (0 < self.per_account <= _MOST_SESSIONS, f"per_account must be from 1 to {_MOST_SESSIONS}"),
            (self.issuer and self.audience, "issuer and audience must not be empty"),
        ):
            if not holds:
                raise ConfigurationInvalid(rule)


def without_sessions(account: Account, family_ids: Collection[str]) -> Account:
    """Return the account without these session families in its list."""
    return account.but(sessions=tuple(one for one in account.sessions if one not in family_ids))


class _Person(NamedTuple):
    """An account and the identity it signs in with, each at the version read."""

    account: Account
    identity: Identity


class SessionKeeper:
    """Signs people in and keeps their sessions, by conditional commits alone: any number of servers may do so at once.

    Raises ``ConfigurationInvalid`` where identities are at a remote provider.
    """

    def __init__(self, engine: Engine, keys: Keys, options: SessionOptions) -> None:
        if engine.embedded is None:
            raise ConfigurationInvalid("sessions are kept for the embedded provider only")
        self._engine = engine
        self._provider: EmbeddedProvider = engine.embedded
        self._options = options
        self._keys = keys
        self._access = AccessTokens(keys, options.issuer, options.audience)
        self._refresh = RefreshTokens(keys.secret(Purpose.REFRESH))

    async def sign_in(self, email: str, password: Secret) -> tuple[Account, Tokens]:
        """Open a session.

        Raises ``InvalidCredentials`` for an unknown email and a wrong password alike, after the same work;
        ``AccountInactive`` only after a right password; ``Overloaded`` where the hasher's queue is full;
        ``OutcomeUnknown`` or a ``StoreError``.
        """
        with _Patience(self._engine) as patience:
            verified: _Person | None = None
            while True:
                person = await self._person(email)
                if person is None or verified is None or person.identity.credential != verified.identity.credential:
                    verified = person = await self._verified(person, password)
                if not person.account.is_active:
                    self._failed(AccountInactive.code, person)
                    raise AccountInactive
                began = await self._begin(person, password, patience)
                if began is not None:
                    return began
                await patience.pause()

    async def refresh(self, token: Secret) -> tuple[Account, Tokens]:
        """Exchange a refresh token for new tokens.

        One that was spent within the reuse interval buys a sibling. One that was spent earlier ends the whole session:
        somebody else may have it. Raises ``InvalidToken``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        with _Patience(self._engine) as patience:
            ticket = self._refresh.read(token)
            while True:
                family, account = await self._live(ticket.family_id)
                now, secret = self._engine.clock.now(), self._engine.ids.secret()
                leaves = rotated(leaves_of(family), ticket.hash, hash_of(secret), now, self._options.reuse_interval)
                writes = (
                    _ending(account, family) if leaves is None else [Replace(family.but(leaves=leaves_text(leaves)))]
                )
                if (await patience.put(writes)).done:
                    self._note("session.reused" if leaves is None else "session.refreshed", family)
                    if leaves is None:
                        raise InvalidToken
                    return account, self._tokens(family, secret, now)
                await patience.pause()

    async def sign_out(self, access_token: Secret) -> None:
        """End the session that the token is of, at once; one that has ended counts as done.

        Raises ``InvalidToken``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        with _Patience(self._engine) as patience:
            claims = await self._claims(access_token)
            while True:
                account, family = await self._engine.store.get_many(
                    [Ref(Account, (claims.sub,)), Ref(SessionFamily, (claims.sid,))]
                )
                if not isinstance(account, Account) or not isinstance(family, SessionFamily):
                    return
                if (await patience.put(_ending(account, family))).done:
                    self._note("session.ended", family)
                    return
                await patience.pause()

    async def authenticate(self, access_token: Secret) -> Account:
        """Return the account that the token speaks for. Raises ``InvalidToken`` once its session has ended."""
        claims = await self._claims(access_token)
        account = await self._engine.store.get(Account, (claims.sub,))
        if account is None or not _speaks_for(account, claims.sid, claims.epoch):
            raise self._ended()
        return account

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that access tokens are verified with, as a JSON Web Key Set (RFC 7517)."""
        return {**self._keys.signing.jwks()}

    async def _person(self, email: str) -> _Person | None:
        """Look a person up. One that is unknown, or no email at all, costs the same reads as one that is known."""
        nobody = self._engine.ids.uuid()
        try:
            name = canonical.email(email, allow_special_use=True).name
        except InvalidInput:
            name = Name("email", nobody)
        identifier = await self._engine.store.get(Identifier, name)
        key = ((identifier and identifier.account_id) or nobody,)
        account, identity = await self._engine.store.get_many([Ref(Account, key), Ref(Identity, key)])
        if isinstance(account, Account) and isinstance(identity, Identity):
            return _Person(account, identity)
        return None

    async def _verified(self, person: _Person | None, password: Secret) -> _Person:
        right = await self._provider.verify(person.identity if person else None, password)
        if person is None or not right:
            self._failed(InvalidCredentials.code, person)
            raise InvalidCredentials
        return person

    async def _begin(self, person: _Person, password: Secret, patience: _Patience) -> tuple[Account, Tokens] | None:
        """Write the session, the time of the sign-in and, where outdated, the credential. ``None``: read again."""
        engine, account, now = self._engine, person.account, self._engine.clock.now()
        secret = engine.ids.secret()
        family = self._new_family(account, secret, now)
        surplus = account.sessions[: max(0, len(account.sessions) + 1 - self._options.per_account)]
        ended = await engine.store.get_many([Ref(SessionFamily, (one,)) for one in surplus])
        kept = without_sessions(account, surplus)
        seen = kept.but(last_sign_in_at=now, sessions=(*kept.sessions, family.id))
        writes: list[Write] = [Insert(family), Replace(seen), *(Delete(one) for one in ended if one is not None)]
        if self._provider.outdated(person.identity):
            writes.append(Replace(await self._provider.enrol(person.identity, password)))
        put = await patience.put(writes)
        if not put.done:
            return None
        self._note("session.started", family)
        return seen.but(version=put.token), self._tokens(family, secret, now)

    def _new_family(self, account: Account, secret: str, now: datetime) -> SessionFamily:
        ends = now + timedelta(seconds=self._options.lifetime)
        return SessionFamily(
            id=self._engine.ids.uuid(),
            account_id=account.id,
            epoch=account.epoch,
            leaves=leaves_text([Leaf(hash_of(secret))]),
            created_at=now,
            expires_at=ends,
            due_at=ends,
        )

    async def _live(self, family_id: str) -> tuple[SessionFamily, Account]:
        """Return the family and its account. Raises ``InvalidToken`` where the session has ended in any way."""
        family = await self._engine.store.get(SessionFamily, (family_id,))
        if family is None or family.expires_at <= self._engine.clock.now():
            raise self._ended()
        account = await self._engine.store.get(Account, (family.account_id,))
        if account is None or not _speaks_for(account, family.id, family.epoch):
            raise self._ended()
        return family, account

    def _tokens(self, family: SessionFamily, secret: str, now: datetime) -> Tokens:
        seconds = min(self._options.access_lifetime, (family.expires_at - now).total_seconds())
        access = self._access.make(Claims(family.account_id, family.id, family.epoch), now, seconds)
        return Tokens(access, self._refresh.make(family.id, secret), int(seconds))

    async def _claims(self, access_token: Secret) -> Claims:
        return await self._access.read(access_token, self._engine.clock.now(), self._engine.options.skew)

    def _failed(self, reason: str, person: _Person | None) -> None:
        whose = {"account": person.account.id} if person else {}
        self._engine.events.emit("sign_in.failed", {"door": Door.SIGN_IN, "reason": reason} | whose)

    def _ended(self) -> InvalidToken:
        self._engine.events.emit("session.refused", {"reason": "ended"})
        return InvalidToken()

    def _note(self, event: str, family: SessionFamily) -> None:
        self._engine.events.emit(event, {"session": family.id, "account": family.account_id})


def _speaks_for(account: Account, session: str, epoch: int) -> bool:
    return account.is_active and account.epoch == epoch and session in account.sessions


def _ending(account: Account, family: SessionFamily) -> list[Write]:
    return [Delete(family), Replace(without_sessions(account, (family.id,)))]


class _Patience:
    """How long a request tries again what others changed under it: growing pauses, until the wait is over."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._deadline = engine.later(engine.options.wait)
        self._pause = 0.002
        self._doubt = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After a doubt a store that is down leaves the outcome unknown: "nothing was changed" may be untrue."""
        if self._doubt and isinstance(error, StoreUnavailable):
            raise OutcomeUnknown(retry_after=_RETRY_AFTER) from error

    async def put(self, writes: Sequence[Write]) -> Put:
        """Commit."""
        put = await self._engine.put(writes)
        self._doubt |= put.outcome is Outcome.UNKNOWN
        return put

    async def pause(self) -> None:
        """Wait a moment. Raises ``OutcomeUnknown`` once the wait is over."""
        if self._engine.clock.now() >= self._deadline:
            raise OutcomeUnknown(retry_after=_RETRY_AFTER)
        await self._engine.clock.sleep(self._pause * self._engine.ids.jitter())
        self._pause = min(2 * self._pause, self._engine.options.poll_most)
