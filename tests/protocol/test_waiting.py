"""Waiting for a registration in the way: woken, out of time, and how often the store is asked."""

import asyncio
from datetime import timedelta

import pytest

from semel.errors import RegistrationInFlight, StoreUnavailable
from semel.model import Registration
from semel.protocol.waiting import Waiting
from semel.states import RegistrationState
from semel.testing import Fault
from tests.protocol.worlds import EMAIL, KEY, OTHER_KEY, World


class Scene:
    """A registration in flight, and one process that waits for it."""

    def __init__(self) -> None:
        self.world = World()
        self.clock = self.world.clock
        self.waiting = Waiting(self.world.store, self.clock, self.world.options)

    async def begin(self) -> None:
        """Let a worker die after commit 1: its registration lives until the lease is over."""
        await self.world.abandoned(created=False)
        self.world.network.calls.clear()

    async def wait(self, seconds: float) -> bool:
        deadline = self.clock.now() + timedelta(seconds=seconds)
        return await self.waiting.settled(self.world.one(Registration).id, deadline)

    def end(self) -> None:
        """Let the registration fail by another's hand."""
        self.world.edit(self.world.one(Registration).but(state=RegistrationState.FAILED))


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


@pytest.mark.parametrize("waiters", [1, 5])
async def test_one_poller_asks_for_all_who_wait(scene: Scene, waiters: int) -> None:
    """However many wait for a registration, the store is asked at 20 ms, doubling to 500 ms, and once each time."""
    assert await asyncio.gather(*(scene.wait(3) for _ in range(waiters))) == [False] * waiters
    assert scene.clock.slept == [0.02, 0.04, 0.08, 0.16, 0.32, *[0.5] * 5]
    assert scene.world.network.calls == {"get": len(scene.clock.slept)}


async def test_each_waits_until_its_own_deadline(scene: Scene) -> None:
    """A deadline that comes ends one wait alone; the end of the registration ends the others at the next look."""
    scene.world.network.before("get", scene.end, nth=7)
    assert list(await asyncio.gather(scene.wait(0.1), scene.wait(60))) == [False, True]
    assert len(scene.clock.slept) == 7


async def test_the_end_of_a_lease_ends_the_wait(scene: Scene) -> None:
    """A registration whose worker has lost its lease is waited for no longer."""
    options = scene.world.options
    began = scene.clock.now()
    assert await scene.wait(60)
    assert 0 <= (scene.clock.now() - began).total_seconds() - options.lease - options.grace <= options.poll_most


async def test_a_new_wait_begins_with_short_sleeps(scene: Scene) -> None:
    """Once all who waited have their answer, the next one to wait has a poller of its own."""
    await scene.wait(1)
    scene.clock.slept.clear()
    await scene.wait(0.05)
    assert scene.clock.slept == [0.02, 0.04]


async def test_a_waiter_that_is_cancelled_disturbs_no_other(scene: Scene) -> None:
    """Who stops waiting is forgotten; who still waits is told."""
    gone = asyncio.ensure_future(scene.wait(60))
    stays = asyncio.ensure_future(scene.wait(60))
    scene.world.network.before("get", gone.cancel)
    scene.world.network.before("get", scene.end, nth=3)
    assert await stays
    assert gone.cancelled()


async def test_all_who_wait_are_told_that_the_store_is_down(scene: Scene) -> None:
    """An error of the poller reaches everybody whom it serves."""
    scene.world.network.next("get", None, Fault.DOWN)
    told = await asyncio.gather(scene.wait(60), scene.wait(60), return_exceptions=True)
    assert [type(one) for one in told] == [StoreUnavailable] * 2


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["the same key", "another key"])
async def test_a_wait_out_of_time_is_answered_so(key: str) -> None:
    """A registration that outlives the wait: 409 and when to come back, with nothing changed."""
    world = World()
    await world.abandoned(created=False, idempotency_key=KEY)
    before, server = world.memory.table, world.server("B")
    with pytest.raises(RegistrationInFlight) as busy:
        await server.register(idempotency_key=key)
    assert (busy.value.retry_after, world.memory.table) == (world.options.wait, before)
    assert len(server.events.named("registration.waited")) == 1


async def test_time_is_waited_once_for_a_request() -> None:
    """Several registrations in the way share one deadline."""
    world = World()
    await world.abandoned(created=False, email="grace@example.org", username="ada")
    world.outside.next("create", Fault.SLOW)
    began = world.clock.now()
    first = asyncio.ensure_future(world.server("B").register())
    with pytest.raises(RegistrationInFlight):
        await world.server("C").register(username="ada")
    assert (world.clock.now() - began).total_seconds() <= world.options.wait + world.options.poll_most
    assert (await first).account.email == EMAIL
