"""What is said of an email: each state of the two halves, at each kind of provider; asking changes nothing."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from semel.checking import EmailCheck, EmailState, check_email
from semel.errors import OutcomeUnknown, ProviderUnavailable
from semel.model import Account, Identifier, Identity, Name
from semel.protocol.options import Options
from semel.testing import Fault, Variant
from tests.protocol.worlds import EMAIL, World

NAME = Name("email", EMAIL)

VARIANTS = pytest.mark.parametrize("variant", list(Variant))


async def nothing(_: World) -> None:
    """Nobody has come yet."""


async def whole(world: World) -> None:
    await world.server().register()


async def planted(world: World) -> None:
    world.provider.plant(EMAIL)


async def forgotten(world: World) -> None:
    """Somebody has deleted the identity at the provider."""
    await whole(world)
    (there,) = world.provider.everybody()
    await world.provider.delete(there.provider_id)


async def held(world: World) -> None:
    await world.abandoned(created=True)


async def condemned(world: World) -> None:
    """The account has gone, and its identity not yet."""
    await whole(world)
    world.outside.always(Fault.DOWN)
    await world.server().delete(world.one(Account).id)
    world.outside.lift()


STATES: dict[EmailState, Callable[[World], Awaitable[None]]] = {
    EmailState.NOTHING: nothing,
    EmailState.COMPLETE: whole,
    EmailState.IDENTITY_ONLY: planted,
    EmailState.ACCOUNT_ONLY: forgotten,
    EmailState.IN_FLIGHT: held,
    EmailState.REMOVAL_DUE: condemned,
}


@VARIANTS
@pytest.mark.parametrize("state", STATES)
async def test_each_state_is_told(state: EmailState, variant: Variant) -> None:
    """With the ids of what is there and the next step; the store and the provider stay as they are."""
    world = World(variant)
    await STATES[state](world)
    before = world.memory.table, world.provider.state
    found = await check_email(world.server("B").engine, NAME)
    assert found.state is state
    assert (world.memory.table, world.provider.state) == before
    assert {found.account_id} - {None} <= {account.id for account in world.records(Account)}
    assert {found.identity_id} - {None} <= {one.identity_id for one in world.provider.everybody()}
    assert (found.next.count(" ") > 1, found.registration is not None) == (
        True,
        state in {EmailState.COMPLETE, EmailState.ACCOUNT_ONLY, EmailState.IN_FLIGHT},
    )


async def test_an_identity_whose_hold_is_all_that_is_left_is_in_flight() -> None:
    """The email at the provider is a held identity's, though no identifier says so: its registration is named."""
    world = World()
    await held(world)
    world.edit(gone=(Identifier, NAME))
    found = await check_email(world.server("B").engine, NAME)
    assert (found.state, found.registration) == (EmailState.IN_FLIGHT, world.one(Identity).registration)


async def test_an_embedded_identity_is_in_the_store() -> None:
    """Nobody else is asked."""
    world = World(None)
    assert (await check_email(world.server().engine, NAME)) == EmailCheck(EmailState.NOTHING)
    account = (await world.server().register()).account
    found = await check_email(world.server().engine, NAME)
    assert (found.state, found.account_id, found.identity_id) == (EmailState.COMPLETE, account.id, account.id)
    world.edit(gone=(Identity, (account.id,)))
    assert (await check_email(world.server().engine, NAME)).state is EmailState.ACCOUNT_ONLY
    assert not world.provider.calls


async def test_another_email_at_the_provider_is_told() -> None:
    """Both halves are there, but they disagree: the next step says how to mend it."""
    world = World(Variant.OWN)
    await whole(world)
    account = world.one(Account)
    assert not (await check_email(world.server("B").engine, NAME)).another_email
    await world.provider.update(account.id, email="somebody@example.com")
    found = await check_email(world.server("B").engine, NAME)
    assert (found.state, found.another_email, found.identity_id) == (EmailState.COMPLETE, True, account.id)
    assert "another email" in found.next


@pytest.mark.parametrize("variant", [Variant.OWN, Variant.NAMED])
async def test_an_email_that_another_accounts_identity_bears_is_told(variant: Variant) -> None:
    """From the side of whoever wants the email: nobody is told to delete an identity that somebody lives with."""
    world = World(variant)
    await whole(world)
    account = world.one(Account)
    await world.provider.update(account.id, email="somebody@example.com")
    found = await check_email(world.server("B").engine, Name("email", "somebody@example.com"))
    assert (found.state, found.another_email) == (EmailState.OF_ANOTHER, True)
    assert (found.account_id, found.identity_id, found.registration) == (account.id, account.id, account.registration)
    assert "delete" not in found.next.lower()


async def test_what_somebody_planted_is_no_removal_of_ours() -> None:
    """Though it is condemned: upkeep leaves it alone, so nobody is told to wait for that."""
    world = World(options=Options(planted_after=Options().removal_horizon))
    made = world.clock.now() - timedelta(days=1)
    world.provider.plant(EMAIL, confirmed=False, created_at=made)
    world.outside.next("delete", Fault.DROP)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(proved=True)
    world.lease_over()
    await world.server().upkeep.once()
    found = await check_email(world.server("B").engine, NAME)
    assert (found.state, found.identity_id) == (EmailState.IDENTITY_ONLY, "somebody-1")


@pytest.mark.parametrize("setting", [nothing, whole])
async def test_a_provider_that_does_not_answer_is_not_guessed_at(setting: Callable[[World], Awaitable[None]]) -> None:
    """Whether it is asked for the email or for our id."""
    world = World()
    await setting(world)
    world.outside.always(Fault.DOWN)
    with pytest.raises(ProviderUnavailable) as refused:
        await check_email(world.server().engine, NAME)
    assert refused.value.retry_after == 1.0
