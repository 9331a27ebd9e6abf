"""A commit that the store or the application refuses for good, and for no record of ours."""

import asyncio
from collections import Counter
from datetime import datetime

import pytest

from semel.checking import Aftermath, check_aftermath
from semel.errors import (
    ApplicationRefused,
    IdentityAlreadyExists,
    IdentityOutcome,
    OutcomeUnknown,
    ProviderRefused,
    SemelError,
    StoreRejected,
    UserAlreadyExists,
)
from semel.model import Account, Identifier, Registration
from semel.states import RegistrationState
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED, CREATED_REMOTE, EMAIL, FORGOTTEN, KEY, OTHER_KEY, World, no_account

REFUSALS = pytest.mark.parametrize("refusal", [ApplicationRefused, StoreRejected])


@REFUSALS
async def test_the_embedded_sign_up_leaves_nothing(refusal: type[SemelError]) -> None:
    """The only commit is refused: the error names the registration, nothing was written, and it works once it may."""
    world = World(None)
    server, world.memory.objection = world.server(), no_account(refusal("not this account"))
    with pytest.raises(refusal) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.registration_id
    assert world.memory.table == {}
    del world.memory.objection
    await server.register(idempotency_key=KEY)
    assert world.left() == CREATED


@REFUSALS
async def test_commit_2_fails_the_registration(refusal: type[SemelError]) -> None:
    """The identifiers are free at once, upkeep removes the identity, and the same request works once it may."""
    world = World()
    server, world.memory.objection = world.server(), no_account(refusal("not this account"))
    with pytest.raises(refusal) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.registration_id
    assert world.records(Identifier) == []
    await server.rest()
    assert world.left() == FORGOTTEN
    del world.memory.objection
    await server.register(idempotency_key=KEY)
    assert world.left() == CREATED_REMOTE


async def test_the_identity_is_removed_at_once() -> None:
    """By the request that failed, and the refusal says so; upkeep still looks for what may land late."""
    world = World()
    server, world.memory.objection = world.server(), no_account(ApplicationRefused("not this account"))
    with pytest.raises(ApplicationRefused) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.identity is IdentityOutcome.REMOVED
    assert world.left() == FORGOTTEN + Counter({"identity condemned": 1})
    told = await check_aftermath(server.engine, world.one(Registration))
    assert (told.identity, told.next_look_at) == (IdentityOutcome.REMOVED, world.condemned().due_at)
    await server.rest()
    assert world.left() == FORGOTTEN
    assert await check_aftermath(server.engine, world.one(Registration)) == Aftermath(IdentityOutcome.REMOVED)


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.LATE])
async def test_of_what_was_never_sent_nothing_is_said(fault: Fault) -> None:
    """A first commit in doubt is refused in the end: the registration has failed, and there never was an identity."""
    world = World()
    await world.server().register(idempotency_key=OTHER_KEY)
    world.network.next("commit", fault)
    with pytest.raises(UserAlreadyExists) as refused:
        await world.server().register(idempotency_key=KEY)
    (failed,) = [one for one in world.records(Registration) if one.state is RegistrationState.FAILED]
    assert (world.outside.calls["create"], refused.value.identity) == (1, None)
    assert await check_aftermath(world.server().engine, failed) == Aftermath()


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.DOWN])
async def test_a_removal_that_is_not_known_to_be_done_is_due(fault: Fault) -> None:
    """The guarantee rests on none of it: the refusal says that the removal is due, and upkeep ends it."""
    world = World()
    server, world.memory.objection = world.server(), no_account(ApplicationRefused("not this account"))
    world.outside.next("delete", fault)
    world.outside.next("find", Fault.DOWN)
    with pytest.raises(ApplicationRefused) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.identity is IdentityOutcome.REMOVAL_DUE
    told = await check_aftermath(server.engine, world.one(Registration))
    assert told.identity is IdentityOutcome.REMOVAL_DUE
    await server.rest()
    assert world.left() == FORGOTTEN


async def test_before_the_identity_is_deleted_its_record_says_so() -> None:
    """And stays for a whole horizon from there: no look of upkeep forgets it meanwhile."""
    world = World()
    server, world.memory.objection = world.server(), no_account(ApplicationRefused("not this account"))
    seen: list[datetime | None] = []
    world.outside.before("delete", lambda: seen.append(world.condemned().look_until))
    with pytest.raises(ApplicationRefused):
        await server.register(idempotency_key=KEY)
    assert seen == [server.engine.later(world.options.removal_horizon)]


async def test_a_refusal_by_the_provider_says_what_an_earlier_create_may_have_left() -> None:
    """Nothing of a first create that is refused; of one that had no answer, a removal."""
    world = World()
    server = world.server()
    world.outside.next("create", Fault.REFUSE, Fault.LOSE, Fault.REFUSE)
    with pytest.raises(ProviderRefused) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.identity is None
    with pytest.raises(OutcomeUnknown):
        await server.register(idempotency_key=KEY)
    world.lease_over()
    with pytest.raises(ProviderRefused) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.identity is IdentityOutcome.REMOVAL_DUE
    await server.rest()
    assert world.left() == FORGOTTEN


async def test_a_taken_email_says_what_an_earlier_create_may_have_left() -> None:
    """Nothing where the first create met somebody's identity; a removal where one before had no answer."""
    world = World()
    server = world.server()
    world.outside.next("create", Fault.DROP)
    with pytest.raises(OutcomeUnknown):
        await server.register(idempotency_key=KEY)
    world.provider.plant(EMAIL)
    world.lease_over()
    with pytest.raises(IdentityAlreadyExists) as refused:
        await server.register(idempotency_key=KEY)
    assert refused.value.identity is IdentityOutcome.REMOVAL_DUE
    with pytest.raises(IdentityAlreadyExists) as refused:
        await server.register(idempotency_key=OTHER_KEY)
    assert refused.value.identity is None


@REFUSALS
async def test_a_refusal_in_doubt_is_fenced(refusal: type[SemelError]) -> None:
    """The application refuses the second try of a commit whose first is still on its way: that one makes nothing."""
    world = World(None)
    server, world.memory.objection = world.server(), no_account(refusal("not this account"))
    world.network.next("commit", Fault.LATE)
    with pytest.raises(refusal):
        await server.register(idempotency_key=KEY)
    del world.memory.objection
    await world.store.land()
    assert world.left() == FORGOTTEN


async def test_what_landed_meanwhile_is_told_as_a_success() -> None:
    """The second try of a commit is refused, and its first has landed by then: the account is there, so it is told."""
    world = World(None)
    world.network.next("commit", Fault.LATE, Fault.SLOW)

    async def object_from_now_on() -> None:
        world.memory.objection = no_account(ApplicationRefused("no account any more"))

    registered, *_ = await asyncio.gather(
        world.server().register(), world.after(0.5, world.store.land()), world.after(0.7, object_from_now_on())
    )
    assert (registered.account, world.left()) == (world.one(Account), CREATED)


@pytest.mark.parametrize("fault", [Fault.LATE, Fault.DROP])
async def test_a_refusal_of_commit_2_in_doubt_makes_nothing_later(fault: Fault) -> None:
    """The same with commit 2: the failing commit moves a record that the late one needs."""
    world = World(Variant.OWN)
    server, world.memory.objection = world.server(), no_account(ApplicationRefused("not this account"))
    world.network.next("commit", None, fault)
    with pytest.raises(ApplicationRefused):
        await server.register(idempotency_key=KEY)
    del world.memory.objection
    await world.store.land()
    assert world.records(Account) == []
    await server.rest()
    assert world.left() == FORGOTTEN
