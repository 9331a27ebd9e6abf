"""Whoever meets a dead registration ends it: forward where its identity exists, else by failing it."""

import asyncio

import pytest

from semel.errors import IdempotencyKeyReused, UserAlreadyExists
from semel.model import Account, Registration
from semel.protocol.engine import Registered
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED_REMOTE, FORGOTTEN, KEY, OTHER_KEY, OTHER_PASSWORD, PASSWORD, World

VARIANTS = pytest.mark.parametrize("variant", list(Variant))


async def test_a_newcomer_fails_what_never_began() -> None:
    """A dead registration whose identity is not there is failed by the newcomer, which has the email then."""
    world = World()
    dead = await world.abandoned(created=False, idempotency_key=KEY)
    world.lease_over()
    newcomer = world.server("B")
    registered = await newcomer.register(idempotency_key=OTHER_KEY, password=OTHER_PASSWORD)
    assert newcomer.events.named("registration.rescued") == [{"registration": dead.id, "outcome": "failed"}]
    assert newcomer.events.named("registration.waited") == []
    assert (world.one(Account).id, world.condemned().id) == (registered.account.id, dead.account_id)
    await newcomer.rest()
    assert world.left() == CREATED_REMOTE + FORGOTTEN


@VARIANTS
async def test_a_newcomer_goes_forward_with_what_was_made(variant: Variant) -> None:
    """A dead registration whose identity exists is completed by the newcomer, which is then told of the conflict."""
    world = World(variant)
    dead = await world.abandoned(created=True, idempotency_key=KEY)
    world.lease_over()
    with pytest.raises(UserAlreadyExists):
        await world.server("B").register(idempotency_key=OTHER_KEY, password=OTHER_PASSWORD)
    assert (world.left(), world.one(Account).id) == (CREATED_REMOTE, dead.account_id)
    again = await world.server("C").register(idempotency_key=KEY)
    assert again.account.id == dead.account_id


@VARIANTS
@pytest.mark.parametrize("created", [False, True])
async def test_the_retry_sends_the_same_create_again(variant: Variant, *, created: bool) -> None:
    """The same key takes the lease and goes on with the same id, whether or not its create had landed."""
    world = World(variant)
    dead = await world.abandoned(created=created, idempotency_key=KEY)
    world.lease_over()
    server, owners = world.server("B"), {dead.owner}
    world.outside.before("create", lambda: owners.add(world.one(Registration).owner))
    registered = await server.register(idempotency_key=KEY)
    assert (registered.account.id, world.left()) == (dead.account_id, CREATED_REMOTE)
    assert len(owners) == 2
    assert not server.events.named("registration.failed")


async def test_a_retry_with_another_password_is_refused_once_the_identity_exists() -> None:
    """The account is made with the password that its identity has; the other one is answered 422."""
    world = World()
    dead = await world.abandoned(created=True, idempotency_key=KEY)
    world.lease_over()
    with pytest.raises(IdempotencyKeyReused):
        await world.server("B").register(idempotency_key=KEY, password=OTHER_PASSWORD)
    assert world.left() == CREATED_REMOTE
    replayed = await world.server("C").register(idempotency_key=KEY, password=PASSWORD)
    assert replayed.account.id == dead.account_id


async def test_a_retry_with_another_password_may_be_the_first_to_create() -> None:
    """Where no identity exists yet, nothing speaks for the first password: the one that created it is the account's."""
    world = World()
    await world.abandoned(created=False, idempotency_key=KEY)
    world.lease_over()
    registered = await world.server("B").register(idempotency_key=KEY, password=OTHER_PASSWORD)
    replayed = await world.server("C").register(idempotency_key=KEY, password=OTHER_PASSWORD)
    assert registered.account == replayed.account


async def test_a_live_registration_is_left_to_its_worker() -> None:
    """A newcomer that waits in vain takes nothing from a worker that may still be at work."""
    world = World()
    world.outside.next("create", Fault.SLOW)
    newcomer = world.server("B")
    calls = world.server().register(idempotency_key=KEY), newcomer.register(idempotency_key=OTHER_KEY)
    first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, Registered)
    assert isinstance(second, UserAlreadyExists)
    assert (first.account, world.outside.calls["create"]) == (world.one(Account), 1)
    assert len(newcomer.events.named("registration.waited")) == 1


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["its own key's retry", "a newcomer"])
async def test_a_worker_that_slept_loses_the_race(key: str) -> None:
    """A worker past its lease undoes nothing of what another did meanwhile: it looks again, and has its answer anew."""
    world = World()
    others: list[asyncio.Task[Registered]] = []

    def sleep() -> None:
        world.lease_over()
        others.append(asyncio.ensure_future(world.server("B").register(idempotency_key=key, password=PASSWORD)))

    world.outside.before("create", sleep)
    world.outside.next("create", Fault.SLOW)
    (told,) = await asyncio.gather(world.server().register(idempotency_key=KEY), return_exceptions=True)
    (winner,) = await asyncio.gather(*others)
    assert isinstance(told, Registered if key == KEY else UserAlreadyExists)
    await world.server().rest()
    assert winner.account == world.one(Account)
    assert world.left() - FORGOTTEN == CREATED_REMOTE
