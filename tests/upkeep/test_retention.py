"""Retention: what has been kept for long enough is forgotten, and not before."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from semel.errors import ProviderRefused
from semel.model import Account, OutboxEvent, Record, Registration
from semel.testing import Fault
from semel.upkeep import BUILT_IN, Upkeep
from tests.protocol.worlds import CREATED_REMOTE, KEY, World


async def completed(world: World) -> None:
    await world.server().register(idempotency_key=KEY)


async def withdrawn(world: World) -> None:
    world.clock.advance(world.options.completed_kept - 1)
    await world.server().delete((await world.server().register()).account.id)


async def failed(world: World) -> None:
    world.outside.next("create", Fault.REFUSE)
    with pytest.raises(ProviderRefused):
        await world.server().register()


@pytest.mark.parametrize(
    ("leave", "kind", "option"),
    [
        (completed, Registration, "completed_kept"),
        (withdrawn, Registration, "completed_kept"),
        (failed, Registration, "failed_kept"),
        (completed, OutboxEvent, "events_kept"),
    ],
)
async def test_it_is_kept_for_so_long_and_no_longer(
    leave: Callable[[World], Awaitable[None]], kind: type[Record], option: str
) -> None:
    """A registration that ended, and an event, are forgotten once their time is over; not a millisecond before."""
    world = World()
    await leave(world)
    world.clock.advance(getattr(world.options, option) - 0.001)
    await world.server().upkeep.once()
    assert world.records(kind)
    world.clock.advance(0.001)
    await world.server().upkeep.once()
    assert not world.records(kind)


async def test_an_account_outlives_its_registration() -> None:
    """What is forgotten is the memory of the request alone: the account can still be deleted."""
    world = World()
    await completed(world)
    world.clock.advance(world.options.completed_kept)
    await world.server().upkeep.once()
    assert world.left() == CREATED_REMOTE - Counter({"registration completed": 1})
    await world.server().delete(world.one(Account).id)
    assert world.left() == {"identity condemned": 1}


async def test_a_pending_registration_is_never_forgotten() -> None:
    """However old: to end it is the business of another duty."""
    world = World()
    await world.abandoned(created=False)
    world.clock.advance(10 * world.options.completed_kept)
    retention = tuple(duty for duty in BUILT_IN if duty.name == "forget_registration")
    await Upkeep(world.server().engine, retention).once()
    assert world.left()["registration pending"] == 1
