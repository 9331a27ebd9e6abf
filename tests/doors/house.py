"""Two servers over one store, in this process: each with a way of its own to it, which fails as told.

Whatever meets ``Fault.SLOW`` is held back until the test lets it go: so a crowd is known to meet, and a worker dies
where the test says, and may wake up later.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from httpx import AsyncClient

from semel import Scope, Semel
from semel.config import Settings
from semel.http import create_app
from semel.model import (
    ApiKey,
    Identifier,
    Identity,
    Invitation,
    KeyRecord,
    OutboxEvent,
    Record,
    Registration,
    SessionFamily,
)
from semel.ports import Delete
from semel.providers.embedded import EmbeddedPasswords
from semel.system import SystemIds
from semel.testing import (
    PROVIDER_OPERATIONS,
    STORE_OPERATIONS,
    CheapHasher,
    Fault,
    FaultyStore,
    RecordingMailer,
    Variant,
)
from semel.testing.fake_provider import FakeProvider, State
from semel.testing.invariants import Snapshot, at_rest, records_of
from tests.e2e.killing import LaterClock, open_store
from tests.e2e.scenes import Held
from tests.e2e.snapshot import take
from tests.gotrue.tokens import SECRET
from tests.http.conftest import running
from tests.protocol.worlds import Network

T = TypeVar("T")

_OF_THE_HOUSE = KeyRecord | ApiKey | SessionFamily
"""What is there besides accounts, or comes and goes with sign-ins."""


@dataclass(frozen=True)
class Server:
    """One server. ``network`` is its way to the store; ``admin`` is the head that lets an administrator in."""

    semel: Semel
    client: AsyncClient
    network: Network
    store: FaultyStore
    admin: dict[str, str]


class House:
    """See the module. ``outside`` is the way to the ``provider``: ``None`` where identities are in the store."""

    def __init__(self, url: str, provider: FakeProvider | None, outside: Network, held: Held, *, proving: bool) -> None:
        self.url = url
        self.proving = proving
        self.provider = provider
        self.outside = outside
        self.held = held
        self.clock = LaterClock()
        self.mailer = RecordingMailer()
        self.servers: list[Server] = []
        self.passwords: list[str] = []

    @property
    def both(self) -> tuple[Server, Server]:
        first, second = self.servers
        return first, second

    async def empty(self) -> None:
        """Take away whatever an earlier test has left."""
        self.wake()
        for server in self.servers:
            await server.semel.parts.registrar.drain(1)
        self.passwords.clear()
        store = self.servers[0].store.store
        gone = [one for one in await records_of(store) if not isinstance(one, KeyRecord | ApiKey)]
        await store.commit([Delete(one) for one in gone], SystemIds().token())
        if self.provider is not None:
            self.provider.state = State()

    async def meeting(self, calls: Sequence[Awaitable[T]], parties: int) -> list[T]:
        """Make the calls at once: only when so many of them stand before a commit does any of these go on."""
        for server in self.servers:
            server.network.always(Fault.SLOW, "commit")
        told = [asyncio.ensure_future(call) for call in calls]
        for _ in range(parties):
            await self.arrival(*told)
        self.wake()
        return await asyncio.gather(*told)

    async def arrival(self, *callers: asyncio.Future[Any]) -> None:
        """Return once one more call is held back, which must be before one of these is answered."""
        come: asyncio.Future[Any] = asyncio.ensure_future(self.held.there.get())
        await asyncio.wait([come, *callers], return_when=asyncio.FIRST_COMPLETED)
        assert come.done(), [one.result() for one in callers if one.done()]

    def wake(self) -> None:
        """Let go what is held back, and let all go well from now on."""
        for server in self.servers:
            server.network.lift()
        self.outside.lift()
        self.held.let_go()

    async def land(self) -> None:
        """Let everything arrive that is late."""
        for server in self.servers:
            await server.store.land()
        if self.provider is not None:
            self.provider.land()

    def later(self, *, days: float = 0) -> None:
        """Let every lease be over; and so many days more."""
        options = self.servers[0].semel.parts.engine.options
        self._pass(options.lease + options.grace + days * 86_400)

    def _pass(self, seconds: float) -> None:
        self.clock.ahead += timedelta(seconds=seconds)

    async def look(self) -> Snapshot:
        """Return what is there now."""
        return await take(self.servers[0].store.store, self.provider, self.passwords)

    def counted(self) -> Counter[str]:
        """Return how many registrations have ended so far, by door and outcome, and conflicts, by door and field."""
        found: Counter[str] = Counter()
        for metrics in (server.semel.metrics for server in self.servers):
            for metric in (*metrics.registrations.collect(), *metrics.conflicts.collect()):
                for sample in (one for one in metric.samples if one.name.endswith("_total")):
                    door = sample.labels.pop("door")
                    found[" ".join((door, *sample.labels.values()))] += int(sample.value)
        return found

    async def rest(self) -> Snapshot:
        """Let upkeep end what is there, check what must hold then, and return it."""
        semel = self.servers[1].semel
        horizon = semel.parts.engine.options.removal_horizon
        self.later()
        for seconds in (0.0, horizon, horizon):
            self._pass(seconds)
            await semel.upkeep_once()
        seen = await self.look()
        assert at_rest(seen) == []
        return seen


def left(seen: Snapshot) -> Counter[str]:
    """Return how many records there are of each kind and state, and how many identities at the provider."""
    found = Counter(_described(one) for one in seen.records if not isinstance(one, _OF_THE_HOUSE))
    return found + Counter({"at the provider": len(seen.identities or ())})


def without_failures(found: Counter[str]) -> Counter[str]:
    """Return the count without what only remembers that something failed, and is forgotten in its time."""
    passing = ("registration failed", "identity condemned")
    return Counter({name: times for name, times in found.items() if not name.startswith(passing)})


def _described(record: Record) -> str:
    match record:
        case Identifier():
            return f"{record.kind} {'owned' if record.owned else 'held'}"
        case Registration():
            return f"registration {record.state} at the door {record.door}"
        case Identity() | Invitation():
            return f"{record.TYPE} {record.state}"
        case OutboxEvent():
            return f"told {record.kind}"
        case _:
            return record.TYPE


@asynccontextmanager
async def open_house(url: str, *, remote: bool, proving: bool) -> AsyncIterator[House]:
    """Open two servers over the store at the URL; ``proving``: who signs up there must prove the email."""
    outside, held = Network(PROVIDER_OPERATIONS), Held()
    provider = FakeProvider(Variant.OWN, outside, held) if remote else None
    house = House(url, provider, outside, held, proving=proving)
    async with AsyncExitStack() as stack:
        admin: dict[str, str] = {}
        for _ in range(2):
            house.servers.append(await stack.enter_async_context(_server(house, admin)))
        made = await house.servers[0].semel.create_api_key("of the tests", tuple(Scope))
        admin["Authorization"] = f"Bearer {made.token.reveal()}"
        stack.callback(house.wake)
        yield house


@asynccontextmanager
async def _server(house: House, admin: dict[str, str]) -> AsyncIterator[Server]:
    settings = Settings(
        _env_file=None,
        database_url=house.url,
        upkeep=False,
        # Nobody here waits for the end of either: the clock is put forward. Where the machine is busy, neither may end.
        lease_seconds=120,
        wait_seconds=120,
        rate_limits="off",
        shutdown_seconds=1,
        events_kept_days=3650,
        email_verification=house.proving,
        gotrue_jwt_secret=None if house.provider or house.proving else SECRET,
    )
    async with open_store(house.url) as bare:
        network = Network(STORE_OPERATIONS)
        store = FaultyStore(bare, network, house.held)
        provider = house.provider or EmbeddedPasswords(CheapHasher())
        semel = Semel(settings, store=store, provider=provider, mailer=house.mailer, clock=house.clock)
        async with running(create_app(settings, semel=semel)) as client:
            yield Server(semel, client, network, store, admin)
