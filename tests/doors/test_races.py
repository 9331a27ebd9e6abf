"""A crowd at each door, over two servers: one account, and everybody is told so, or is told why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from uuid import uuid4

import pytest

from semel.model import Account
from tests.doors.conftest import Houses
from tests.doors.house import House, left
from tests.doors.table import DOORS, Answer, Row, Wanted

pytestmark = pytest.mark.asyncio(loop_scope="session")

CROWD = 10
ALL = {"sign-up", "sign-up-http", "admin-http", "invitation-http", "federated", "gotrue-sign-up", "gotrue-admin"}


async def _at_once(row: Row, house: House, intents: Iterable[Wanted], parties: int) -> list[Answer]:
    """Send them at the two servers in turn, so many of which must meet before the store."""
    calls = [row.send(house.servers[number % 2], one) for number, one in enumerate(intents)]
    return await house.meeting(calls, parties)


async def test_one_key_is_one_account(row: Row, any_house: House) -> None:
    """Of one intent, however often it is sent, all are told the same success."""
    wanted = await row.wanted(any_house)
    # One of each server's comes as far as the store: the rest of its crowd waits for that one.
    before = any_house.counted()
    told = await _at_once(row, any_house, [wanted] * CROWD, len(any_house.servers))
    assert set(told) == {row.success(told[0].account_id)}
    counted = {f"{row.door} created": 1, f"{row.door} replayed": CROWD - 1}
    assert any_house.counted() - before == counted
    assert left(await any_house.rest()) == row.leaves(1, remote=any_house.provider is not None)


async def test_other_keys_are_other_intents(row: Row, any_house: House) -> None:
    """Of several intents for one person one has the account; the others are told who has it, or have it as well."""
    wanted = await row.wanted(any_house)
    intents = [wanted.again(number) for number in range(CROWD)]
    before = any_house.counted()
    told = await _at_once(row, any_house, intents, CROWD)
    assert any_house.counted() - before == {f"{row.door} created": 1, **row.conflicts(CROWD - 1)}
    (account_id,) = {one.account_id for one in told} - {None}
    others = row.others or row.success(account_id)
    assert Counter(told) == Counter([row.success(account_id), *[others] * (CROWD - 1)])
    seen = await any_house.rest()
    assert left(seen) == row.leaves(1, remote=any_house.provider is not None)
    won = next(one for one, answer in zip(intents, told, strict=True) if answer == row.success(account_id))
    for server in any_house.servers:
        assert await row.send(server, won) == row.success(account_id)


@pytest.mark.parametrize("remote", [False, True])
async def test_all_doors_at_once(houses: Houses, remote: bool) -> None:  # noqa: FBT001 - a parameter
    """Whoever was invited has the account, since a token proves the email; another subject has one of its own."""
    house = await houses("postgres", remote=remote)
    word = f"w{uuid4().hex[:16]}"
    rows = [row for row in DOORS if row.name in ALL and not (remote and row.embedded_only)]
    intents = [(await row.wanted(house, word)).again(number) for number, row in enumerate(rows)]
    calls = [row.send(house.servers[number % 2], intents[number]) for number, row in enumerate(rows)]
    told = dict(zip(rows, await house.meeting(calls, len(calls)), strict=True))
    seen = await house.rest()
    made = {row.name: answer.account_id for row, answer in told.items()}
    assert {one.id for one in seen.all(Account)} == {made["invitation-http"], made["federated"]}
    (owner,) = [one for one in seen.all(Account) if one.email_canonical is not None]
    assert owner.id == made["invitation-http"]
    assert {answer.status for answer in told.values()} <= {200, 201, 409, 422}
