"""The library's face: one object that an application opens, asks, and closes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from math import nan
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec
from typing_extensions import override

from semel import canonical
from semel.administration import Administration
from semel.arguments import as_secret, check_page, check_texts, found_or_raise
from semel.assembly import Given, Parts, assembled, check_also
from semel.checking import Aftermath, EmailCheck, check_aftermath, check_email
from semel.config import Settings
from semel.deletion import delete_account
from semel.errors import ConfigurationInvalid, FieldError, InvalidInput, StoreError
from semel.intents import Intent
from semel.model import Account, Identifier, Identity, OutboxEvent, Registration, Secret
from semel.observe import Metrics, ObservedEvents
from semel.outbox import backlog, events_of, replay, replay_dead
from semel.outgoing import Mailer
from semel.ports import Also, Clock, EmbeddedProvider, Ids, RemoteProvider, Search, Store, Tokens
from semel.protocol.engine import Engine, Registered
from semel.remote_sessions import RemoteSessions
from semel.self_service import SelfService
from semel.sessions import SessionKeeper
from semel.states import Door, EventState, IdentityState
from semel.system import SystemClock, SystemIds
from semel.upkeep.rotation import ROTATE, keep_rotating, rotate_once

__all__ = ["AccountPage", "Readiness", "Reason", "Semel", "SignedInAccount"]

_OPEN_DOORS: Final = frozenset({Door.SIGNUP, Door.ADMIN})
"""Those that an application may use itself: the others are led to by a proof or a sign-in."""

_PASSES_A_ROTATION: Final = 60
"""Keys live for months: they are looked at once in so many passes of upkeep."""


class SignedInAccount(msgspec.Struct, frozen=True):
    """A sign-in or a refresh: whose, and the tokens."""

    account: Account
    tokens: Tokens


class AccountPage(msgspec.Struct, frozen=True):
    """Some accounts in the store's own order; ``cursor`` leads to the next page, ``None`` after the last."""

    accounts: tuple[Account, ...]
    cursor: str | None


class Reason(NamedTuple):
    """Why a server is not ready: which check, a stable code, and a sentence for people."""

    check: str
    code: str
    message: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests may be sent here."""

    reasons: tuple[Reason, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


class Semel(Administration, SelfService):
    """Accounts, created once, whole, or not at all. Open it with ``async with``; one object for a process is enough.

    Settings come from the environment where none are given. ``also`` is the application's own row or callback in the
    transaction that inserts an account, at a SQL store. ``store``, ``provider`` and ``mailer`` stand in place of what
    the settings name, and are not closed here. While open it runs upkeep, unless the settings say no.

    Raises ``ConfigurationInvalid``, also where it is asked while not open.
    """

    def __init__(  # noqa: PLR0913 - all but the settings are for applications that bring their own
        self,
        settings: Settings | None = None,
        *,
        also: Also | None = None,
        store: Store | None = None,
        provider: EmbeddedProvider | RemoteProvider | None = None,
        mailer: Mailer | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        if not isinstance(settings, Settings | None):
            raise ConfigurationInvalid(
                "settings: give semel.Settings(database_url=…), or nothing for the environment's"
            )
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self._given = Given(
            clock=clock or SystemClock(),
            ids=ids or SystemIds(),
            events=ObservedEvents(self.metrics),
            metrics=self.metrics,
            store=store,
            provider=provider,
            mailer=mailer,
            also=also,
        )
        check_also(self.settings, self._given)
        self._closing = AsyncExitStack()
        self._open: Parts | None = None

    async def __aenter__(self) -> Self:
        """Open the store and begin upkeep. Raises ``ConfigurationInvalid`` or ``StoreUnavailable``."""
        if self._open is not None:
            raise ConfigurationInvalid("this Semel is open already: make another one")
        async with AsyncExitStack() as closing:
            self._open = await closing.enter_async_context(assembled(self.settings, self._given))
            for work in self._upkeep(self._open):
                closing.push_async_callback(_ended, asyncio.create_task(work))
            self._closing = closing.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End upkeep, let the registrations in flight end for a while, give up the leases of the rest, and close."""
        self._open = None
        await self._closing.aclose()

    async def register(  # noqa: PLR0913 - the fields of a person
        self,
        *,
        email: str | None = None,
        password: str | Secret | None = None,
        full_name: str | None = None,
        username: str | None = None,
        phone: str | None = None,
        role: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        door: Door = Door.SIGNUP,
        proved: bool = False,
    ) -> Registered:
        """Create an account, or meet the request that did.

        ``proved``: the person has just proved to the application that the email is theirs, as by a link in a mail.
        All successes under one idempotency key name one account, and a failed registration leaves nothing behind. It
        goes on where the caller is cancelled. Raises what ``Registrar.register`` raises.
        """
        person = {"email": email, "full_name": full_name, "username": username, "phone": phone, "role": role}
        intent = _intent(person, password, attributes, idempotency_key, door)
        return await self.parts.registrar.register(_proving(intent, proved))

    async def sign_in(self, email: str, password: str | Secret) -> SignedInAccount:
        """Open a session.

        Raises ``InvalidCredentials`` for an unknown email and a wrong password alike, ``AccountInactive``,
        ``EmailNotVerified``, ``Overloaded``, ``OutcomeUnknown``, at a remote provider also ``ProviderUnavailable``, or
        a ``StoreError``.
        """
        check_texts({"email": email})
        return SignedInAccount(*await self._sessions.sign_in(email, as_secret("password", password)))

    async def refresh(self, refresh_token: str | Secret) -> SignedInAccount:
        """Exchange a refresh token. Raises ``InvalidToken``, ``OutcomeUnknown``, or what ``sign_in`` raises."""
        return SignedInAccount(*await self._sessions.refresh(as_secret("refresh_token", refresh_token)))

    async def sign_out(self, access_token: str | Secret) -> None:
        """End the session that the token is of. Raises ``InvalidToken``, ``OutcomeUnknown`` or a ``StoreError``."""
        await self._sessions.sign_out(as_secret("access_token", access_token))

    async def current_account(self, access_token: str | Secret) -> Account:
        """Return the account that an access token speaks for.

        Raises ``InvalidToken``, at a remote provider also ``ProviderUnavailable``, or a ``StoreError``.
        """
        return await self._sessions.authenticate(as_secret("access_token", access_token))

    async def account(self, account_id: str) -> Account:
        """Return an account. Raises ``NotFound`` or a ``StoreError``."""
        check_texts({"account_id": account_id})
        return found_or_raise(await self._engine.store.get(Account, (account_id,)), "account")

    async def account_by_email(self, email: str) -> Account:
        """Return the account that owns an email. Raises ``InvalidInput``, ``NotFound`` or a ``StoreError``."""
        check_texts({"email": email})
        name = canonical.email(email, allow_special_use=True).name
        identifier = found_or_raise(await self._engine.store.get(Identifier, name), "account with this email")
        return await self.account(identifier.account_id or "")

    async def check(self, email: str) -> EmailCheck:
        """Say what there is under an email, in the store and at the identity provider.

        Raises ``InvalidInput``, ``ProviderUnavailable`` or a ``StoreError``.
        """
        check_texts({"email": email})
        return await check_email(self._engine, canonical.email(email, allow_special_use=True).name)

    async def accounts(self, cursor: str | None = None, limit: int = 100) -> AccountPage:
        """Return accounts page by page, 1 to 1000 at a time.

        Raises ``InvalidInput`` for another limit or a cursor of somewhere else, or a ``StoreError``.
        """
        check_page(cursor, limit)
        page = await self._engine.store.page(Account, cursor, limit)
        return AccountPage(tuple(one for one in page.records if isinstance(one, Account)), page.cursor)

    async def search_accounts(self, words: str, cursor: str | None = None, limit: int = 100) -> AccountPage:
        """Return accounts whose email, username or full name contains the words, page by page as ``accounts`` does.

        Raises ``InvalidInput``, also where the store cannot search, or a ``StoreError``.
        """
        check_page(cursor, limit)
        check_texts({"words": words})
        store = self._engine.store
        if not isinstance(store, Search):
            raise InvalidInput(errors=(FieldError("words", "not_offered", "This store cannot search: list accounts"),))
        page = await store.search(words, cursor, limit)
        return AccountPage(tuple(one for one in page.records if isinstance(one, Account)), page.cursor)

    async def delete_account(self, account_id: str) -> None:
        """End an account and all that it owns. Raises ``NotFound``, ``OutcomeUnknown`` or a ``StoreError``."""
        check_texts({"account_id": account_id})
        await delete_account(self._engine, account_id)

    async def registration(self, registration_id: str) -> Registration:
        """Return a registration. Raises ``NotFound`` or a ``StoreError``."""
        check_texts({"registration_id": registration_id})
        return found_or_raise(await self._engine.store.get(Registration, (registration_id,)), "registration")

    async def aftermath(self, registration: Registration) -> Aftermath:
        """Say what is left at the identity provider of a registration that failed. Raises a ``StoreError``."""
        return await check_aftermath(self._engine, registration)

    async def removals(self, limit: int = 1000) -> list[Identity]:
        """Return identities that upkeep must still make sure not to exist, those first that it looks for next."""
        # Each is looked for again before its horizon is over, so all are due by then.
        by = self._engine.later(2 * self._engine.options.removal_horizon)
        due = await self._engine.store.due(Identity, by, limit)
        return sorted((one for one in due if one.state is IdentityState.CONDEMNED), key=lambda one: one.due_at or by)

    async def outbox(self, state: EventState | None = None, limit: int = 1000) -> list[OutboxEvent]:
        """Return events, of one state or of all, the oldest first. It reads all there are. Raises a ``StoreError``."""
        return await events_of(self._engine, state, limit)

    async def replay_event(self, event_id: str) -> OutboxEvent:
        """Let a dead event be delivered anew, to all who do not have it; one that waits is as asked.

        Raises ``NotFound``, ``EventNotDead``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        check_texts({"event_id": event_id})
        return await replay(self._engine, event_id)

    async def replay_dead_events(self) -> int:
        """Let all dead events be delivered anew; return how many. Raises ``OutcomeUnknown`` or a ``StoreError``."""
        return await replay_dead(self._engine)

    async def upkeep_once(self) -> dict[str, int]:
        """Do what upkeep has to do now; return how much each duty did. Raises a ``StoreError``."""
        parts = self.parts
        done = await parts.upkeep.once() | await parts.deliveries.once()
        return done | {ROTATE: int(await rotate_once(parts.engine, parts.keys))}

    async def ready(self) -> Readiness:
        """Say whether requests may be sent here: the store answers, and its clock and ours agree."""
        reasons = []
        try:
            apart, allowed = await self._clocks_apart(), self._engine.options.skew
        except StoreError as error:
            reasons.append(Reason("store", error.code, error.detail))
        else:
            if apart > allowed:
                numbers = f"{apart:.3f} s from this server's; {allowed:.3f} s are allowed"
                reasons.append(Reason("clock", "clock_skew", f"The store's clock is {numbers}. Set the clocks."))
        return Readiness(tuple(reasons))

    async def _clocks_apart(self) -> float:
        """Return by how many seconds at least the clocks differ: the store's was read while we waited for it."""
        began = self._engine.clock.now()
        theirs = await self._engine.store.ping()
        return max((began - theirs).total_seconds(), (theirs - self._engine.clock.now()).total_seconds(), 0.0)

    async def jwks(self) -> dict[str, Any]:
        """Return the public keys of access tokens (RFC 7517); none at a remote provider, whose tokens are its own."""
        sessions = self.parts.sessions
        return sessions.jwks() if isinstance(sessions, SessionKeeper) else {"keys": []}

    async def metrics_text(self) -> bytes:
        """Return all metrics in Prometheus' text format; what the store does not answer is not a number."""
        try:
            removals, waiting = await self.removals(), await backlog(self._engine)
        except StoreError:
            count = age = events = lag = nan
        else:
            begun = [one.condemned_at for one in removals if one.condemned_at is not None]
            count, age = len(removals), self._age(min(begun, default=None))
            events, lag = waiting.waiting, self._age(waiting.since)
        self.metrics.removals.set(count)
        self.metrics.removal_age.set(age)
        self.metrics.waiting.set(events)
        self.metrics.lag.set(lag)
        return self.metrics.text()

    def _age(self, since: datetime | None) -> float:
        return 0.0 if since is None else max((self._engine.clock.now() - since).total_seconds(), 0.0)

    def _upkeep(self, parts: Parts) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside requests. Keys are looked at in every process: it must know what others made."""
        interval = self.settings.upkeep_interval_seconds
        rotating = keep_rotating(parts.engine, parts.keys, _PASSES_A_ROTATION * interval)
        passing = (
            [parts.upkeep.run(interval), parts.deliveries.run(interval, wakes=True)] if self.settings.upkeep else []
        )
        return [*passing, rotating]

    @property
    @override
    def parts(self) -> Parts:
        """What an open Semel works with, for the other faces of this package: no part of the stable API.

        Raises ``ConfigurationInvalid`` where it is not open.
        """
        if self._open is None:
            raise ConfigurationInvalid("this Semel is not open: use `async with`")
        return self._open

    @property
    def _engine(self) -> Engine:
        return self.parts.engine

    @property
    def _sessions(self) -> SessionKeeper | RemoteSessions:
        if self.parts.sessions is None:
            raise ConfigurationInvalid("the identity provider signs nobody in: sign in at the provider itself")
        return self.parts.sessions


def _intent(
    person: Mapping[str, str | None],
    password: str | Secret | None,
    attributes: Mapping[str, Any] | None,
    key: str | None,
    door: Door,
) -> Intent:
    """Return what an application asks for. Raises ``InvalidInput`` for what is not of the type that it should be."""
    if not isinstance(door, Door) or door not in _OPEN_DOORS:
        raise InvalidInput(errors=(FieldError("door", "not_allowed", "Use Door.SIGNUP or Door.ADMIN"),))
    if not isinstance(attributes, Mapping | None):
        raise InvalidInput(errors=(FieldError("attributes", "malformed", "Give a mapping"),))
    secret = None if password is None else as_secret("password", password)
    given = {**person, "idempotency_key": key}
    check_texts({field: value for field, value in given.items() if value is not None})
    intent = Intent(door=door, password=secret, attributes=attributes or {})
    return msgspec.structs.replace(intent, **given)


def _proving(intent: Intent, proved: object) -> Intent:
    """Return it with what the application says of the email. Raises ``InvalidInput``."""
    if not isinstance(proved, bool):
        raise InvalidInput(errors=(FieldError("proved", "malformed", "Give True or False"),))
    if proved and intent.email is None:
        raise InvalidInput(errors=(FieldError("email", "required", "Give the email that was proved"),))
    return msgspec.structs.replace(intent, proved=proved)


async def _ended(work: asyncio.Task[None]) -> None:
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
