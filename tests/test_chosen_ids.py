"""An id that the caller chose leads to one account, whoever else chooses it and whatever is lost."""

import asyncio

import pytest

from semel.errors import InvalidInput, UserAlreadyExists
from semel.model import Account, Identity, Secret
from semel.ports import Ref
from semel.testing import Fault
from tests.protocol.worlds import CREATED, EMAIL, KEY, World

ID = "5f0c2a8e-0000-4000-8000-0000000000aa"
SLOW = pytest.mark.parametrize("slow", [False, True])


def taken(error: object) -> list[str]:
    assert isinstance(error, UserAlreadyExists), repr(error)
    return [fault.field for fault in error.errors]


@SLOW
async def test_the_second_of_an_id_is_refused(slow: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Also where both want it at once, from two servers, with an email each."""
    world = World(None, slow=slow)
    calls = [world.server(name).register(account_id=ID, email=f"{name}@example.org") for name in ("a", "b")]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [taken(one) for one in answers if isinstance(one, BaseException)] == [["id"]]
    assert (world.left(), world.one(Account).id) == (CREATED, ID)
    with pytest.raises(UserAlreadyExists) as refused:
        await world.server().register(account_id=ID, email=world.one(Account).email, strict=True)
    assert taken(refused.value) == ["email", "id"]


@SLOW
async def test_all_of_one_key_meet_one_account(slow: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The id that its own commit took is no rival."""
    world = World(None, slow=slow)
    calls = [world.server(name).register(account_id=ID, idempotency_key=KEY) for name in "abcd"]
    assert {one.account.id for one in await asyncio.gather(*calls)} == {ID}
    assert world.left() == CREATED


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])
async def test_a_commit_in_doubt_is_settled(fault: Fault) -> None:
    """The account is made once, and nobody is told that its id is taken by another."""
    world = World(None)
    world.network.next("commit", fault)
    assert (await world.server().register(account_id=ID)).account.id == ID
    await world.store.land()
    assert world.left() == CREATED


async def test_an_id_is_free_again_after_its_account() -> None:
    """Its events are those of another life."""
    world = World(None)
    for _ in range(2):
        await world.server().register(account_id=ID)
        await world.server().delete(ID)
    assert await world.memory.get_many([Ref(Account, (ID,)), Ref(Identity, (ID,))]) == [None, None]


async def test_the_same_again_is_another_intent_where_it_is_said_to_be() -> None:
    """No double click is taken for the first one's success."""
    world = World(None)
    assert not (await world.server().register(strict=True)).replayed
    with pytest.raises(UserAlreadyExists):
        await world.server().register(strict=True)
    with pytest.raises(UserAlreadyExists):
        await world.server().register(email=EMAIL, strict=True)


@pytest.mark.parametrize("field", ["account_id", "credential", "details", "ban_seconds"])
async def test_a_remote_provider_takes_none_of_it(field: str) -> None:
    """It would be silently lost there."""
    values = {"account_id": ID, "credential": Secret("$argon2id$"), "details": "{}", "ban_seconds": 1.0}
    with pytest.raises(InvalidInput):
        await World().server().register(**{field: values[field]})


@pytest.mark.parametrize("malformed", [ID.upper(), f"{{{ID}}}", "ada", "00000000-0000-0000-0000-000000000000"])
async def test_an_id_has_one_form(malformed: str) -> None:
    """Else one id could be taken in two spellings."""
    with pytest.raises(InvalidInput):
        await World(None).server().register(account_id=malformed)
