"""Signing in at a remote provider: the account, the gate, and self-heal, for each state of the identity's record."""

import asyncio

import pytest

from semel.errors import (
    AccountInactive,
    IdentityAlreadyExists,
    InvalidCredentials,
    ProviderUnavailable,
    RegistrationInFlight,
    SemelError,
    UserAlreadyExists,
)
from semel.model import Account, Identity, Secret
from semel.states import Door
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED_REMOTE, EMAIL, FORGOTTEN, KEY, OTHER_PASSWORD, PASSWORD, World

VARIANTS = pytest.mark.parametrize("variant", list(Variant))


@VARIANTS
async def test_an_owned_identity_signs_in(variant: Variant) -> None:
    """The account is answered with the provider's own tokens, and remembers when."""
    world = World(variant)
    registered = await world.server().register()
    world.clock.advance(60)
    account, tokens = await world.server().sign_in("Ada@example.org")
    assert account == world.one(Account)
    assert (account.id, account.last_sign_in_at) == (registered.account.id, world.clock.now())
    assert (tokens.token_type, len(world.provider.state.sessions)) == ("bearer", 1)


@pytest.mark.parametrize(("email", "password"), [(EMAIL, OTHER_PASSWORD), ("nobody@example.org", PASSWORD)])
async def test_wrong_email_and_wrong_password_are_one_answer(email: str, password: Secret) -> None:
    """Neither is told from the other, nothing is written, and it is noted."""
    world = World()
    await world.server().register()
    before = world.memory.table
    with pytest.raises(InvalidCredentials) as refused:
        await world.server().sign_in(email, password)
    assert str(refused.value) == InvalidCredentials.title
    assert world.memory.table == before
    assert world.server().events.named("sign_in.failed") == [{"door": Door.SIGN_IN}]


async def test_an_inactive_account_is_kept_out() -> None:
    """A right password opens no account that was switched off."""
    world = World()
    account = (await world.server().register()).account
    world.edit(account.but(is_active=False))
    with pytest.raises(AccountInactive):
        await world.server().sign_in()


@VARIANTS
async def test_an_identity_without_an_account_is_given_one(variant: Variant) -> None:
    """Somebody whom the provider knows signs in: the account is made then, linked by id, and once."""
    world = World(variant)
    provider_id = world.provider.plant(EMAIL, PASSWORD)
    account, _ = await world.server().sign_in()
    assert (account.id, world.one(Identity).provider_id) == (provider_id, provider_id)
    assert (world.left(), account.email_canonical) == (CREATED_REMOTE, EMAIL)
    again, _ = await world.server("B").sign_in()
    assert (again.id, world.left()) == (account.id, CREATED_REMOTE)
    assert world.server().events.named("account.healed") == [{"account": account.id}]


async def test_two_sign_ins_heal_once() -> None:
    """Two servers heal one identity at once: one account, and both let the person in."""
    world = World()
    world.provider.plant(EMAIL, PASSWORD)
    world.network.always(Fault.SLOW, "commit")
    told = await asyncio.gather(*(world.server(name).sign_in() for name in "AB"))
    assert {account.id for account, _ in told} == {world.one(Account).id}
    assert world.left() == CREATED_REMOTE


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE])
async def test_a_lost_answer_heals_once(fault: Fault) -> None:
    """Whatever became of the commit's answer, the person is in, and there is one account."""
    world = World()
    world.provider.plant(EMAIL, PASSWORD)
    world.network.next("commit", fault)
    account, _ = await world.server().sign_in()
    await world.store.land()
    assert (account.id, world.left()) == (world.one(Account).id, CREATED_REMOTE)


async def test_an_email_that_another_identitys_account_owns_is_not_taken_over() -> None:
    """The provider's email leads to an account with another identity: a conflict, and no change."""
    world = World()
    account = (await world.server().register()).account
    await world.provider.delete(account.id)
    world.provider.plant(EMAIL, OTHER_PASSWORD)
    before = world.memory.table
    with pytest.raises(UserAlreadyExists):
        await world.server().sign_in(password=OTHER_PASSWORD)
    assert world.memory.table == before


async def test_healing_waits_for_a_registration_that_holds_the_email() -> None:
    """A sign-up in flight holds the email of somebody's identity: the provider refuses it, and lets the owner in."""
    world = World()
    world.provider.plant(EMAIL, PASSWORD)
    world.outside.next("create", Fault.SLOW)
    signed_up, signed_in = await asyncio.gather(
        world.server().register(password=OTHER_PASSWORD),
        world.after(0.5, world.server("B").sign_in()),
        return_exceptions=True,
    )
    assert isinstance(signed_up, IdentityAlreadyExists)
    assert not isinstance(signed_in, BaseException)
    assert signed_in[0].id == world.one(Account).id
    await world.server().rest()
    assert world.left() == CREATED_REMOTE + FORGOTTEN


async def test_a_held_identity_waits_for_its_registration() -> None:
    """Who signs in between create and commit 2 is let in by the registration's own account."""
    world = World()
    world.network.next("commit", None, Fault.SLOW)
    sign_in = world.after(0.5, world.server("B").sign_in())
    registered, signed_in = await asyncio.gather(world.server().register(), sign_in)
    assert signed_in[0].id == registered.account.id
    assert len(world.server("B").events.named("registration.waited")) == 1


@pytest.mark.parametrize("dead", [True, False])
async def test_a_held_identity_of_a_worker_that_died(*, dead: bool) -> None:
    """Dead: the sign-in completes the registration. Perhaps alive: it waits, then says when to come back."""
    world = World()
    left = await world.abandoned(created=True, idempotency_key=KEY)
    if not dead:
        with pytest.raises(RegistrationInFlight):
            await world.server("B").sign_in()
    world.lease_over()
    account, _ = await world.server("B").sign_in()
    assert (account.id, world.left()) == (left.account_id, CREATED_REMOTE)
    again = await world.server().register(idempotency_key=KEY)
    assert again.account.id == account.id


async def test_a_condemned_identity_opens_nothing() -> None:
    """A deleted account whose identity lags at the provider lets nobody in, and is not healed."""
    world = World()
    account = (await world.server().register()).account
    world.outside.next("delete", Fault.DROP)
    await world.server().delete(account.id)
    with pytest.raises(InvalidCredentials):
        await world.server().sign_in()
    assert (world.records(Account), world.condemned().id) == ([], account.id)


@pytest.mark.parametrize(("fault", "seconds"), [(Fault.DROP, 5.0), (Fault.DOWN, 1.0)])
async def test_a_provider_that_does_not_answer(fault: Fault, seconds: float) -> None:
    """No answer: 503, and when to come back, by the provider's word or else after its time-out."""
    world = World()
    world.outside.next("sign_in", fault)
    with pytest.raises(ProviderUnavailable) as down:
        await world.server().sign_in()
    assert down.value.retry_after == seconds


async def test_an_owned_identity_without_its_account_is_no_loop() -> None:
    """Somebody edited the tables: an error, after a bounded number of looks."""
    world = World()
    account = (await world.server().register()).account
    world.edit(gone=(Account, (account.id,)))
    with pytest.raises(SemelError):
        await world.server().sign_in()
    assert world.outside.calls["sign_in"] <= world.options.rounds


async def test_a_change_meanwhile_costs_the_time_of_the_sign_in_alone() -> None:
    """Somebody else changes the account just now: the person is in, and the change is kept."""
    world = World()
    account = (await world.server().register()).account
    changed = account.but(full_name="Ada", version=account.version + 1)
    world.network.before("commit", lambda: world.edit(changed))
    signed_in, _ = await world.server().sign_in()
    assert signed_in.id == account.id
    assert world.one(Account).full_name == "Ada"
