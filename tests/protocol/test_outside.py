"""What a remote provider may answer, and what comes of it."""

from collections import Counter
from datetime import timedelta

import pytest

from semel.errors import IdentityAlreadyExists, OutcomeUnknown, ProviderRefused, RegistrationInFlight
from semel.model import Account, Identifier, Registration, Secret
from semel.protocol.commits import leased
from semel.states import IdentityState, RegistrationState
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED_REMOTE, EMAIL, FORGOTTEN, KEY, OTHER_KEY, OTHER_PASSWORD, World

VARIANTS = pytest.mark.parametrize("variant", list(Variant))
NO_ANSWER = [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.DOWN]
PENDING = {"identifier held": 1, "identity held": 1, "registration pending": 1}


@VARIANTS
@pytest.mark.parametrize("fault", NO_ANSWER)
async def test_a_create_without_an_answer_stays_pending_for_the_retry(variant: Variant, fault: Fault) -> None:
    """Unknown: 503 and when to come back, under a short lease; the same key finds out, and nothing is made twice."""
    world = World(variant)
    world.outside.next("create", fault)
    with pytest.raises(OutcomeUnknown) as unknown:
        await world.server().register(idempotency_key=KEY)
    registration, pause = world.one(Registration), 2 * world.provider.timeout
    assert (unknown.value.registration_id, registration.state) == (registration.id, RegistrationState.PENDING)
    assert unknown.value.retry_after == (1.0 if fault is Fault.DOWN else pause)
    assert registration.lease_until == world.clock.now() + timedelta(seconds=pause)
    world.clock.advance(pause)
    registered = await world.server("B").register(idempotency_key=KEY)
    world.provider.land()
    await world.server().rest()
    assert (registered.account.id, world.left()) == (registration.account_id, CREATED_REMOTE)


@pytest.mark.parametrize(("operation", "condemned"), [("find", False), ("find_by_email", False), ("delete", True)])
async def test_no_answer_while_settling_is_unknown_too(operation: str, *, condemned: bool) -> None:
    """Whatever the provider does not answer on the way leaves the registration pending."""
    world = World()
    if condemned:
        await removal_that_lags(world)
    else:
        world.provider.plant(EMAIL)
    world.outside.next(operation, Fault.DROP)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(idempotency_key=KEY)
    (registration,) = [one for one in world.records(Registration) if one.state is RegistrationState.PENDING]
    assert registration.lease_until == world.clock.now() + timedelta(seconds=2 * world.provider.timeout)


async def removal_that_lags(world: World) -> str:
    """Leave an account's identity at the provider though the account is deleted; return its id."""
    server = world.server("the first")
    account = (await server.register()).account
    world.outside.next("delete", Fault.DROP)
    await server.delete(account.id)
    return account.id


async def test_a_refusal_by_the_provider_fails_the_registration() -> None:
    """Refused for good: the error says so, the identifiers are free at once, and upkeep leaves nothing."""
    world = World()
    server = world.server()
    world.outside.next("create", Fault.REFUSE)
    with pytest.raises(ProviderRefused) as refused:
        await server.register(idempotency_key=KEY)
    registration = world.one(Registration)
    assert (registration.state, registration.failure) == (RegistrationState.FAILED, "provider_refused")
    assert (registration.profile, registration.identifiers) == (None, ())
    assert refused.value.registration_id == registration.id
    assert (world.records(Identifier), world.condemned().id) == ([], registration.account_id)
    await server.register(idempotency_key=OTHER_KEY)
    await server.rest()
    assert world.left() == CREATED_REMOTE + FORGOTTEN


async def test_a_refusal_names_the_field_that_the_provider_names() -> None:
    """What the provider says of a field is said of the caller's."""
    world = World(Variant.MARKER)
    with pytest.raises(ProviderRefused) as refused:
        await world.server().register(email=None, username="ada")
    assert [(error.field, error.code) for error in refused.value.errors] == [("email", "provider_refused")]


@VARIANTS
async def test_already_exists_of_our_own_is_gone_forward_with(variant: Variant) -> None:
    """A create that a proxy sent twice is answered "already exists": it is ours, by id, so it is a success."""
    world = World(variant)
    world.outside.next("create", Fault.TWICE)
    registered = await world.server().register()
    assert (registered.account, world.left()) == (world.one(Account), CREATED_REMOTE)
    assert world.outside.calls["verify_password"] == 1


@VARIANTS
async def test_a_condemned_identity_in_the_way_is_deleted(variant: Variant) -> None:
    """An identity of ours whose removal lags does not keep its email from the next person."""
    world = World(variant)
    old = await removal_that_lags(world)
    registered = await world.server().register(password=OTHER_PASSWORD)
    assert registered.account.id != old
    await world.server().rest()
    assert world.left() == CREATED_REMOTE + Counter({"registration withdrawn": 1})


@VARIANTS
async def test_somebodys_identity_is_left_alone(variant: Variant) -> None:
    """An identity with this email that is none of ours: the registration fails, says so, and removes nothing."""
    world = World(variant)
    world.provider.plant(EMAIL, Secret("somebody else's own"))
    before, server = world.provider.state, world.server()
    with pytest.raises(IdentityAlreadyExists) as refused:
        await server.register(idempotency_key=KEY)
    assert [error.field for error in refused.value.errors] == ["email"]
    assert refused.value.registration_id == world.one(Registration).id
    await server.rest()
    assert (world.left(), world.provider.state) == (FORGOTTEN + Counter({"at the provider": 1}), before)


@pytest.mark.parametrize("state", [IdentityState.OWNED, IdentityState.CONDEMNED])
async def test_a_forged_marker_is_somebodys(state: IdentityState) -> None:
    """A marker copied from an identity of ours, living or condemned, makes another identity none of ours."""
    world = World(Variant.MARKER)
    server = world.server()
    if state is IdentityState.OWNED:
        await server.register(email="grace@example.org")
    else:
        await removal_that_lags(world)
    forged = world.provider.plant("linus@example.org", label=world.provider.state.identities[0].label)
    with pytest.raises(IdentityAlreadyExists):
        await server.register(email="linus@example.org")
    await server.rest()
    assert forged in {kept.provider_id for kept in world.provider.state.identities}


@pytest.mark.parametrize("lists_it", [True, False], ids=["its email", "none of its"])
async def test_an_identity_of_another_account(*, lists_it: bool) -> None:
    """Another account's identity has the email, which that account has as well or not: it is somebody's, for good."""
    world = World()
    account = (await world.server().register()).account
    world.edit(account if lists_it else account.but(identifiers=()), gone=(Identifier, ("email", EMAIL)))
    before = world.provider.state
    with pytest.raises(IdentityAlreadyExists):
        await world.server("B").register(password=OTHER_PASSWORD)
    assert (world.one(Account).id, world.provider.state) == (account.id, before)


async def test_what_has_just_gone_is_no_reason_to_refuse() -> None:
    """Something was there at the create and is gone at the look: the same create is sent again."""
    world = World()
    empty = world.provider.state
    world.provider.plant(EMAIL)
    world.outside.before("find", lambda: setattr(world.provider, "state", empty))
    registered = await world.server().register()
    assert (registered.account, world.outside.calls["create"]) == (world.one(Account), 2)


@VARIANTS
async def test_what_has_just_come_is_found_to_be_ours(variant: Variant) -> None:
    """A late create of ours lands between the two looks: it is ours by email too."""
    world = World(variant)
    world.outside.next("create", Fault.LATE)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(idempotency_key=KEY)
    world.lease_over()
    empty = world.provider.state
    world.provider.plant(EMAIL)

    def ours_comes() -> None:
        world.provider.state = empty
        world.provider.land()

    world.outside.before("find_by_email", ours_comes)
    registered = await world.server("B").register(idempotency_key=KEY)
    assert (registered.account, world.left()) == (world.one(Account), CREATED_REMOTE)


async def test_a_provider_that_contradicts_itself_is_asked_a_few_times_only() -> None:
    """An identity that is always in the way and never there: unknown, after a bounded number of calls."""
    world = World()
    empty = world.provider.state
    for nth in range(1, 9):
        world.outside.before("create", lambda: world.provider.plant(EMAIL), nth)
        world.outside.before("find", lambda: setattr(world.provider, "state", empty), nth)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(idempotency_key=KEY)
    assert (world.outside.calls["create"], world.left()) == (3, PENDING)


async def test_no_create_is_sent_under_a_lease_shorter_than_its_timeout() -> None:
    """A worker that was slow since commit 1 takes its lease anew before it sends anything."""
    world = World()
    left: list[timedelta] = []

    def measure() -> None:
        lease = world.one(Registration).lease_until
        assert lease is not None
        left.append(lease - world.clock.now())

    world.network.before("commit", lambda: world.clock.advance(world.options.lease - world.provider.timeout + 1))
    world.outside.before("create", measure)
    await world.server().register()
    assert left == [timedelta(seconds=world.options.lease)]


async def test_a_worker_that_cannot_renew_its_lease_sends_nothing() -> None:
    """Whose registration was taken over while it slept sends no create: it looks again."""
    world = World()

    def overtaken() -> None:
        world.lease_over()
        theirs = leased(world.one(Registration), "another", world.clock.now(), world.options.lease, world.options)
        world.edit(theirs.but(version=1))

    world.network.before("commit", lambda: world.clock.advance(world.options.lease - 1))
    world.network.before("commit", overtaken, nth=2)
    with pytest.raises(RegistrationInFlight):
        await world.server().register()
    assert not world.outside.calls
