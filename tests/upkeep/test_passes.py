"""A pass of upkeep: all that is due, each once, whatever one record or one moment is stuck on."""

import asyncio
from datetime import datetime
from typing import TypeVar

import pytest
from typing_extensions import override

from semel.errors import SemelError, StoreInconsistent, StoreRejected, StoreUnavailable
from semel.model import Identity, OutboxEvent, Record, Registration
from semel.ports import Delete, Write
from semel.stores.memory import MemoryStore
from semel.testing import Fault, FaultyStore, FaultyTidyingStore
from tests.protocol.worlds import KEY, World

R = TypeVar("R", bound=Record)

STUCK = 250


async def copies(world: World, count: int) -> None:
    """Leave so many registrations to forget, older ones than the one that was made."""
    await world.server().register(idempotency_key=KEY)
    one = world.one(Registration)
    world.edit(*(one.but(id=f"stuck {n}", due_at=world.clock.now()) for n in range(count)))
    world.clock.advance(world.options.completed_kept)


def stuck(write: Write) -> SemelError | None:
    hopeless = isinstance(write, Delete) and write.record.key[0].startswith("stuck")
    return StoreRejected("not this one") if hopeless else None


async def test_stuck_records_starve_nothing() -> None:
    """However many cannot be ended, and first in the row: each is tried once, and what comes after them is ended."""
    world = World()
    await copies(world, STUCK)
    world.memory.objection = stuck
    server = world.server()
    done = await server.upkeep.once()
    assert done["forget_registration"] == 1
    assert len(world.records(Registration)) == STUCK
    failures = server.events.named("upkeep.failed")
    assert {(noted["duty"], noted["code"]) for noted in failures} == {("forget_registration", "store_rejected")}
    assert len({noted["record"] for noted in failures}) == len(failures) == STUCK


async def test_one_pass_ends_all_that_is_due() -> None:
    """More than one reading of the store brings is ended in one pass."""
    world = World()
    await copies(world, STUCK)
    assert (await world.server().upkeep.once())["forget_registration"] == STUCK + 1
    assert world.records(Registration) == []


async def test_two_passes_at_once_lose_nothing_and_do_nothing_twice() -> None:
    """Two servers over the same records: each record is ended by one of them."""
    world = World()
    await copies(world, 20)
    world.network.always(Fault.SLOW, "commit")
    told = await asyncio.gather(*(world.server(name).upkeep.once() for name in "BC"))
    assert sum(done["forget_registration"] for done in told) == 21
    assert world.records(Registration) == []


async def test_a_hint_that_is_out_of_date_is_not_acted_on() -> None:
    """What the store calls due is read anew: a record that is not due any more is left alone."""
    world = World()
    await copies(world, 0)
    fresh = world.one(Registration)
    later = fresh.but(due_at=world.server().engine.later(60))
    world.network.before("get", lambda: world.edit(later))
    assert (await world.server().upkeep.once())["forget_registration"] == 0
    assert world.one(Registration) == later


async def test_a_store_that_is_down_ends_the_pass() -> None:
    """Nothing can be said of what is due: the pass says so."""
    world = World()
    world.network.next("due", Fault.DOWN)
    with pytest.raises(StoreUnavailable):
        await world.server().upkeep.once()


class Edited(MemoryStore):
    """A store in memory, one of whose due records somebody has edited so that it cannot be read."""

    def __init__(self, kind: type[Record]) -> None:
        super().__init__()
        self.kind = kind

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        if kind is self.kind:
            raise StoreInconsistent("what is stored is no record")
        return await super().due(kind, before, limit)


@pytest.mark.parametrize("kind", [Registration, Identity, OutboxEvent])
async def test_what_cannot_be_read_of_one_type_hides_no_other_type(kind: type[Record]) -> None:
    """Wherever it comes in the row: it is noted, and what is due of the other types is ended."""
    world = World()
    await copies(world, 0)
    edited = Edited(kind)
    edited.table = world.memory.table
    world.store = FaultyStore(edited, world.network, world.clock)
    server = world.server("B")
    done = await server.upkeep.once()
    failed = [{"duty": "due", "type": kind.TYPE, "code": "store_inconsistent"}]
    assert server.events.named("upkeep.failed") == failed
    assert done["forget_registration"] == (kind is not Registration)
    assert done["forget_event"] == (kind is not OutboxEvent)


class Untidy(MemoryStore):
    """A store in memory in which commits leave something behind."""

    left = 3

    async def tidy(self) -> int:
        """See ``Tidies.tidy``."""
        self.left, there = 0, self.left
        return there


async def test_a_store_is_tidied_at_every_pass() -> None:
    """Where it can be, and that is counted as a duty; other stores know no such duty."""
    world = World()
    untidy = Untidy(world.clock.now)
    world.store = FaultyTidyingStore(untidy, untidy, world.network, world.clock)
    passes = [await world.server().upkeep.once() for _ in range(2)]
    assert [done["tidy"] for done in passes] == [3, 0]
    assert "tidy" not in await World().server().upkeep.once()


async def test_what_cannot_be_tidied_keeps_nothing_else_waiting() -> None:
    """It is noted as any duty's failure, and the rest of the pass is made."""
    world = World()
    await copies(world, 0)
    untidy = Untidy(world.clock.now)
    untidy.table = world.memory.table
    world.store = FaultyTidyingStore(untidy, untidy, world.network, world.clock)
    world.network.next("tidy", Fault.DROP)
    server = world.server("B")
    done = await server.upkeep.once()
    assert (done["tidy"], done["forget_registration"]) == (0, 1)
    assert server.events.named("upkeep.failed") == [{"duty": "tidy", "code": "store_unavailable"}]


async def test_passes_go_on_at_intervals_spread_by_jitter() -> None:
    """Pass after pass, about an interval apart and not in step, also after one that the store cut short."""
    world = World()
    world.network.next("due", None, None, None, Fault.DOWN)
    server = world.server()
    running = asyncio.ensure_future(server.upkeep.run(10))
    await asyncio.sleep(0)
    await world.clock.sleep(100)
    running.cancel()
    slept = [seconds for seconds in world.clock.slept if seconds != 100]
    assert all(5 <= seconds <= 15 for seconds in slept)
    assert max(slept) - min(slept) > 1
    told = [name for name, _ in server.events.seen]
    assert told == ["upkeep.passed", "upkeep.failed", *["upkeep.passed"] * (len(slept) - 3)]


async def test_whoever_waits_is_delivered_at_once() -> None:
    """A commit with an event that waits wakes the pass, long before its interval is over."""
    world = World()
    server = world.server()
    running = asyncio.ensure_future(server.upkeep.run(10_000, wakes=True))
    for _ in range(5):
        await asyncio.sleep(0)
    server.upkeep.wake()
    await world.clock.sleep(1)
    running.cancel()
    assert [name for name, _ in server.events.seen] == ["upkeep.passed"]
