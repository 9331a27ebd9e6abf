"""An identity that somebody planted under an email must not block who proves it; all else of somebody's stays."""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from semel.errors import IdentityAlreadyExists, InvalidCredentials, OutcomeUnknown
from semel.model import Account, Identity
from semel.protocol.options import Options
from semel.states import IdentityState
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED_REMOTE, EMAIL, FORGOTTEN, KEY, OTHER_KEY, OTHER_PASSWORD, World

VARIANTS = pytest.mark.parametrize("variant", list(Variant))
AFTER = timedelta(hours=1)
CORRECTED = "cora@example.org"
PLANTED = Options(planted_after=AFTER.total_seconds())
UNTOUCHED = FORGOTTEN + Counter({"at the provider": 1})


def planted(variant: Variant = Variant.OWN, options: Options = PLANTED, **changes: Any) -> World:  # noqa: ANN401 - as the fake takes them
    """Return a world where somebody signed up with the email past us, just so long ago; or with something changed."""
    world = World(variant, options=options)
    plant = partial(world.provider.plant, EMAIL, OTHER_PASSWORD, confirmed=False)
    plant(**{"created_at": world.clock.now() - AFTER, **changes})
    return world


def change(world: World, **changes: Any) -> None:  # noqa: ANN401 - as the provider keeps them
    """Change the planted identity at the provider; nobody is asked."""
    (kept,) = world.provider.state.identities
    changed = msgspec.structs.replace(kept, **changes)
    world.provider.state = msgspec.structs.replace(world.provider.state, identities=(changed,))


def confirm(world: World, *, disabled: bool = False) -> None:
    """Let the planted identity be confirmed, or switched off."""
    change(world, confirmed=not disabled, disabled=disabled)


async def condemned(world: World) -> None:
    """Let somebody who has proved the email condemn the identity, and end before it is deleted."""
    world.outside.next("delete", Fault.DROP)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(idempotency_key=KEY, proved=True)
    assert world.condemned().id == "somebody-1"


@VARIANTS
async def test_who_proves_the_email_has_it(variant: Variant) -> None:
    """The planted identity goes, under a record that says so, and the account is made by the same request."""
    world = planted(variant)
    registered = await world.server().register(idempotency_key=KEY, proved=True)
    assert world.left() == CREATED_REMOTE + Counter({"identity condemned": 1})
    assert [one.identity_id for one in world.provider.everybody()] == [registered.account.id]
    with pytest.raises(InvalidCredentials):
        await world.server().sign_in(password=OTHER_PASSWORD)
    await world.server().rest()
    assert world.left() == CREATED_REMOTE
    assert (await world.server().sign_in())[0].id == registered.account.id


@VARIANTS
async def test_who_has_not_proved_it_is_refused(variant: Variant) -> None:
    """As for any identity of somebody's: it stays."""
    world = planted(variant)
    with pytest.raises(IdentityAlreadyExists):
        await world.server().register(idempotency_key=KEY)
    await world.server().rest()
    assert world.left() == UNTOUCHED


@pytest.mark.parametrize(
    "changes",
    [{"confirmed": True}, {"created_at": None}],
    ids=["confirmed", "young"],
)
async def test_what_may_be_its_owners_stays(changes: dict[str, Any]) -> None:
    """A confirmed identity, and one that is so young that its owner may be reading the mail that confirms it."""
    world = planted(**changes)
    with pytest.raises(IdentityAlreadyExists):
        await world.server().register(idempotency_key=KEY, proved=True)
    assert world.network.calls["commit"] == 2  # commit 1 and the failing one: nothing was condemned on the way
    await world.server().rest()
    assert world.left() == UNTOUCHED


async def test_an_identity_of_no_known_age_stays() -> None:
    """A provider that does not say when it was made gives no reason to remove it."""
    world = planted()
    (kept,) = world.provider.state.identities
    ageless = msgspec.structs.replace(kept, created_at=None)
    world.provider.state = msgspec.structs.replace(world.provider.state, identities=(ageless,))
    with pytest.raises(IdentityAlreadyExists):
        await world.server().register(idempotency_key=KEY, proved=True)
    assert len(world.provider.everybody()) == 1


async def test_an_identity_that_was_switched_off_stays() -> None:
    """Somebody decided that at the provider."""
    world = planted()
    confirm(world, disabled=True)
    with pytest.raises(IdentityAlreadyExists):
        await world.server().register(idempotency_key=KEY, proved=True)
    assert len(world.provider.everybody()) == 1


async def test_by_default_none_goes() -> None:
    """Whether nobody but Semel makes identities is for the operator to say."""
    world = planted(options=Options(), created_at=World().clock.now() - timedelta(days=10_000))
    with pytest.raises(IdentityAlreadyExists):
        await world.server().register(idempotency_key=KEY, proved=True)
    assert len(world.provider.everybody()) == 1


@pytest.mark.parametrize("operation", ["find_by_email", "commit"])
async def test_one_that_is_confirmed_meanwhile_is_spared(operation: str) -> None:
    """Before it is condemned, or after: it stays, the caller is refused, and who confirmed it signs in at once."""
    world = planted()
    network = world.outside if operation == "find_by_email" else world.network
    network.before(operation, lambda: confirm(world), nth=2)
    with pytest.raises(IdentityAlreadyExists):
        await world.server().register(idempotency_key=KEY, proved=True)
    assert world.left() == FORGOTTEN + Counter(
        {"at the provider": 1, "identity condemned": 1}
    )  # our own, of no identity
    account, _ = await world.server().sign_in(password=OTHER_PASSWORD)
    assert [one.identity_id for one in world.provider.everybody()] == [account.id]


@pytest.mark.parametrize("operation", ["find_by_email", "delete"])
async def test_the_same_key_goes_on_where_a_request_ended(operation: str) -> None:
    """No answer to the second look, or to the delete: upkeep leaves it alone, and the retry has the account."""
    world = planted()
    faults = [None, Fault.DROP] if operation == "find_by_email" else [Fault.DROP]
    world.outside.next(operation, *faults)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(idempotency_key=KEY, proved=True)
    await world.server().upkeep.once()
    assert [one.identity_id for one in world.provider.everybody()] == ["somebody-1"]
    world.lease_over()
    registered = await world.server().register(idempotency_key=KEY, proved=True)
    assert [one.identity_id for one in world.provider.everybody()] == [registered.account.id]
    await world.server().rest()
    assert world.left() == CREATED_REMOTE


@VARIANTS
@pytest.mark.parametrize("late", [False, True], ids=["at once", "when it is forgotten"])
async def test_the_next_proof_has_the_email(variant: Variant, *, late: bool) -> None:
    """Whoever condemned it never came back: it is in nobody's way who proves the email, then or later."""
    world = planted(variant)
    await condemned(world)
    world.lease_over()
    if late:
        await world.server().rest()
        assert world.left() == UNTOUCHED
    registered = await world.server("B").register(idempotency_key=OTHER_KEY, proved=True)
    assert [one.identity_id for one in world.provider.everybody()] == [registered.account.id]
    await world.server().rest()
    assert world.left() == CREATED_REMOTE + FORGOTTEN


@VARIANTS
async def test_upkeep_spares_one_that_was_given_another_email(variant: Variant) -> None:
    """An administrator corrected it at the provider, so it is not under the email any more: it is as if never seen."""
    world = planted(variant)
    await condemned(world)
    change(world, email=CORRECTED)
    await world.server().rest()
    assert [one.email for one in world.provider.everybody()] == [CORRECTED]
    account, _ = await world.server().sign_in(CORRECTED, OTHER_PASSWORD)
    assert (account.id, account.email) == ("somebody-1", CORRECTED)


async def test_who_only_claims_its_new_email_deletes_nothing() -> None:
    """Condemned for one email, it bears another: that one, too, has to be proved."""
    world = planted()
    await condemned(world)
    change(world, email=CORRECTED)
    with pytest.raises(IdentityAlreadyExists):
        await world.server("B").register(email=CORRECTED)
    assert [one.email for one in world.provider.everybody()] == [CORRECTED]
    world.lease_over()
    await world.server().register(idempotency_key=KEY, proved=True)
    assert {one.email for one in world.provider.everybody()} == {CORRECTED, EMAIL}


@pytest.mark.parametrize("operation", ["find_by_email", "commit"])
async def test_one_that_is_given_another_email_meanwhile_is_spared(operation: str) -> None:
    """Before it is condemned, or after: it is no longer in the way, and both have what is theirs."""
    world = planted()
    network = world.outside if operation == "find_by_email" else world.network
    network.before(operation, lambda: change(world, email=CORRECTED), nth=2)
    await world.server().register(idempotency_key=KEY, proved=True)
    assert world.left() == CREATED_REMOTE + Counter({"at the provider": 1})
    account, _ = await world.server().sign_in(CORRECTED, OTHER_PASSWORD)
    assert account.id == "somebody-1"


@pytest.mark.parametrize("disabled", [False, True], ids=["confirmed", "switched off"])
async def test_whoever_tries_in_vain_does_not_keep_the_record_of_one_that_is_spared(*, disabled: bool) -> None:
    """It is forgotten when it would have been: else anybody could keep somebody from signing in for ever."""
    world = planted()
    await condemned(world)
    confirm(world, disabled=disabled)
    (before,) = [one for one in world.records(Identity) if one.state is IdentityState.CONDEMNED]
    world.lease_over()
    with pytest.raises(IdentityAlreadyExists):
        await world.server("B").register(idempotency_key=OTHER_KEY)
    after = {one.id: one.look_until for one in world.records(Identity)}
    assert after[before.id] == before.look_until
    await world.server().rest()
    assert world.left() == UNTOUCHED + Counter({"registration failed": 1})  # each of the two who tried


async def test_upkeep_spares_one_that_is_confirmed_meanwhile() -> None:
    """While a delete of it may still land nobody signs in with it; then its record goes, and it is as if never seen."""
    world = planted()
    await condemned(world)
    confirm(world)
    await world.server().upkeep.once()
    with pytest.raises(InvalidCredentials):
        await world.server().sign_in(password=OTHER_PASSWORD)
    await world.server().rest()
    assert (len(world.provider.everybody()), world.records(Account)) == (1, [])
    assert [one["identity"] for one in world.server().events.named("identity.spared")] == ["somebody-1"]
    assert (await world.server().sign_in(password=OTHER_PASSWORD))[0].email == EMAIL


async def test_another_that_meets_a_condemned_one_looks_again_too() -> None:
    """Its delete was lost and it is confirmed by now: whoever wants the email next leaves it alone."""
    world = planted()
    await condemned(world)
    confirm(world)
    world.lease_over()
    with pytest.raises(IdentityAlreadyExists):
        await world.server("B").register(idempotency_key=OTHER_KEY, proved=True)
    assert len(world.provider.everybody()) == 1


async def test_the_record_says_who_condemned_it() -> None:
    """By its registration: so it is told apart from what was ours."""
    world = planted()
    world.outside.next("delete", Fault.DROP)
    with pytest.raises(OutcomeUnknown) as unknown:
        await world.server().register(idempotency_key=KEY, proved=True)
    (record,) = [one for one in world.records(Identity) if one.state is IdentityState.CONDEMNED]
    assert (record.id, record.registration) == ("somebody-1", unknown.value.registration_id)
