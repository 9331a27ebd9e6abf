"""The context that every door and duty shares, and the one way to commit."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from semel.errors import CommitUnknown, ConfigurationInvalid, StoreUnavailable, WriteRefused
from semel.model import Account, OutboxEvent, Registration
from semel.ports import Clock, Delete, EmbeddedProvider, Events, Ids, RemoteProvider, Store, Write
from semel.protocol.options import Options
from semel.protocol.waiting import Waiting
from semel.states import EventState

__all__ = ["Engine", "Outcome", "Put", "Registered"]


class Outcome(Enum):
    """What came of a commit."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Put(msgspec.Struct, frozen=True):
    """A commit's outcome, and its token: the version of whatever it wrote."""

    outcome: Outcome
    token: int

    @property
    def done(self) -> bool:
        """Whether it is known to have happened."""
        return self.outcome is Outcome.DONE


class Registered(msgspec.Struct, frozen=True):
    """A success: the account, and whether an earlier request had already made it."""

    account: Account
    replayed: bool


class Engine:
    """Ports, options and the small questions that every step asks.

    One for each process, or for each simulated worker.
    """

    def __init__(  # noqa: PLR0913 - the ports themselves; bundling them would only rename this list
        self,
        store: Store,
        provider: EmbeddedProvider | RemoteProvider,
        *,
        clock: Clock,
        ids: Ids,
        events: Events,
        fingerprint_key: bytes,
        options: Options,
    ) -> None:
        self.store = store
        self.embedded = provider if isinstance(provider, EmbeddedProvider) else None
        self.remote = provider if isinstance(provider, RemoteProvider) else None
        if (self.embedded is None) is (self.remote is None):
            raise ConfigurationInvalid("the provider must be an EmbeddedProvider or a RemoteProvider")
        if self.remote is not None and self.remote.timeout > options.provider_timeout:
            raise ConfigurationInvalid("provider_timeout must not be below the provider's own time-out")
        self.clock = clock
        self.ids = ids
        self.events = events
        self.options = options
        self.waiting = Waiting(store, clock, options)
        self.told: Callable[[], None] = _nobody
        """Called after a commit with an event that waits to be delivered; whoever delivers may look at once."""
        self._fingerprint_key = fingerprint_key

    def later(self, seconds: float) -> datetime:
        """Return the moment this many seconds from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    def alive(self, registration: Registration) -> bool:
        """Whether the registration's worker may still be at work."""
        return registration.due_at is not None and registration.due_at > self.clock.now()

    def awaits_proof(self, account: Account) -> bool:
        """Whether the account lets nobody in before its email is proved."""
        return self.options.proving is not None and self.options.proving.required and account.awaits_proof

    def fingerprint(self, payload: bytes) -> str:
        """Return the HMAC-SHA256 (RFC 2104) of a payload without secrets."""
        return hmac.new(self._fingerprint_key, payload, hashlib.sha256).hexdigest()

    async def put(self, writes: Sequence[Write]) -> Put:
        """Commit, and settle a lost answer as far as reading can.

        A record of ours with our token tells that it happened. None tells nothing: the commit may land later, so its
        outcome is unknown until a conditional write of ours has moved a record that it needs. Passes on every other
        error of the store.
        """
        token = self.ids.token()
        try:
            await self.store.commit(writes, token)
        except WriteRefused:
            return Put(Outcome.REFUSED, token)
        except CommitUnknown:
            landed = await self._landed(writes, token)
            return Put(Outcome.DONE if landed else Outcome.UNKNOWN, token)
        self._tell(writes)
        return Put(Outcome.DONE, token)

    def _tell(self, writes: Sequence[Write]) -> None:
        events = (write.record for write in writes if isinstance(write.record, OutboxEvent))
        if any(event.state is EventState.WAITING for event in events):
            self.told()

    async def _landed(self, writes: Sequence[Write], token: int) -> bool:
        written = next((write.record for write in writes if not isinstance(write, Delete)), None)
        if written is None:
            return False
        try:
            found = await self.store.get(type(written), written.key)
        except StoreUnavailable:
            return False
        return found is not None and found.version == token


def _nobody() -> None:
    """Nobody delivers here."""
