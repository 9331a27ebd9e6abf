"""Who gets which answer at a door, and what it costs."""

import asyncio
from collections.abc import Awaitable, Iterable

import msgspec
import pytest

from semel.errors import InvalidInput, StoreInconsistent, UserAlreadyExists, WriteRefused
from semel.model import Account, Identifier, Identity, Registration, Secret
from semel.protocol.engine import Registered
from semel.states import Door
from semel.testing import Fault, Variant
from tests.protocol.worlds import (
    CREATED,
    CREATED_REMOTE,
    EMAIL,
    KEY,
    OTHER_PASSWORD,
    PASSWORD,
    World,
    no_account,
)

EVERYWHERE = pytest.mark.parametrize("variant", [None, Variant.OWN])
CROWD = 10


async def answers(calls: Iterable[Awaitable[Registered]]) -> list[str]:
    """Return what a crowd is told: an account's id, or the fields of the refusal."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [_answer(one) for one in found]


def _answer(answer: Registered | BaseException) -> str:
    if isinstance(answer, Registered):
        return answer.account.id
    assert isinstance(answer, UserAlreadyExists), repr(answer)
    return " ".join(error.field for error in answer.errors)


async def test_an_embedded_sign_up_costs_one_commit() -> None:
    """With the embedded provider and a cheap hash a sign-up is one commit, one round trip, one hash."""
    world = World(None)
    registered = await world.server().register()
    assert world.network.calls == {"commit": 1}
    assert (world.hasher.hashed, registered.replayed) == (1, False)
    assert world.left() == CREATED
    assert registered.account == world.one(Account)


@pytest.mark.parametrize("variant", list(Variant))
async def test_a_remote_sign_up_costs_two_commits_and_one_create(variant: Variant) -> None:
    """With a remote provider a sign-up is two commits and one create, and the identity is linked by id."""
    world = World(variant)
    registered = await world.server().register()
    assert (world.network.calls, world.outside.calls) == ({"commit": 2}, {"create": 1})
    assert world.left() == CREATED_REMOTE
    (kept,), identity = world.provider.state.identities, world.one(Identity)
    assert (registered.account.id, kept.provider_id) == (identity.id, identity.provider_id or identity.id)


@EVERYWHERE
async def test_an_account_is_what_was_asked_for(variant: Variant | None) -> None:
    """The account says what its person typed, by either way, and its registration keeps none of it."""
    world = World(variant)
    fields = {"username": "Ada", "full_name": "Ada Lovelace", "role": "Creator", "attributes": {"plan": 1}}
    await world.server().register(email="Ada@Example.ORG", **fields)
    account, registration = world.one(Account), world.one(Registration)
    assert (account.email, account.email_canonical) == ("Ada@example.org", EMAIL)
    assert (account.username, account.username_canonical) == ("Ada", "ada")
    assert (account.full_name, account.role, account.roles) == ("Ada Lovelace", "Creator", ("Creator",))
    assert (account.attributes, account.onboarding_completed) == ('{"plan":1}', False)
    assert (registration.profile, registration.identifiers, registration.owner) == (None, (), None)


@pytest.mark.parametrize(("slow", "hashes"), [(True, 1), (False, 2)])
async def test_a_look_spares_the_losers_hash_where_a_hash_is_slow(*, slow: bool, hashes: int) -> None:
    """A taken email costs a second caller no hash where that is slow; a cheap hash is not worth the look."""
    world = World(None, slow=slow)
    await world.server().register()
    with pytest.raises(UserAlreadyExists):
        await world.server("B").register(password=OTHER_PASSWORD)
    assert world.hasher.hashed == hashes


@EVERYWHERE
@pytest.mark.parametrize(
    ("email", "username", "taken"),
    [
        ("ADA@example.org", "grace", ["email"]),
        ("grace@example.org", "Ada", ["username"]),
        (EMAIL, "ada", ["email", "username"]),
        (EMAIL, "linus", ["email", "username"]),
    ],
)
async def test_a_conflict_names_every_taken_field(
    variant: Variant | None, email: str, username: str, taken: list[str]
) -> None:
    """A conflict names all fields that are taken, by one account or by several, and changes nothing."""
    world = World(variant)
    server = world.server()
    await server.register(username="ada")
    await server.register(email="linus@example.org", username="linus")
    before = world.memory.table, world.provider.state
    with pytest.raises(UserAlreadyExists) as refused:
        await server.register(email=email, username=username, password=OTHER_PASSWORD)
    assert [error.field for error in refused.value.errors] == taken
    assert server.events.named("registration.conflict")[0]["fields"] == taken
    assert (world.memory.table, world.provider.state) == before


@pytest.mark.parametrize(("variant", "slow"), [(None, "commit"), (Variant.OWN, "commit"), (Variant.OWN, "create")])
@pytest.mark.parametrize(
    ("keys", "passwords", "winners"),
    [
        ([f"{n} is a key of its own" for n in range(CROWD)], [PASSWORD] * CROWD, 1),
        ([KEY] * CROWD, [PASSWORD] * CROWD, CROWD),
        ([None] * CROWD, [PASSWORD] * CROWD, CROWD),
        ([None] * CROWD, [Secret(f"password of caller {n}") for n in range(CROWD)], 1),
    ],
    ids=["keys that differ", "one key", "no key, one password", "no key, passwords that differ"],
)
async def test_a_crowd_makes_one_account(
    variant: Variant | None, slow: str, keys: list[str | None], passwords: list[Secret], winners: int
) -> None:
    """Ten servers at once, one email and username: one account, the same success to one intent, 409 to the others."""
    world = World(variant)
    (world.network if slow == "commit" else world.outside).always(Fault.SLOW, slow)
    asked = zip(keys, passwords, strict=True)
    told = await answers(
        world.server(str(n)).register(username="ada", idempotency_key=key, password=password)
        for n, (key, password) in enumerate(asked)
    )
    assert sorted(told) == sorted([world.one(Account).id] * winners + ["email username"] * (CROWD - winners))
    assert len(world.provider.state.identities) == (variant is not None)


async def test_keys_of_different_scopes_never_meet() -> None:
    """The same key of two callers names two intents."""
    world = World(None)
    first = await world.server().register(idempotency_key=KEY, scope="one")
    second = await world.server().register(idempotency_key=KEY, scope="two", email="grace@example.org")
    assert first.account.id != second.account.id


@EVERYWHERE
async def test_only_the_deciding_identifier_is_proved(variant: Variant | None) -> None:
    """What the caller has verified is one identifier; whatever else was typed proves nothing."""
    world = World(variant)
    await world.server().register(username="ada", proved=True)
    assert {one.kind: one.proved for one in world.records(Identifier)} == {"email": True, "username": False}


FEDERATED = {"door": Door.FEDERATED, "password": None, "federated": ("https://issuer.example", "subject")}


@EVERYWHERE
async def test_a_door_that_converges_answers_with_the_owner(variant: Variant | None) -> None:
    """Who proves what an account owns, and has proved, is given that account; nothing is made."""
    world = World(variant)
    first = await world.server().register(**FEDERATED, proved=True)
    before = world.memory.table
    again = await world.server("B").register(**FEDERATED, proved=True, full_name="Ada Lovelace")
    assert (again, world.memory.table) == (msgspec.structs.replace(first, replayed=True), before)


@pytest.mark.parametrize(
    ("door", "proved"), [(Door.FEDERATED, False), (Door.SIGNUP, True)], ids=["an unproved owner", "a door that refuses"]
)
async def test_other_doors_and_unproved_owners_do_not_converge(door: Door, *, proved: bool) -> None:
    """An owner is answered only by a door that converges, and only where it has proved the identifier."""
    world = World(None)
    await world.server().register(proved=proved)
    with pytest.raises(UserAlreadyExists):
        await world.server().register(door=door, proved=True, password=OTHER_PASSWORD)


async def test_only_the_deciding_identifier_converges() -> None:
    """Another identifier that is taken is a conflict, at whatever door."""
    world = World(None)
    await world.server().register(proved=True, username="ada")
    with pytest.raises(UserAlreadyExists):
        await world.server().register(**FEDERATED, proved=True, username="ada")


async def test_bad_input_changes_nothing_and_is_noted() -> None:
    """Input that is not valid reaches neither store nor provider."""
    world = World()
    server = world.server()
    with pytest.raises(InvalidInput):
        await server.register(email="nobody")
    assert not world.network.calls + world.outside.calls
    assert server.events.named("registration.ended") == [{"door": Door.SIGNUP, "outcome": "invalid_input"}]


async def test_a_caller_that_hangs_up_strands_nothing() -> None:
    """A caller that is cancelled only stops waiting: the registration ends all the same."""
    world = World()
    world.outside.next("create", Fault.SLOW)
    server = world.server()
    caller = asyncio.create_task(server.register())
    world.outside.before("create", caller.cancel)
    with pytest.raises(asyncio.CancelledError):
        await caller
    await server.registrar.drain(60)
    assert world.left() == CREATED_REMOTE


async def test_draining_lets_registrations_end() -> None:
    """What is in flight has time to end."""
    world = World()
    world.network.always(Fault.SLOW, "commit")
    server, sent = world.server(), asyncio.Event()
    world.network.before("commit", sent.set)
    caller = asyncio.ensure_future(server.register())
    await sent.wait()
    await server.registrar.drain(60)
    assert (caller.done(), world.left()) == (True, CREATED_REMOTE)


async def test_draining_gives_leases_up() -> None:
    """What has not ended when the time is over is stopped, and whoever comes next goes on with it at once."""
    world = World(flowing=False)
    world.outside.next("create", Fault.SLOW)
    server, sent = world.server(), asyncio.Event()
    world.outside.before("create", sent.set)
    caller = asyncio.ensure_future(server.register(idempotency_key=KEY))
    await sent.wait()
    await server.registrar.drain(0)
    await asyncio.gather(caller, return_exceptions=True)
    other = world.server("B")
    await other.register(idempotency_key=KEY)
    assert (world.left(), other.events.named("registration.waited")) == (CREATED_REMOTE, [])


async def test_what_nothing_explains_is_an_inconsistency_and_no_loop() -> None:
    """A refusal that no record explains is answered as such, after a bounded number of looks."""
    world = World(None)
    world.memory.objection = no_account(WriteRefused(constraint="a constraint that somebody added"))
    with pytest.raises(StoreInconsistent) as refused:
        await world.server().register(idempotency_key=KEY)
    assert refused.value.registration_id
    assert (world.left(), world.network.calls["commit"]) == ({}, world.options.rounds)


@pytest.mark.parametrize(
    ("last_call", "outcome"), [(None, "created"), ("commit", "interrupted")], ids=["a success", "a death"]
)
async def test_each_registration_is_noted_once(last_call: str | None, outcome: str) -> None:
    """Whatever comes of it, a registration that ended is one event with door and outcome."""
    world = World()
    server = world.server()
    if last_call:
        world.network.kill(last_call)
    await asyncio.gather(server.register(), return_exceptions=True)
    (noted,) = server.events.named("registration.ended")
    assert (noted["door"], noted["outcome"]) == (Door.SIGNUP, outcome)
