"""Sign-in and sessions of the embedded provider; those of a remote provider are its own.

One record a sign-in, the *family*: it lists the hashes of the refresh tokens that are live, and the account lists the
family. So an account's end, a raised epoch or a sign-out ends every token at once, without an index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from semel import canonical
from semel.errors import (
    AccountInactive,
    ConfigurationInvalid,
    EmailNotVerified,
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
)
from semel.keys import Keys, Purpose
from semel.model import Account, Identifier, Identity, Name, Secret, SessionFamily
from semel.patience import Patience
from semel.ports import Delete, EmbeddedProvider, Insert, Ref, Replace, Tokens, Write
from semel.protocol.engine import Engine
from semel.states import Door
from semel.tokens import AccessTokens, Claims, Leaf, RefreshTokens, hash_of, leaves_of, leaves_text, rotated

__all__ = [
    "Ended",
    "Person",
    "Session",
    "SessionKeeper",
    "SessionOptions",
    "goes_on",
    "person_by_email",
    "without_sessions",
]

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


class Session(msgspec.Struct, frozen=True):
    """A session that was just opened or renewed: what a maker of access tokens needs to know."""

    account: Account
    family: SessionFamily
    refresh_token: Secret
    at: datetime
    seconds: float
    """For how long an access token made now is good."""


class Ended(Enum):
    """Why a refresh token buys nothing."""

    UNKNOWN = "unknown"
    """None of ours."""
    OVER = "over"
    """Its session was ended, or its account has gone."""
    EXPIRED = "expired"
    """Its session has lasted as long as sessions do."""
    BARRED = "barred"
    """Its account is switched off or banned."""
    REUSED = "reused"
    """It was used before, too long ago for a lost answer; its session has ended by that."""


class Person(NamedTuple):
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
        """Open a session. Raises what ``enter`` raises."""
        session = await self.enter(email, password)
        return session.account, self._tokens(session)

    async def enter(self, email: str, password: Secret, check: Callable[[Person], None] | None = None) -> Session:
        """Open a session. ``check`` may raise, after a right password, why this person is not let in.

        Raises ``InvalidCredentials`` for an unknown email and a wrong password alike, after the same work;
        ``AccountInactive`` and ``EmailNotVerified`` only after a right password; ``Overloaded`` where the hasher's
        queue is full; ``OutcomeUnknown`` or a ``StoreError``.
        """
        with Patience(self._engine) as patience:
            verified: Person | None = None
            while True:
                person = await person_by_email(self._engine, email)
                if person is None or verified is None or person.identity.credential != verified.identity.credential:
                    verified = person = await self._verified(person, password)
                self._check_let_in(person)
                if check is not None:
                    check(person)
                began = await self._begin(person, password, patience)
                if began is not None:
                    return began
                await patience.pause()

    async def enter_made(
        self, account: Account, password: Secret, check: Callable[[Person], None] | None = None
    ) -> Session:
        """Open a session for an account whose password was verified when it stood at this version.

        Where it has changed since, the password is verified as at any sign-in. Raises what ``enter`` raises.
        """
        identity = await self._engine.store.get(Identity, account.key)
        if identity is not None:
            person = Person(account, identity)
            self._check_let_in(person)
            if check is not None:
                check(person)
            with Patience(self._engine) as patience:
                began = await self._begin(person, password, patience)
            if began is not None:
                return began
        return await self.enter(account.email_canonical or "", password, check)

    async def refresh(self, token: Secret) -> tuple[Account, Tokens]:
        """Exchange a refresh token for new tokens. Raises ``InvalidToken``, ``OutcomeUnknown`` or a ``StoreError``."""
        renewed = await self.renew(token)
        if isinstance(renewed, Ended):
            raise InvalidToken
        return renewed.account, self._tokens(renewed)

    async def renew(self, token: Secret, check: Callable[[Person], None] | None = None) -> Session | Ended:
        """Exchange a refresh token, or say why not. ``check`` may raise why not, too; then it is not spent.

        One that was spent within the reuse interval buys a sibling. One that was spent earlier ends the whole session:
        somebody else may have it. Raises ``OutcomeUnknown`` or a ``StoreError``.
        """
        try:
            ticket = self._refresh.read(token)
        except InvalidToken:
            return Ended.UNKNOWN
        with Patience(self._engine) as patience:
            while True:
                live = await self._live(ticket.family_id)
                if isinstance(live, Ended):
                    self._engine.events.emit("session.refused", {"reason": "ended"})
                    return live
                family, account = live
                await self._check(account, check)
                now, secret = self._engine.clock.now(), self._engine.ids.secret()
                leaves = rotated(leaves_of(family), ticket.hash, hash_of(secret), now, self._options.reuse_interval)
                writes = (
                    _ending(account, family) if leaves is None else [Replace(family.but(leaves=leaves_text(leaves)))]
                )
                if (await patience.put(writes)).done:
                    self._note("session.reused" if leaves is None else "session.refreshed", family)
                    return Ended.REUSED if leaves is None else self._session(account, family, secret, now)
                await patience.pause()

    async def end(self, account_id: str, ends: Callable[[str], bool]) -> None:
        """End those sessions of an account whose id ``ends`` says yes to; an account that has gone has none.

        Raises ``OutcomeUnknown`` or a ``StoreError``.
        """
        with Patience(self._engine) as patience:
            while True:
                account = await self._engine.store.get(Account, (account_id,))
                ended = [one for one in account.sessions if ends(one)] if account is not None else []
                if account is None or not ended:
                    return
                families = await self._engine.store.get_many([Ref(SessionFamily, (one,)) for one in ended])
                kept: list[Write] = [Replace(without_sessions(account, ended))]
                if (await patience.put([*kept, *(Delete(one) for one in families if one is not None)])).done:
                    for one in ended:
                        self._engine.events.emit("session.ended", {"session": one, "account": account_id})
                    return
                await patience.pause()

    async def sign_out(self, access_token: Secret) -> None:
        """End the session that the token is of, at once; one that has ended counts as done.

        Raises ``InvalidToken``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        with Patience(self._engine) as patience:
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
        goes = account is not None and _speaks_for(account, claims.sid, claims.epoch)
        if account is None or not goes or not account.lets_in(self._engine.clock.now()):
            self._engine.events.emit("session.refused", {"reason": "ended"})
            raise InvalidToken
        return account

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that access tokens are verified with, as a JSON Web Key Set (RFC 7517)."""
        return {**self._keys.signing.jwks()}

    async def _verified(self, person: Person | None, password: Secret) -> Person:
        right = await self._provider.verify(person.identity if person else None, password)
        if person is None or not right:
            self._failed(InvalidCredentials.code, person)
            raise InvalidCredentials
        return person

    async def _begin(self, person: Person, password: Secret, patience: Patience) -> Session | None:
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
        return self._session(seen.but(version=put.token), family, secret, now)

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

    def _check_let_in(self, person: Person) -> None:
        if not person.account.lets_in(self._engine.clock.now()):
            self._failed(AccountInactive.code, person)
            raise AccountInactive
        if self._engine.awaits_proof(person.account):
            self._failed(EmailNotVerified.code, person)
            raise EmailNotVerified

    async def _check(self, account: Account, check: Callable[[Person], None] | None) -> None:
        identity = None if check is None else await self._engine.store.get(Identity, account.key)
        if check is not None and identity is not None:
            check(Person(account, identity))

    async def _live(self, family_id: str) -> tuple[SessionFamily, Account] | Ended:
        """Return the family and its account, or how the session has ended."""
        family = await self._engine.store.get(SessionFamily, (family_id,))
        if family is None:
            return Ended.OVER
        now = self._engine.clock.now()
        if family.expires_at <= now:
            return Ended.EXPIRED
        account = await self._engine.store.get(Account, (family.account_id,))
        if account is None or not _speaks_for(account, family.id, family.epoch):
            return Ended.OVER
        return (family, account) if account.lets_in(now) else Ended.BARRED

    def _session(self, account: Account, family: SessionFamily, secret: str, now: datetime) -> Session:
        seconds = min(self._options.access_lifetime, (family.expires_at - now).total_seconds())
        return Session(account, family, Secret(self._refresh.make(family.id, secret)), now, seconds)

    def _tokens(self, session: Session) -> Tokens:
        family = session.family
        claims = Claims(family.account_id, family.id, family.epoch)
        access = self._access.make(claims, session.at, session.seconds)
        return Tokens(access, session.refresh_token.reveal(), int(session.seconds))

    async def _claims(self, access_token: Secret) -> Claims:
        return await self._access.read(access_token, self._engine.clock.now(), self._engine.options.skew)

    def _failed(self, reason: str, person: Person | None) -> None:
        whose = {"account": person.account.id} if person else {}
        self._engine.events.emit("sign_in.failed", {"door": Door.SIGN_IN, "reason": reason} | whose)

    def _note(self, event: str, family: SessionFamily) -> None:
        self._engine.events.emit(event, {"session": family.id, "account": family.account_id})


async def person_by_email(engine: Engine, email: str) -> Person | None:
    """Look a person up. One that is unknown, or no email at all, costs the same reads as one that is known.

    Raises a ``StoreError``.
    """
    nobody = engine.ids.uuid()
    try:
        name = canonical.email(email, allow_special_use=True).name
    except InvalidInput:
        name = Name("email", nobody)
    identifier = await engine.store.get(Identifier, name)
    key = ((identifier and identifier.account_id) or nobody,)
    account = await engine.store.get(Account, key)
    # Read after the account, not beside it: a credential that is found here was not replaced before that version.
    identity = await engine.store.get(Identity, key)
    return Person(account, identity) if account is not None and identity is not None else None


def goes_on(account: Account, family: SessionFamily, now: datetime) -> bool:
    """Tell whether a session is one of the account's and has not ended."""
    return family.expires_at > now and _speaks_for(account, family.id, family.epoch)


def _speaks_for(account: Account, session: str, epoch: int) -> bool:
    return account.epoch == epoch and session in account.sessions


def _ending(account: Account, family: SessionFamily) -> list[Write]:
    return [Delete(family), Replace(without_sessions(account, (family.id,)))]
