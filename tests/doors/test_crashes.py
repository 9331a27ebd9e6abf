"""A worker dies at each door, before and after each of its steps; and comes back when all is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from semel.testing import Fault
from tests.doors.house import House, Server, left, without_failures
from tests.doors.table import Row, times

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(frozen=True)
class Death:
    """Where a worker dies; ``forward``: upkeep then makes the account."""

    step: str
    nth: int
    after: bool
    forward: bool

    def plan(self, house: House, server: Server) -> None:
        """Let the server's next worker die there: it is held back, and told of by ``House.arrival``."""
        if self.step == "create":
            house.outside.next("create", Fault.SLOW)
        elif not self.after:
            server.network.next("commit", *[None] * (self.nth - 1), Fault.SLOW)
        else:
            server.network.next("commit", *[None] * (self.nth - 1), Fault.LOSE)
            # Who lost the answer reads, and comes no further.
            server.network.before("commit", lambda: server.network.always(Fault.SLOW, "get"), self.nth)


INSIDE = (Death("commit", 1, after=False, forward=False), Death("commit", 1, after=True, forward=True))
OUTSIDE = (
    INSIDE[0],
    Death("commit", 1, after=True, forward=False),
    Death("create", 1, after=False, forward=False),
    Death("commit", 2, after=False, forward=True),
    Death("commit", 2, after=True, forward=True),
)


def _deaths(house: House) -> tuple[Death, ...]:
    return INSIDE if house.provider is None else OUTSIDE


async def test_a_dead_worker_is_survived(row: Row, house: House) -> None:
    """Upkeep makes the account or leaves nothing; the same key goes on; who wakes up afterwards changes nothing."""
    first, second = house.both
    remote = house.provider is not None
    for death in _deaths(house):
        await house.empty()
        wanted = await row.wanted(house)
        death.plan(house, first)
        dead = asyncio.ensure_future(row.send(first, wanted))
        await house.arrival(dead)
        house.later()
        await second.semel.upkeep_once()
        there = without_failures(left(await house.look()))
        assert there == (row.leaves(1, remote=remote) if death.forward else times(row.before, 1)), death
        again = await row.send(second, wanted)
        assert again == row.success(again.account_id), death
        house.wake()
        assert await dead == again, death
        assert left(await house.rest()) == row.leaves(1, remote=remote), death


async def test_a_caller_that_hangs_up_is_no_loss(row: Row, house: House) -> None:
    """What was begun goes on; the same key has its answer."""
    first, second = house.both
    wanted = await row.wanted(house)
    first.network.next("commit", Fault.SLOW)
    gone = asyncio.ensure_future(row.send(first, wanted))
    await house.arrival(gone)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    house.wake()
    await first.semel.parts.registrar.drain(60)
    there = await house.look()
    assert left(there) == row.leaves(1, remote=house.provider is not None)
    again = await row.send(second, wanted)
    assert again == row.success(again.account_id)
    assert left(await house.rest()) == left(there)
