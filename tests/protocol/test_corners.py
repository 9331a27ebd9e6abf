"""Corners of the protocol: stores that go down in between, tables that somebody edited, doors that meet late."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from semel.errors import (
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RegistrationWithdrawn,
    SemelError,
    StoreInconsistent,
    StoreRejected,
    StoreUnavailable,
    UserAlreadyExists,
    WriteRefused,
)
from semel.model import Account, Identifier, Registration
from semel.protocol.options import Options
from semel.states import Door, RegistrationState
from semel.testing import Fault, Variant
from tests.protocol.worlds import KEY, OTHER_KEY, World, no_account

EVERYWHERE = pytest.mark.parametrize("variant", [None, Variant.OWN])


@pytest.mark.parametrize("door", ["rescue", "request"])
async def test_a_constraint_at_commit_2_fails_the_registration(door: str) -> None:
    """A secondary constraint refuses the account for good: the registration fails, and nothing is left."""
    world = World()
    world.memory.objection = no_account(WriteRefused(constraint="account_email_key"))
    if door == "rescue":
        await world.abandoned(created=True)
    else:
        with pytest.raises(StoreInconsistent):
            await world.server().register(idempotency_key=KEY)
    for _ in range(5):
        await world.server().rest()
    assert world.one(Registration).state is RegistrationState.FAILED
    assert world.left()["at the provider"] == 0


@pytest.mark.parametrize(
    ("variant", "commits"),
    [
        (None, [Fault.LOSE]),
        (Variant.OWN, [Fault.LOSE]),
        (Variant.OWN, [None, Fault.LOSE]),
        (Variant.OWN, [None, Fault.DOWN]),
    ],
)
async def test_a_store_that_goes_down_in_the_middle_leaves_the_outcome_unknown(
    variant: Variant | None, commits: list[Fault | None]
) -> None:
    """After a commit in doubt, or after commit 1, a store that is down is no "nothing was changed"."""
    world = World(variant)
    world.network.next("commit", *commits)
    world.network.always(Fault.DOWN, "get", "get_many")
    with pytest.raises(OutcomeUnknown) as unknown:
        await world.server().register(idempotency_key=KEY)
    assert unknown.value.registration_id


@EVERYWHERE
async def test_a_withdrawn_key_answers_410_though_its_email_is_taken(variant: Variant | None) -> None:
    """The key's own answer comes first, whoever has the email by now."""
    world = World(variant)
    server = world.server()
    await server.delete((await server.register(idempotency_key=KEY)).account.id)
    await server.register(idempotency_key=OTHER_KEY)
    with pytest.raises(RegistrationWithdrawn):
        await server.register(idempotency_key=KEY)


@EVERYWHERE
async def test_another_payload_is_422_though_its_email_is_taken(variant: Variant | None) -> None:
    """A key that was used for another request is 422, whoever has the other email."""
    world = World(variant)
    server = world.server()
    await server.register(idempotency_key=KEY)
    await server.register(idempotency_key=OTHER_KEY, email="grace@example.org")
    with pytest.raises(IdempotencyKeyReused):
        await server.register(idempotency_key=KEY, email="grace@example.org")


@EVERYWHERE
async def test_a_replay_has_its_success_though_the_email_has_moved_on(variant: Variant | None) -> None:
    """An account that gave its email up since is still the answer of its key."""
    world = World(variant)
    server = world.server()
    first = await server.register(idempotency_key=KEY)
    world.edit(first.account.but(identifiers=()), gone=(Identifier, ("email", "ada@example.org")))
    state = world.provider.state
    world.provider.state = type(state)()
    await server.register(idempotency_key=OTHER_KEY)
    world.provider.state = state
    assert (await server.register(idempotency_key=KEY)).account.id == first.account.id


@EVERYWHERE
async def test_two_deletions_at_once_are_no_inconsistency(variant: Variant | None) -> None:
    """The account goes between two reads of the other deletion: it is not found, and nobody edited any table."""
    world = World(variant)
    account = (await world.server().register()).account
    world.network.next("get_many", Fault.SLOW)
    told = await asyncio.gather(*(world.server(n).delete(account.id) for n in "BC"), return_exceptions=True)
    assert all(one is None or isinstance(one, NotFound) for one in told), told


async def test_who_proves_nothing_converges_on_nobody() -> None:
    """Possession is no proof: an unproved asker is not answered with the owner's account."""
    world = World(None)
    await world.server().register(proved=True)
    with pytest.raises(UserAlreadyExists):
        await world.server().register(door=Door.FEDERATED, password=None, proved=False)


async def test_a_registration_that_has_lost_an_identifier_is_ended() -> None:
    """Somebody deleted one of its identifiers: rescue fails what is left, and releases it."""
    world = World()
    await world.abandoned(created=False, username="ada")
    world.edit(gone=(Identifier, ("username", "ada")))
    await world.server().rest()
    assert world.one(Registration).state is RegistrationState.FAILED
    assert world.records(Identifier) == []


@pytest.mark.parametrize("variant", [Variant.OWN])
async def test_a_hold_without_a_registration_is_an_inconsistency(variant: Variant) -> None:
    """Nobody will ever end it, so coming back helps nothing: the answer says so."""
    world = World(variant)
    await world.abandoned(created=False)
    world.edit(gone=(Registration, world.one(Registration).key))
    with pytest.raises(StoreInconsistent):
        await world.server().register()


async def test_no_window_is_no_window_at_the_same_instant() -> None:
    """Also where two servers' clocks agree to the microsecond, or one is ahead."""
    world = World(None, options=Options(same_intent_window=0))
    await world.server().register()
    with pytest.raises(UserAlreadyExists):
        await world.server("B").register()


@pytest.mark.parametrize(
    "fields", [{"role": "\ud800"}, {"role": "a\0b"}, {"role": "x" * 10_000}, {"roles": ("\ud800",)}]
)
async def test_a_role_is_a_line_of_text_at_every_door(fields: dict[str, object]) -> None:
    """An administrator's door takes any role, but not any string."""
    with pytest.raises(InvalidInput):
        await World(None).server().register(door=Door.ADMIN, **fields)


@pytest.mark.parametrize("operation", ["find", "find_by_email", "delete"])
async def test_no_request_is_sent_under_a_lease_shorter_than_its_timeout(operation: str) -> None:
    """Each answer may take long; the lease is looked at before each request, not before the first alone."""
    world = World()
    if operation == "delete":
        account = (await world.server().register()).account
        world.outside.next("delete", Fault.DROP)
        await world.server().delete(account.id)
    else:
        world.provider.plant("ada@example.org")
    left: list[float] = []

    def measure() -> None:
        (pending,) = [one for one in world.records(Registration) if one.state is RegistrationState.PENDING]
        assert pending.lease_until
        left.append((pending.lease_until - world.clock.now()).total_seconds())

    slow = {"find": ["create"], "find_by_email": ["find"], "delete": ["find_by_email"]}[operation][0]
    world.outside.before(slow, lambda: world.clock.advance(world.options.lease - world.provider.timeout))
    world.outside.next(slow, Fault.SLOW)
    world.outside.before(operation, measure)
    with suppress(SemelError):
        await world.server().register()
    assert left[0] >= world.provider.timeout


async def test_who_is_stopped_by_the_drain_is_told_that_the_outcome_is_unknown() -> None:
    """A caller that did not cancel is not told that it did."""
    world = World(flowing=False)
    world.outside.next("create", Fault.SLOW)
    server, sent = world.server(), asyncio.Event()
    world.outside.before("create", sent.set)
    caller = asyncio.ensure_future(server.register(idempotency_key=KEY))
    await sent.wait()
    await server.registrar.drain(0)
    with pytest.raises(OutcomeUnknown):
        await caller


async def test_one_lease_that_cannot_be_given_up_keeps_no_other() -> None:
    """The store is down for one of them: the others' leases are given up all the same."""
    world = World(flowing=False)
    world.outside.always(Fault.SLOW, "create")
    server = world.server()
    sent = [asyncio.Event(), asyncio.Event()]
    world.outside.before("create", sent[0].set, nth=1)
    world.outside.before("create", sent[1].set, nth=2)
    callers = [asyncio.ensure_future(server.register(email=f"ada{n}@example.org")) for n in range(2)]
    await asyncio.gather(*(one.wait() for one in sent))
    world.network.next("get", Fault.DOWN)
    with suppress(StoreUnavailable):
        await server.registrar.drain(0)
    await asyncio.gather(*callers, return_exceptions=True)
    assert sum(one.due_at == world.clock.now() for one in world.records(Registration)) == 1


async def test_a_rejected_commit_1_names_its_registration() -> None:
    """A clear 503 with a registration id, at commit 1 as at commit 2."""
    world = World()
    world.network.next("commit", Fault.REFUSE)
    with pytest.raises(StoreRejected) as refused:
        await world.server().register(idempotency_key=KEY)
    assert refused.value.registration_id


async def test_the_time_of_a_sign_in_is_written_though_somebody_else_writes() -> None:
    """The sign-in is written on top of whatever changed the account meanwhile."""
    world = World()
    account = (await world.server().register()).account
    changed = account.but(full_name="Ada", version=account.version + 1)
    world.network.before("commit", lambda: world.edit(changed))
    world.clock.advance(60)
    await world.server().sign_in()
    seen = world.one(Account)
    assert (seen.full_name, seen.last_sign_in_at) == ("Ada", world.clock.now())
