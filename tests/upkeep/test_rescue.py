"""Rescue: what a worker that died left behind is ended, forward where it can be."""

import asyncio
from collections import Counter

import pytest

from semel.errors import ApplicationRefused, SemelError, StoreRejected
from semel.model import Account, Registration
from semel.states import RegistrationState
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED_REMOTE, FORGOTTEN, KEY, World, no_account

VARIANTS = pytest.mark.parametrize("variant", list(Variant))


@VARIANTS
async def test_an_identity_that_exists_is_gone_forward_with(variant: Variant) -> None:
    """Its worker died before commit 2: rescue makes the account, and the same key has its success."""
    world = World(variant)
    dead = await world.abandoned(created=True, idempotency_key=KEY, username="ada")
    world.lease_over()
    server = world.server()
    assert (await server.upkeep.once())["rescue"] == 1
    account = world.one(Account)
    assert (account.id, account.username) == (dead.account_id, "ada")
    assert server.events.named("registration.rescued") == [{"registration": dead.id, "outcome": "completed"}]
    replayed = await server.register(idempotency_key=KEY, username="ada")
    assert replayed.account.id == account.id


@VARIANTS
async def test_an_identity_that_is_not_there_fails_its_registration(variant: Variant) -> None:
    """Its worker died before the create: rescue fails it, and condemns what might still come."""
    world = World(variant)
    dead = await world.abandoned(created=False, idempotency_key=KEY)
    world.lease_over()
    await world.server().upkeep.once()
    failed = world.one(Registration)
    assert (failed.state, failed.failure) == (RegistrationState.FAILED, "abandoned")
    assert world.left() == FORGOTTEN + Counter({"identity condemned": 1})
    assert world.condemned().id == dead.account_id
    await world.server().rest()
    assert world.left() == FORGOTTEN


async def test_a_lease_is_respected_and_the_skew_with_it() -> None:
    """Before lease and skew are over nothing is touched, however often upkeep passes."""
    world = World()
    await world.abandoned(created=False)
    before = world.memory.table
    world.clock.advance(world.options.lease + world.options.grace - 0.001)
    await world.server().upkeep.once()
    assert world.memory.table == before
    world.clock.advance(0.001)
    assert (await world.server().upkeep.once())["rescue"] == 1


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DOWN])
async def test_a_provider_that_does_not_answer_ends_nothing(fault: Fault) -> None:
    """Whether the identity exists is not known, so the registration stays as it is, and a later pass ends it."""
    world = World()
    await world.abandoned(created=True)
    world.lease_over()
    world.outside.next("find", fault)
    await world.server().upkeep.once()
    assert world.one(Registration).state is RegistrationState.PENDING
    await world.server().upkeep.once()
    assert world.one(Registration).state is RegistrationState.PENDING
    world.lease_over()
    await world.server().upkeep.once()
    assert world.left() == CREATED_REMOTE


@pytest.mark.parametrize("created", [False, True])
async def test_two_rescuers_end_it_once(*, created: bool) -> None:
    """Two servers' upkeep at once: one has the lease, the other stops, and there is one outcome."""
    world = World()
    await world.abandoned(created=created)
    world.lease_over()
    world.network.always(Fault.SLOW, "commit")
    await asyncio.gather(*(world.server(name).upkeep.once() for name in "BC"))
    told = [noted for name in "BC" for noted in world.server(name).events.named("registration.rescued")]
    assert len(told) == 1
    await world.server().rest()
    assert world.left() == (CREATED_REMOTE if created else FORGOTTEN)


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("created", [False, True])
async def test_a_lost_answer_is_made_up_for_by_a_later_pass(fault: Fault, nth: int, *, created: bool) -> None:
    """Whichever commit of a rescue is lost: at most a lease later it is ended, and once."""
    world = World()
    await world.abandoned(created=created)
    world.lease_over()
    world.network.next("commit", *[None] * (nth - 1), fault)
    await world.server().upkeep.once()
    world.lease_over()
    await world.server().upkeep.once()
    await world.store.land()
    await world.server().rest()
    assert world.left() == (CREATED_REMOTE if created else FORGOTTEN)


@pytest.mark.parametrize("refusal", [ApplicationRefused, StoreRejected])
async def test_what_commit_2_may_not_make_is_failed(refusal: type[SemelError]) -> None:
    """The application or the store refuses the account for good: rescue fails the registration, and all is removed."""
    world = World()
    await world.abandoned(created=True)
    world.lease_over()
    world.memory.objection = no_account(refusal("not this account"))
    await world.server().upkeep.once()
    assert world.one(Registration).failure == refusal.code
    await world.server().rest()
    assert world.left() == FORGOTTEN
