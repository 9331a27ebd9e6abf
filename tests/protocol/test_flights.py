"""Of one process's requests under one key the first goes, and the others wait for it and find its answer."""

import asyncio
from collections.abc import Awaitable
from functools import partial

import msgspec
import pytest

from semel.errors import IdempotencyKeyReused, OutcomeUnknown, RegistrationInFlight
from semel.intents import federated_intent
from semel.model import Account
from semel.protocol.engine import Registered
from semel.protocol.options import Options
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED, CREATED_REMOTE, KEY, OTHER_KEY, OTHER_PASSWORD, World

CROWD = 20
TABS = federated_intent("https://issuer.example", "subject")


async def _all(*calls: Awaitable[Registered]) -> list[Registered | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


def _one_success(answers: list[Registered | BaseException], world: World) -> None:
    """Expect that all were given the one account, and one of them made it."""
    given = [one for one in answers if isinstance(one, Registered)]
    assert [one.account for one in given] == [world.one(Account)] * len(answers)
    assert sum(not one.replayed for one in given) == 1


async def test_a_crowd_under_one_key_costs_one_callers_commits() -> None:
    """One commit; the others, who come meanwhile, read what came of it: the registration, then the account."""
    world = World(None)
    world.network.next("commit", Fault.SLOW)
    others = (world.after(number / CROWD, world.server().registrar.register(TABS)) for number in range(1, CROWD))
    _one_success(await _all(world.server().registrar.register(TABS), *others), world)
    assert world.network.calls == {"commit": 1, "get": CROWD - 1, "get_many": CROWD - 1}
    assert world.left() == CREATED


async def test_a_crowd_at_a_remote_provider_costs_one_create() -> None:
    """Two commits and one create, as for one caller; each other verifies its password."""
    world = World()
    world.network.next("commit", Fault.SLOW)
    server = world.server()
    _one_success(await _all(*(server.register(idempotency_key=KEY) for _ in range(CROWD))), world)
    assert world.network.calls["commit"] == 2
    assert world.outside.calls == {"create": 1, "verify_password": CROWD - 1}
    assert world.left() == CREATED_REMOTE


async def test_each_process_has_its_own_flight() -> None:
    """Two processes know nothing of each other's: each sends one commit, and the store decides between them."""
    world = World(None)
    world.network.always(Fault.SLOW, "commit")
    servers = world.server("A"), world.server("B")
    _one_success(await _all(*(servers[number % 2].registrar.register(TABS) for number in range(CROWD))), world)
    assert world.network.calls["commit"] == 2
    assert world.left() == CREATED


@pytest.mark.parametrize("variant", [None, Variant.OWN])
async def test_another_password_shares_no_success(variant: Variant | None) -> None:
    """Who waited for the first has its own password compared, and is refused as at any other time."""
    world = World(variant)
    world.network.next("commit", Fault.SLOW)
    server = world.server()
    right, wrong = await _all(
        server.register(idempotency_key=KEY), server.register(idempotency_key=KEY, password=OTHER_PASSWORD)
    )
    assert isinstance(right, Registered)
    assert isinstance(wrong, IdempotencyKeyReused)
    assert len(server.events.named("sign_in.failed")) == 1


async def test_another_payload_shares_no_success() -> None:
    """The same key names another intent: 422, whoever comes first."""
    world = World(None)
    world.network.next("commit", Fault.SLOW)
    server = world.server()
    first, other = await _all(
        server.register(idempotency_key=KEY), server.register(idempotency_key=KEY, email="grace@example.org")
    )
    assert isinstance(first, Registered)
    assert isinstance(other, IdempotencyKeyReused)


async def test_when_the_first_fails_each_goes_its_own_way() -> None:
    """They go on all at once, wait for no second flight, and one of them makes the account."""
    world = World(None)
    world.network.next("commit", Fault.REFUSE)
    server = world.server()
    refused, *others = await _all(*(server.registrar.register(TABS) for _ in range(CROWD)))
    assert getattr(refused, "code", None) == "store_rejected"
    _one_success(others, world)
    assert world.left() == CREATED


async def test_a_first_that_hangs_holds_nobody_up_for_longer_than_the_wait() -> None:
    """Then the second looks for itself, and says that the registration is in flight; other keys wait for nobody."""
    world = World(flowing=False, options=Options(wait=0.5))
    world.outside.next("create", Fault.SLOW)
    sent = asyncio.Event()
    world.outside.before("create", sent.set)
    server = world.server()
    first = asyncio.ensure_future(server.register(idempotency_key=KEY))
    await sent.wait()
    second = asyncio.ensure_future(server.register(idempotency_key=KEY))
    await server.register(idempotency_key=OTHER_KEY, email="grace@example.org")
    for seconds in (world.options.wait, world.options.poll_first):
        world.clock.advance(seconds)
        await _turns()
    assert (first.done(), second.done()) == (False, True)
    assert isinstance(second.exception(), RegistrationInFlight)
    world.clock.advance(60)
    assert not (await first).replayed


async def test_nobody_waits_for_longer_than_the_flight() -> None:
    """Whoever waits goes on as soon as the first is answered, and leaves no timer behind."""
    world, slow = World(None, flowing=False), 1.0
    assert slow < world.options.wait
    world.network.next("commit", Fault.SLOW)
    server, tasks = world.server(), asyncio.all_tasks()
    calls = [asyncio.ensure_future(server.registrar.register(TABS)) for _ in range(CROWD)]
    await _turns()
    assert not any(call.done() for call in calls)
    world.clock.advance(slow)
    await _turns()
    assert all(call.done() for call in calls)
    _one_success(await _all(*calls), world)
    assert asyncio.all_tasks() == tasks


async def _turns() -> None:
    """Give everybody who is ready as many turns as it takes."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_nothing_is_left_of_a_flight() -> None:
    """After a success, a failure and a caller that hung up the next one under the key is a first again."""
    world = World(None)
    server = world.server()
    for fault in (Fault.REFUSE, None):
        world.network.next("commit", fault)
        await _all(server.registrar.register(TABS))
    calls = world.network.calls.copy()
    await server.registrar.register(TABS)
    assert world.network.calls - calls == {"commit": 1, "get": 1, "get_many": 2}


async def test_a_sign_in_at_the_federated_door_is_written_down() -> None:
    """The account says when its person last proved who it is; once for a crowd, and never back in time."""
    world = World(None)
    made = await world.server().registrar.register(TABS)
    assert made.account.last_sign_in_at == world.clock.now()
    world.clock.advance(60)
    before = world.clock.now()
    world.network.calls.clear()
    world.network.always(Fault.SLOW, "commit")
    await _all(*(world.server().registrar.register(TABS) for _ in range(CROWD)))
    assert before < (world.one(Account).last_sign_in_at or before) < world.clock.now()
    assert world.network.calls["commit"] == 2  # the insert that is refused, and the time of the sign-in


async def test_a_sign_in_is_written_over_nobody_elses_change() -> None:
    """Where somebody else writes the account first, it is read again, and both changes are there."""
    world = World(None)
    server = world.server()
    made = await server.registrar.register(TABS)
    world.clock.advance(60)
    renamed = made.account.but(full_name="Ada", version=7)
    world.network.before("commit", lambda: world.edit(renamed), nth=2)
    again = await server.registrar.register(TABS)
    assert (again.account.full_name, again.account.last_sign_in_at) == ("Ada", world.clock.now())
    assert again.account == world.one(Account)


async def test_after_a_sign_in_in_doubt_nobody_is_told_that_nothing_was_changed() -> None:
    """The time may have been written; then the store is gone."""
    world = World(None)
    server = world.server()
    await server.registrar.register(TABS)
    world.clock.advance(60)
    world.network.before("commit", partial(_go, world), nth=2)
    with pytest.raises(OutcomeUnknown):
        await server.registrar.register(TABS)


def _go(world: World) -> None:
    """Lose the answer to this commit, and every request after it."""
    world.network.next("commit", Fault.LOSE)
    world.network.always(Fault.DROP, "get", "get_many")


async def test_an_inactive_account_is_answered_and_has_not_signed_in() -> None:
    """The caller sees that it is not active; nothing is written."""
    world = World(None)
    made = await world.server().registrar.register(TABS)
    world.edit(made.account.but(is_active=False))
    world.clock.advance(60)
    answer = await world.server().registrar.register(TABS)
    assert (answer.account.is_active, answer.account.last_sign_in_at) == (False, made.account.last_sign_in_at)


async def test_no_other_door_signs_in() -> None:
    """A sign-up is no sign-in, nor is a federated one that proves nothing."""
    world = World(None)
    signed_up = await world.server().register()
    unproved = msgspec.structs.replace(TABS, proved=False)
    federated = await world.server().registrar.register(unproved)
    assert (signed_up.account.last_sign_in_at, federated.account.last_sign_in_at) == (None, None)
