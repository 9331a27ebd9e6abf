"""Deleting an account: what goes with it, whatever answers are lost."""

from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from semel.errors import NotFound, OutcomeUnknown, StoreInconsistent
from semel.model import Account, Identifier, Identity, OutboxEvent, Registration, SessionFamily
from semel.states import IdentityState, RegistrationState
from semel.testing import Fault, Variant
from tests.protocol.worlds import KEY, World

EVERYWHERE = pytest.mark.parametrize("variant", [None, Variant.OWN])
WITHDRAWN = Counter({"registration withdrawn": 1})


async def test_an_embedded_account_goes_whole_in_one_commit() -> None:
    """With the embedded provider nothing is left but the memory of its key, and the event."""
    world = World(None)
    account = (await world.server().register(username="ada")).account
    world.network.calls.clear()
    await world.server().delete(account.id)
    assert (world.left(), world.network.calls["commit"]) == (WITHDRAWN, 1)
    assert [event.kind for event in world.records(OutboxEvent)] == ["account.created", "account.deleted"]
    kept = world.one(Registration).due_at
    assert kept == world.clock.now() + timedelta(seconds=world.options.completed_kept)


@pytest.mark.parametrize("variant", list(Variant))
async def test_a_remote_identity_is_removed_at_once(variant: Variant) -> None:
    """At a remote provider the identity is gone with the answer; its removal looks on, and then is forgotten."""
    world = World(variant)
    account = (await world.server().register()).account
    await world.server().delete(account.id)
    assert world.left() == WITHDRAWN + Counter({"identity condemned": 1})
    assert world.condemned().id == account.id
    await world.server().rest()
    assert world.left() == WITHDRAWN


@pytest.mark.parametrize("operation", ["find", "delete"])
async def test_a_provider_that_does_not_answer_is_asked_again_by_upkeep(operation: str) -> None:
    """The account is deleted all the same; the removal is durable."""
    world = World()
    account = (await world.server().register()).account
    world.outside.next(operation, Fault.DROP)
    await world.server().delete(account.id)
    assert (world.records(Account), world.left()["at the provider"]) == ([], 1)
    await world.server().upkeep.once()
    assert world.left()["at the provider"] == 0


@EVERYWHERE
async def test_its_identifiers_are_free_at_once(variant: Variant | None) -> None:
    """The next person may have the email and the username as soon as the deletion is answered."""
    world = World(variant)
    account = (await world.server().register(username="ada")).account
    await world.server().delete(account.id)
    again = await world.server().register(username="ada")
    assert {one.account_id for one in world.records(Identifier)} == {again.account.id}


@pytest.mark.parametrize("fault", [Fault.DROP, None])
async def test_another_life_of_its_id_is_left_alone(fault: Fault | None) -> None:
    """The account ended meanwhile, and somebody chose its id again: that one was not asked for, doubt or none."""
    world = World(None)
    account = (await world.server().register()).account
    reborn = account.but(created_at=account.created_at + timedelta(seconds=1), version=99)
    world.network.next("commit", fault)
    world.network.before("commit", lambda: world.edit(reborn), nth=1 if fault is None else 2)
    if fault is None:
        with pytest.raises(NotFound):
            await world.server().delete(account.id)
    else:
        await world.server().delete(account.id)
    assert world.one(Account) == reborn


async def test_a_store_that_goes_away_after_a_doubt_leaves_the_outcome_unknown() -> None:
    """It is not said that nothing was changed."""
    world = World(None)
    account = (await world.server().register()).account
    world.network.next("commit", Fault.LATE)
    world.network.before("commit", lambda: world.network.always(Fault.DOWN, "get", "get_many"))
    with pytest.raises(OutcomeUnknown):
        await world.server().delete(account.id)


@EVERYWHERE
@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE])
async def test_a_lost_answer_deletes_once(variant: Variant | None, fault: Fault) -> None:
    """Whatever became of the commit's answer, the account is deleted when the caller is told so, and once."""
    world = World(variant)
    account = (await world.server().register()).account
    world.network.next("commit", fault)
    await world.server().delete(account.id)
    assert world.records(Account) == []
    await world.store.land()
    await world.server().rest()
    assert world.left() == WITHDRAWN


@EVERYWHERE
async def test_an_account_whose_identity_somebody_took_out_of_the_tables_can_be_deleted(
    variant: Variant | None,
) -> None:
    """It is all that can be done with it; at a remote provider a removal is made all the same."""
    world = World(variant)
    account = (await world.server().register()).account
    world.edit(gone=(Identity, (account.id,)))
    await world.server().delete(account.id)
    await world.server().rest()
    assert world.left() == WITHDRAWN
    assert not (await world.server().register()).replayed


@EVERYWHERE
async def test_an_account_that_changes_meanwhile_is_deleted_as_it_is_then(variant: Variant | None) -> None:
    """A change between the look and the commit makes the deletion look again."""
    world = World(variant)
    account = (await world.server().register()).account
    world.network.calls.clear()
    world.network.before("commit", lambda: world.edit(account.but(full_name="Ada", version=account.version + 1)))
    await world.server().delete(account.id)
    assert (world.records(Account), world.network.calls["commit"]) == ([], 2)


@EVERYWHERE
async def test_an_account_in_a_crowd_is_deleted_when_the_crowd_has_gone(variant: Variant | None) -> None:
    """Whoever is refused more often than is usual pauses, as long as a request may wait, and gets its turn."""
    world = World(variant)
    account = (await world.server().register()).account
    for nth in range(1, 3 * world.options.rounds):
        world.network.before("commit", partial(world.edit, account.but(full_name="Ada", version=nth)), nth)
    began = world.clock.monotonic()
    await world.server().delete(account.id)
    assert world.records(Account) == []
    assert 0 < world.clock.monotonic() - began < world.options.wait


async def test_an_account_that_never_rests_leaves_the_outcome_unknown() -> None:
    """Once the wait is over, and not before."""
    world = World(None)
    account = (await world.server().register()).account
    began = world.clock.monotonic()
    for nth in range(1, 1000):
        world.network.before("commit", partial(world.edit, account.but(full_name="Ada", version=nth)), nth)
    with pytest.raises(OutcomeUnknown):
        await world.server().delete(account.id)
    assert world.clock.monotonic() - began >= world.options.wait


async def test_nobody_is_not_found() -> None:
    """An account that is not there: 404, and no change."""
    world = World()
    before = (await world.server().register(), world.memory.table)[1]
    with pytest.raises(NotFound):
        await world.server().delete("nobody")
    assert world.memory.table == before


async def test_a_deleted_account_is_not_found_again() -> None:
    """A second deletion finds nothing, and touches nothing of who came after."""
    world = World()
    account = (await world.server().register()).account
    await world.server().delete(account.id)
    await world.server().register()
    before = world.memory.table
    with pytest.raises(NotFound):
        await world.server().delete(account.id)
    assert world.memory.table == before


async def test_a_registration_long_forgotten_is_not_missed() -> None:
    """After retention an account is deleted without its registration."""
    world = World(None)
    account = (await world.server().register()).account
    world.edit(gone=(Registration, (account.registration,)))
    await world.server().delete(account.id)
    assert world.left() == {}


async def test_a_key_that_has_run_again_is_left_alone() -> None:
    """A registration that another account's attempt has under the same key is not withdrawn."""
    world = World(None)
    account = (await world.server().register(idempotency_key=KEY)).account
    world.edit(world.one(Registration).but(account_id="another", version=7))
    await world.server().delete(account.id)
    assert world.one(Registration).state is RegistrationState.COMPLETED


@pytest.mark.parametrize("state", [IdentityState.HELD, IdentityState.CONDEMNED])
async def test_an_account_whose_identity_is_not_its_own_is_an_inconsistency(state: IdentityState) -> None:
    """Somebody edited the tables: the deletion says so, and changes nothing."""
    world = World()
    account = (await world.server().register()).account
    world.edit(world.one(Identity).but(state=state))
    before = world.memory.table, world.provider.state
    with pytest.raises(StoreInconsistent):
        await world.server().delete(account.id)
    assert (world.memory.table, world.provider.state) == before


async def test_its_sessions_end_with_it_and_nobody_elses() -> None:
    """The families that the account lists are deleted, unless they are another account's."""
    world = World(None)
    account = (await world.server().register()).account
    mine, theirs = (
        SessionFamily(
            id=f"of {owner}",
            account_id=owner,
            epoch=0,
            leaves="[]",
            created_at=world.clock.now(),
            expires_at=world.clock.now(),
        )
        for owner in (account.id, "another")
    )
    world.edit(mine, theirs, account.but(sessions=(mine.id, theirs.id, "long gone")))
    await world.server().delete(account.id)
    assert world.records(SessionFamily) == [theirs]


async def test_an_identifier_that_it_has_lost_is_left_alone() -> None:
    """What the account lists and another account owns stays that account's."""
    world = World(None)
    account = (await world.server().register()).account
    theirs = world.one(Identifier).but(account_id="another", version=7)
    world.edit(theirs)
    await world.server().delete(account.id)
    assert world.one(Identifier) == theirs
