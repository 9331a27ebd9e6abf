"""Wrappers around ports that add latency metrics, OpenTelemetry spans and log lines, and change nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TypeVar

from opentelemetry import trace
from prometheus_client import Histogram

from semel.errors import SemelError
from semel.model import Identity, Key, Record, Secret
from semel.observe.logs import Log
from semel.observe.metrics import Cells, Metrics
from semel.ports import (
    Absent,
    Clock,
    Done,
    EmbeddedProvider,
    Exists,
    Found,
    FoundPage,
    NewIdentity,
    Page,
    Ref,
    Rejected,
    RemoteProvider,
    Search,
    Sessions,
    SignedIn,
    Store,
    Tidies,
    Unknown,
    Verified,
    Write,
)

__all__ = ["ObservedStore", "observed_provider", "observed_store"]

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class _Watch:
    """Times the calls of one port, opens a span around each, and logs why an outcome is unknown."""

    def __init__(self, port: str, histogram: Histogram, clock: Clock) -> None:
        self._port = port
        self._cells = Cells(histogram)
        self._clock = clock
        self._tracer = trace.get_tracer("semel")
        self._log = Log()

    async def __call__(self, operation: str, call: Awaitable[T]) -> T:
        begun = self._clock.monotonic()
        outcome = "error"
        span = self._tracer.start_span(f"semel.{self._port}.{operation}")
        # Making a span the current one costs ten times as much as a span that nobody records.
        with _current(span) if span.is_recording() else _NOTHING:
            try:
                answer = await call
                outcome = _outcome(answer)
                if isinstance(answer, Unknown):
                    self._log.log(logging.WARNING, f"{self._port}.unknown", {"operation": operation, "why": answer.why})
                return answer
            except SemelError as error:
                outcome = type(error).__name__
                raise
            finally:
                span.set_attribute("semel.outcome", outcome)
                span.end()
                self._cells[operation, outcome].observe(self._clock.monotonic() - begun)


def _current(span: trace.Span) -> AbstractContextManager[trace.Span]:
    """Make the span the current one. A driver's error may say what nobody should read: only its kind is noted."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


_NOTHING = nullcontext()
_NAMED: dict[type, str] = {kind: kind.__name__ for kind in (Done, Exists, Rejected, Unknown, Absent, Found)}


def _outcome(answer: object) -> str:
    return answer.value if isinstance(answer, Verified) else _NAMED.get(type(answer), "ok")


class ObservedStore:
    """A store that is watched."""

    def __init__(self, store: Store, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._watch = _Watch("store", metrics.store_seconds, clock)

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        return await self._watch("get", self._store.get(kind, key))

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``."""
        return await self._watch("get_many", self._store.get_many(refs))

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``."""
        await self._watch("commit", self._store.commit(writes, token))

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``."""
        return await self._watch("due", self._store.due(kind, before, limit))

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``."""
        return await self._watch("page", self._store.page(kind, cursor, limit))

    async def ping(self) -> datetime:
        """See ``Store.ping``."""
        return await self._watch("ping", self._store.ping())

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._store.close()


class ObservedTidyingStore(ObservedStore):
    """A store that clears away what dead commits left, watched."""

    def __init__(self, store: Store, tidying: Tidies, metrics: Metrics, clock: Clock) -> None:
        super().__init__(store, metrics, clock)
        self._tidying = tidying

    async def tidy(self) -> int:
        """See ``Tidies.tidy``."""
        return await self._watch("tidy", self._tidying.tidy())


class ObservedSearchingStore(ObservedStore):
    """A store that finds accounts by a part of what people call them, watched."""

    def __init__(self, store: Store, searching: Search, metrics: Metrics, clock: Clock) -> None:
        super().__init__(store, metrics, clock)
        self._searching = searching

    async def search(self, words: str, cursor: str | None, limit: int) -> Page:
        """See ``Search.search``."""
        return await self._watch("search", self._searching.search(words, cursor, limit))


def observed_store(store: Store, metrics: Metrics, clock: Clock) -> ObservedStore:
    """Return a store of the same abilities that is watched."""
    if isinstance(store, Tidies):
        return ObservedTidyingStore(store, store, metrics, clock)
    if isinstance(store, Search):
        return ObservedSearchingStore(store, store, metrics, clock)
    return ObservedStore(store, metrics, clock)


class ObservedEmbeddedProvider:
    """The embedded provider, watched."""

    def __init__(self, provider: EmbeddedProvider, metrics: Metrics, clock: Clock) -> None:
        self._provider = provider
        self._watch = _Watch("provider", metrics.provider_seconds, clock)
        self._queue = metrics.hash_queue
        self.slow = provider.slow

    async def enrol(self, identity: Identity, password: Secret) -> Identity:
        """See ``EmbeddedProvider.enrol``."""
        with self._queue.track_inprogress():
            return await self._watch("enrol", self._provider.enrol(identity, password))

    async def verify(self, identity: Identity | None, password: Secret) -> bool:
        """See ``EmbeddedProvider.verify``."""
        with self._queue.track_inprogress():
            return await self._watch("verify", self._provider.verify(identity, password))

    def outdated(self, identity: Identity) -> bool:
        """See ``EmbeddedProvider.outdated``."""
        return self._provider.outdated(identity)


class ObservedRemoteProvider:
    """A remote provider, watched."""

    def __init__(self, provider: RemoteProvider, metrics: Metrics, clock: Clock) -> None:
        self._provider = provider
        self._watch = _Watch("provider", metrics.provider_seconds, clock)
        self.timeout = provider.timeout

    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        """See ``RemoteProvider.create``."""
        return await self._watch("create", self._provider.create(identity))

    async def find(self, identity_id: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find``."""
        return await self._watch("find", self._provider.find(identity_id))

    async def find_by_email(self, email: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find_by_email``."""
        return await self._watch("find_by_email", self._provider.find_by_email(email))

    async def update(
        self,
        identity_id: str,
        *,
        email: str | None = None,
        password: Secret | None = None,
        confirmed: bool | None = None,
        disabled: bool | None = None,
    ) -> Done | Absent | Exists | Rejected | Unknown:
        """See ``RemoteProvider.update``."""
        call = self._provider.update(
            identity_id, email=email, password=password, confirmed=confirmed, disabled=disabled
        )
        return await self._watch("update", call)

    async def delete(self, provider_id: str) -> Done | Unknown:
        """See ``RemoteProvider.delete``."""
        return await self._watch("delete", self._provider.delete(provider_id))

    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        """See ``RemoteProvider.page``."""
        return await self._watch("page", self._provider.page(cursor, limit))

    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:
        """See ``RemoteProvider.verify_password``."""
        return await self._watch("verify_password", self._provider.verify_password(identity_id, email, password))

    async def close(self) -> None:
        """See ``RemoteProvider.close``."""
        await self._provider.close()


class ObservedSignIn(ObservedRemoteProvider):
    """A remote provider that signs people in, watched."""

    def __init__(self, provider: RemoteProvider, sessions: Sessions, metrics: Metrics, clock: Clock) -> None:
        super().__init__(provider, metrics, clock)
        self._sessions = sessions

    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.sign_in``."""
        return await self._watch("sign_in", self._sessions.sign_in(email, password))

    async def refresh(self, refresh_token: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.refresh``."""
        return await self._watch("refresh", self._sessions.refresh(refresh_token))

    async def whose(self, access_token: Secret) -> Found | Absent | Unknown:
        """See ``Sessions.whose``."""
        return await self._watch("whose", self._sessions.whose(access_token))

    async def sign_out(self, access_token: Secret) -> Done | Absent | Unknown:
        """See ``Sessions.sign_out``."""
        return await self._watch("sign_out", self._sessions.sign_out(access_token))


def observed_provider(
    provider: EmbeddedProvider | RemoteProvider, metrics: Metrics, clock: Clock
) -> ObservedEmbeddedProvider | ObservedRemoteProvider:
    """Return a provider of the same abilities that is watched."""
    if isinstance(provider, EmbeddedProvider):
        return ObservedEmbeddedProvider(provider, metrics, clock)
    if isinstance(provider, Sessions):
        return ObservedSignIn(provider, provider, metrics, clock)
    return ObservedRemoteProvider(provider, metrics, clock)
