"""A commit whose answer is lost: it happened, or not, or will; nobody is told "failed" of what then happens."""

import asyncio
from collections import Counter

import pytest

from semel.errors import ProviderRefused, UserAlreadyExists
from semel.model import Account, Registration
from semel.states import RegistrationState
from semel.testing import Fault, Variant
from tests.protocol.worlds import (
    CREATED,
    CREATED_REMOTE,
    FORGOTTEN,
    KEY,
    OTHER_KEY,
    OTHER_PASSWORD,
    World,
)

LOST = pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE])
EVERYWHERE = pytest.mark.parametrize("variant", [None, Variant.OWN])
COMMITS = pytest.mark.parametrize(
    ("variant", "nth"), [(None, 1), (Variant.OWN, 1), (Variant.OWN, 2)], ids=["the only commit", "commit 1", "commit 2"]
)


@COMMITS
@LOST
async def test_a_lost_answer_is_settled_within_the_request(variant: Variant | None, nth: int, fault: Fault) -> None:
    """Whichever commit's answer is lost, in whatever way: one account, one hash, and its caller is told so."""
    world = World(variant)
    world.network.next("commit", *[None] * (nth - 1), fault)
    registered = await world.server().register(idempotency_key=KEY)
    await world.store.land()
    await world.server().rest()
    assert registered.account == world.one(Account)
    assert world.left() == (CREATED_REMOTE if variant else CREATED)
    assert world.hasher.hashed == (variant is None)


@COMMITS
async def test_what_cannot_be_read_back_is_looked_at_again(variant: Variant | None, nth: int) -> None:
    """The commit happened, its answer and the first look are lost: the request meets its own registration."""
    world = World(variant)
    world.network.next("commit", *[None] * (nth - 1), Fault.LOSE)
    world.network.next("get", Fault.DOWN)
    registered = await world.server().register()
    assert registered.account == world.one(Account)
    assert world.left() == (CREATED_REMOTE if variant else CREATED)


@EVERYWHERE
async def test_a_refusal_after_a_doubt_is_fenced(variant: Variant | None) -> None:
    """Told 409 after its first commit was lost, a request makes nothing later, though the way is free by then."""
    world = World(variant)
    winner = (await world.server().register()).account
    world.network.next("commit", Fault.LATE)
    with pytest.raises(UserAlreadyExists):
        await world.server("B").register(idempotency_key=KEY, password=OTHER_PASSWORD)
    fence = next(one for one in world.records(Registration) if one.state is RegistrationState.FAILED)
    assert fence.failure == "user_already_exists"
    await world.server().delete(winner.id)
    await world.store.land()
    await world.server().rest()
    assert world.left() == FORGOTTEN + Counter({"registration withdrawn": 1})


async def test_a_doubt_about_a_new_attempt_is_fenced_too() -> None:
    """The same where the key had failed before: the fence takes the place of the failed attempt."""
    world = World()
    server = world.server()
    world.outside.next("create", Fault.REFUSE)
    with pytest.raises(ProviderRefused):
        await server.register(idempotency_key=KEY)
    winner = (await server.register(idempotency_key=OTHER_KEY)).account
    world.network.next("commit", Fault.LATE)
    with pytest.raises(UserAlreadyExists):
        await server.register(idempotency_key=KEY)
    await server.delete(winner.id)
    await world.store.land()
    await server.rest()
    assert world.records(Account) == []


@EVERYWHERE
async def test_what_landed_after_all_is_no_conflict(variant: Variant | None) -> None:
    """The record that refuses may be our own first commit, come late: then the request goes on from it."""
    world = World(variant)
    world.network.next("commit", Fault.LATE, Fault.SLOW)
    registered, _ = await asyncio.gather(world.server().register(), world.after(0.5, world.store.land()))
    assert registered.account == world.one(Account)
    assert world.left() == (CREATED_REMOTE if variant else CREATED)


@LOST
async def test_a_lost_failing_commit_is_settled_too(fault: Fault) -> None:
    """A provider's refusal is told once the registration has failed, whatever became of the failing commit's answer."""
    world = World()
    world.outside.always(Fault.REFUSE, "create")
    world.network.next("commit", None, fault)
    with pytest.raises(ProviderRefused):
        await world.server().register(idempotency_key=KEY)
    assert world.one(Registration).state is RegistrationState.FAILED
    await world.store.land()
    await world.server().rest()
    assert world.left() == FORGOTTEN
