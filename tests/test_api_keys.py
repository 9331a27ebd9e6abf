"""API keys: made once, hashed at rest, good until revoked or over."""

import pytest

from semel.api_keys import ApiKeyBook, MadeApiKey, NewApiKey, Scope
from semel.errors import InvalidInput, InvalidToken, NotFound
from semel.model import ApiKey, Secret
from semel.testing import Fault
from tests.protocol.worlds import World

ASKED = NewApiKey(name="of the shop", scopes=("users:write", "users:read", "users:read"), created_by="cli")
UNHEARD = pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])


def book(world: World, server: str = "A") -> ApiKeyBook:
    return ApiKeyBook(world.server(server).engine)


async def made(world: World, seconds: float | None = None) -> MadeApiKey:
    return await book(world).create(NewApiKey(name="n", scopes=("users:read",), seconds=seconds, created_by="cli"))


async def test_a_key_opens_and_is_hashed_at_rest() -> None:
    """Its scopes are told once each; nothing of its secret is in the record."""
    world = World(None)
    made = await book(world).create(ASKED)
    token = made.token.reveal()
    assert token.startswith(f"semel_{made.key.id}_")
    assert made.key.scopes == ("users:read", "users:write")
    assert await book(world, "B").open(made.token) == world.one(ApiKey) == made.key
    assert token.rpartition("_")[2] not in repr(world.one(ApiKey).__struct_fields__) + world.one(ApiKey).token_hash


@UNHEARD
async def test_a_key_in_doubt_is_made_once(fault: Fault) -> None:
    """Whatever came of the first commit, there is one key, and it opens."""
    world = World(None)
    world.network.next("commit", fault)
    made = await book(world).create(ASKED)
    await world.store.land()
    assert [one.id for one in world.records(ApiKey)] == [made.key.id]
    assert (await book(world).open(made.token)).id == made.key.id


async def test_what_is_no_key_opens_nothing() -> None:
    """Another secret, another id, another shape: all the same; and an unknown one is looked up as a known one is."""
    world = World(None)
    token = (await made(world)).token.reveal()
    looked = world.network.calls["get"]
    for number, wrong in enumerate(
        (token[:-1] + ("a" if token[-1] != "a" else "b"), f"semel_{'0' * 8}{token[14:]}"), 1
    ):
        with pytest.raises(InvalidToken):
            await book(world).open(Secret(wrong))
        assert world.network.calls["get"] == looked + number
    for wrong in ("", "semel_", "semel__", f"{token} ", token.replace("_", "\0", 1), "semel_\udcff_a"):
        with pytest.raises(InvalidToken):
            await book(world).open(Secret(wrong))


@UNHEARD
async def test_a_revoked_key_opens_nothing_any_more(fault: Fault) -> None:
    """From that commit on, for good; revoking again is as asked, and keeps the moment."""
    world = World(None)
    key = await made(world)
    world.network.next("commit", fault)
    revoked = await book(world).revoke(key.key.id)
    await world.store.land()
    world.clock.advance(1)
    assert await book(world).revoke(key.key.id) == revoked
    with pytest.raises(InvalidToken):
        await book(world).open(key.token)
    with pytest.raises(NotFound):
        await book(world).revoke("another")


async def test_a_key_has_its_time() -> None:
    """It opens until then, and not at that moment."""
    world = World(None)
    key = await made(world, seconds=60)
    world.clock.advance(59)
    assert await book(world).open(key.token) == key.key
    world.clock.advance(1)
    with pytest.raises(InvalidToken):
        await book(world).open(key.token)


async def test_every_field_at_fault_is_named() -> None:
    """And nothing is made."""
    world = World(None)
    asked = NewApiKey(name="", scopes=("users:read", "everything"), seconds=0, created_by="cli")
    with pytest.raises(InvalidInput) as refused:
        await book(world).create(asked)
    assert [fault.field for fault in refused.value.errors] == ["name", "scopes", "expires_in"]
    assert list(world.records(ApiKey)) == []
    with pytest.raises(InvalidInput):
        await book(world).create(NewApiKey(name="n", scopes=(), created_by="cli"))


async def test_keys_are_listed() -> None:
    """Also those that open nothing."""
    world = World(None)
    keys = [(await made(world)).key.id for _ in range(3)]
    await book(world).revoke(keys[0])
    page, following = await book(world).page(None, 2)
    rest, end = await book(world).page(following, 2)
    assert ({one.id for one in (*page, *rest)}, end) == (set(keys), None)
    assert set(Scope) >= set(page[0].scopes)
