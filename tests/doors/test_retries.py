"""The same key again at each door: the same success, whatever was lost on the way of the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from semel.testing import Fault
from tests.doors.house import House, Server, left
from tests.doors.table import REUSED, Answer, Row

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN = Answer(503, "outcome_unknown")
LOST = (Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE)


async def test_the_same_key_again(row: Row, house: House) -> None:
    """The same answer at each server; with other words, or another password, it is refused and changes nothing."""
    wanted = await row.wanted(house)
    first, second = house.both
    made = await row.send(first, wanted)
    assert made == row.success(made.account_id)
    for server in (first, second):
        assert await row.send(server, wanted) == made
    assert await row.send(second, replace(wanted, full_name="Another")) == (row.reused or made)
    if row.has_password:
        assert await row.send(second, replace(wanted, password="Pass-that-is-another")) == REUSED
    assert await row.send(first, wanted) == made
    seen = await house.rest()
    assert left(seen) == row.leaves(1, remote=house.provider is not None)


def _losses(house: House, server: Server) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what can be lost on the way of one intent: each commit, and the create at a remote provider."""
    commits = 1 if house.provider is None else 2
    for nth in range(1, commits + 1):
        for fault in LOST:
            lost = partial(server.network.next, "commit", *[None] * (nth - 1), fault)
            yield f"{fault.value} commit {nth}", lost
    for fault in (*LOST, Fault.DOWN) if house.provider is not None else ():
        yield f"{fault.value} create", partial(house.outside.next, "create", fault)


async def test_what_is_lost_is_found_again(row: Row, house: House) -> None:
    """Whoever is told nothing, or that it is not known, has one account by the same key, also once all has landed."""
    first, second = house.both
    losses = list(_losses(house, first))
    for name, lose in losses:
        wanted = await row.wanted(house)
        lose()
        told = await row.send(first, wanted)
        assert (first.network.spent, house.outside.spent) == (True, True), name
        assert told in (row.success(told.account_id), UNKNOWN), name
        house.later()
        again = await row.send(second, wanted)
        assert again == row.success(again.account_id), name
        assert told in (again, UNKNOWN), name
        await house.land()
        assert await row.send(first, wanted) == again, name
    seen = await house.rest()
    assert left(seen) == row.leaves(len(losses), remote=house.provider is not None)
