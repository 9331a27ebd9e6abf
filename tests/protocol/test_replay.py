"""The same intent once more: by its key, or, within a window, without one."""

from collections import Counter

import pytest

from semel.errors import (
    IdempotencyKeyReused,
    OutcomeUnknown,
    ProviderRefused,
    RegistrationWithdrawn,
    UserAlreadyExists,
)
from semel.model import Account, Identity, Registration
from semel.protocol.options import Options
from semel.states import Door
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED, KEY, OTHER_KEY, OTHER_PASSWORD, World

EVERYWHERE = pytest.mark.parametrize("variant", [None, Variant.OWN])


@EVERYWHERE
async def test_the_same_key_has_the_same_answer(variant: Variant | None) -> None:
    """A request that is sent again, at whatever server, has the same success, and writes nothing."""
    world = World(variant)
    first = await world.server().register(idempotency_key=KEY)
    before = world.memory.table, world.provider.state
    again = await world.server("B").register(idempotency_key=KEY)
    assert (again.account, again.replayed) == (first.account, True)
    assert (world.memory.table, world.provider.state) == before


@EVERYWHERE
@pytest.mark.parametrize(
    "fields",
    [{"email": "grace@example.org"}, {"email": "Ada@example.org"}, {"username": "ada"}, {"attributes": {"plan": 2}}],
)
async def test_another_payload_under_the_key_is_refused(variant: Variant | None, fields: dict[str, object]) -> None:
    """Under a key that was used, whatever differs in the payload as typed is another request: 422, and no change."""
    world = World(variant)
    await world.server().register(idempotency_key=KEY)
    before = world.memory.table, world.provider.state
    with pytest.raises(IdempotencyKeyReused):
        await world.server().register(idempotency_key=KEY, **fields)
    assert (world.memory.table, world.provider.state) == before


@EVERYWHERE
async def test_another_password_under_the_key_is_refused(variant: Variant | None) -> None:
    """A replay with another password is 422, counts as a failed sign-in, and sets no second credential."""
    world = World(variant)
    server = world.server()
    await server.register(idempotency_key=KEY)
    before = world.memory.table, world.provider.state
    with pytest.raises(IdempotencyKeyReused):
        await server.register(idempotency_key=KEY, password=OTHER_PASSWORD)
    assert (world.memory.table, world.provider.state) == before
    (noted,) = server.events.named("sign_in.failed")
    assert noted["account"] == world.one(Account).id


@EVERYWHERE
@pytest.mark.parametrize("keys", [(KEY, KEY), (None, None)], ids=["under its key", "as a double click"])
async def test_no_password_is_another_request_than_one(
    variant: Variant | None, keys: tuple[str | None, str | None]
) -> None:
    """Who knows the key, or all but the password, is not let in by leaving it out: where a door takes none."""
    world = World(variant)
    one, other = ({"door": Door.ADMIN, "idempotency_key": key} for key in keys)
    await world.server().register(**one)
    before = world.memory.table, world.provider.state
    with pytest.raises(IdempotencyKeyReused if keys[0] else UserAlreadyExists):
        await world.server("B").register(**other, password=None)
    assert (world.memory.table, world.provider.state) == before


@EVERYWHERE
async def test_a_request_without_a_password_has_the_same_answer(variant: Variant | None) -> None:
    """First and second both without; a password in the second is another request."""
    world = World(variant)
    asked = {"door": Door.ADMIN, "idempotency_key": KEY}
    first = await world.server().register(**asked, password=None)
    again = await world.server("B").register(**asked, password=None)
    assert (again.account, again.replayed) == (first.account, True)
    with pytest.raises(IdempotencyKeyReused):
        await world.server("B").register(**asked)


async def test_a_create_is_not_sent_again_without_its_password() -> None:
    """Nobody has an identity without a password who asked for one: the retry that leaves it out is another request."""
    world = World()
    await world.abandoned(created=False, door=Door.ADMIN, idempotency_key=KEY)
    world.lease_over()
    with pytest.raises(IdempotencyKeyReused):
        await world.server("B").register(door=Door.ADMIN, idempotency_key=KEY, password=None)
    assert world.provider.everybody() == ()
    await world.server("B").register(door=Door.ADMIN, idempotency_key=KEY)
    assert world.left() == CREATED + Counter({"at the provider": 1})


@pytest.mark.parametrize(
    "fault", [Fault.LOSE, Fault.DROP, Fault.DOWN], ids=["answer lost", "request lost", "provider down"]
)
async def test_a_replay_that_cannot_be_verified_is_unknown(fault: Fault) -> None:
    """Nobody is told of a success whose password the provider could not verify."""
    world = World()
    await world.server().register(idempotency_key=KEY)
    world.outside.next("verify_password", fault)
    with pytest.raises(OutcomeUnknown) as unknown:
        await world.server().register(idempotency_key=KEY)
    assert unknown.value.retry_after == 2 * world.provider.timeout


async def test_a_failed_key_runs_again_as_a_new_attempt() -> None:
    """After a failure the same key may run again, with a corrected payload too, and the attempt has a new id."""
    world = World()
    server = world.server()
    world.outside.next("create", Fault.REFUSE)
    with pytest.raises(ProviderRefused):
        await server.register(idempotency_key=KEY, password=OTHER_PASSWORD)
    failed = world.one(Registration)
    registered = await server.register(idempotency_key=KEY, full_name="Ada Lovelace")
    assert registered.account.id != failed.account_id
    assert (world.one(Registration).id, world.one(Registration).account_id) == (failed.id, registered.account.id)
    assert world.condemned().id == failed.account_id


@EVERYWHERE
async def test_the_key_of_a_deleted_account_is_withdrawn(variant: Variant | None) -> None:
    """A key whose account was deleted answers 410, and makes no other account."""
    world = World(variant)
    server = world.server()
    registered = await server.register(idempotency_key=KEY)
    await server.delete(registered.account.id)
    with pytest.raises(RegistrationWithdrawn):
        await server.register(idempotency_key=KEY)
    assert world.records(Account) == []


@EVERYWHERE
async def test_after_retention_a_key_is_as_good_as_new(variant: Variant | None) -> None:
    """A key that was forgotten names no registration any more: its email is taken, as for anybody."""
    world = World(variant)
    server = world.server()
    await server.register(idempotency_key=KEY)
    world.clock.advance(world.options.completed_kept)
    await server.upkeep.once()
    with pytest.raises(UserAlreadyExists):
        await server.register(idempotency_key=KEY)


WINDOW = Options().same_intent_window


@EVERYWHERE
@pytest.mark.parametrize("passed", [0.0, WINDOW])
async def test_a_double_click_without_a_key_is_one_intent(variant: Variant | None, passed: float) -> None:
    """The whole payload again, with a password that verifies, within the window: the same success."""
    world = World(variant)
    first = await world.server().register(username="ada")
    world.clock.advance(passed)
    again = await world.server("B").register(username="ada")
    assert (again.account, again.replayed) == (first.account, True)


@EVERYWHERE
@pytest.mark.parametrize(
    ("first", "second", "passed"),
    [
        ({}, {}, WINDOW + 0.001),
        ({}, {"password": OTHER_PASSWORD}, 0.0),
        ({}, {"full_name": "Ada"}, 0.0),
        ({"idempotency_key": KEY}, {}, 0.0),
        ({}, {"idempotency_key": KEY}, 0.0),
        ({"idempotency_key": KEY}, {"idempotency_key": OTHER_KEY}, 0.0),
    ],
    ids=["too late", "another password", "another payload", "the first had a key", "the second has", "two keys"],
)
async def test_any_other_loser_is_refused(
    variant: Variant | None, first: dict[str, object], second: dict[str, object], passed: float
) -> None:
    """Only the same intent, both times without a key, is a double click; all else is a conflict."""
    world = World(variant)
    await world.server().register(**first)
    world.clock.advance(passed)
    before = world.memory.table
    with pytest.raises(UserAlreadyExists):
        await world.server("B").register(**second)
    assert world.memory.table == before


async def test_a_window_of_no_length_knows_no_double_click() -> None:
    """The window can be switched off."""
    world = World(None, options=Options(same_intent_window=0))
    await world.server().register()
    world.clock.advance(0.001)
    with pytest.raises(UserAlreadyExists):
        await world.server("B").register()


async def test_a_replay_of_an_account_without_its_identity_is_no_success() -> None:
    """An identity that somebody removed at the provider opens nothing, so the replay is not answered with success."""
    world = World()
    await world.server().register(idempotency_key=KEY)
    await world.provider.delete(world.one(Identity).id)
    with pytest.raises(OutcomeUnknown):
        await world.server().register(idempotency_key=KEY)
    assert world.left() == CREATED
