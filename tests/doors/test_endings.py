"""What a refusal leaves at each door, and what the end of an account leaves: nothing of the person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import pytest

from semel.testing import Fault
from semel.testing.invariants import Snapshot
from tests.doors.house import House, Server, left, without_failures
from tests.doors.table import WITHDRAWN, Answer, Row, times

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _refusals(house: House, server: Server) -> Iterator[tuple[Answer, Callable[[], None]]]:
    """Yield what refuses one intent for good, and what its caller is told."""
    rejected = Answer(503, "store_rejected")
    yield rejected, partial(server.network.next, "commit", Fault.REFUSE)
    if house.provider is not None:
        yield rejected, partial(server.network.next, "commit", None, Fault.REFUSE)
        yield Answer(422, "provider_refused"), partial(house.outside.next, "create", Fault.REFUSE)


async def test_a_refused_intent_leaves_nothing(row: Row, house: House) -> None:
    """Nothing is held, another intent has the same email, and no value of the person is left anywhere."""
    first, second = house.both
    for refusal, refuse in _refusals(house, first):
        await house.empty()
        wanted = await row.wanted(house)
        refuse()
        assert await row.send(first, wanted) == refusal
        seen = await house.rest()
        assert without_failures(left(seen)) == times(row.before, 1)
        house.later(days=8)
        assert left(await house.rest()) == times(row.before, 1)
        again = await row.send(second, wanted.again())
        assert again == row.success(again.account_id)
        assert left(await house.rest()) == row.leaves(1, remote=house.provider is not None)


async def test_the_end_of_an_account_leaves_no_value(row: Row, house: House) -> None:
    """Its key answers 410 at each server, and of the person no record says anything any more."""
    first, second = house.both
    wanted = await row.wanted(house)
    made = await row.send(first, wanted)
    assert _mentions(await house.look(), wanted.word)
    await second.semel.delete_account(made.account_id or "")
    for server in (first, second):
        assert await row.send(server, wanted) == WITHDRAWN
    seen = await house.rest()
    assert _mentions(seen, wanted.word) == []
    assert left(seen) == _remains(row)
    assert not seen.identities


def _mentions(seen: Snapshot, word: str) -> list[str]:
    """Return the types of record in which the word stands."""
    return [one.TYPE for one in seen.records if word in msgspec.json.encode(one).decode()]


def _remains(row: Row) -> Counter[str]:
    """Return what an account that was deleted leaves: ids and times."""
    told = [
        name for name in ("told account.created", "told account.deleted", *row.more) if name not in {"invited", "link"}
    ]
    return times([f"registration withdrawn at the door {row.door}", *told], 1)
