"""Each kind of fault breaks a program that no other kind breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from typing_extensions import override

from semel.testing.explorer import Ending, How, Ports, Scenario
from semel.testing.explorer.moves import Move, Moves, What
from semel.testing.explorer.parties import Node
from semel.testing.explorer.search import Explorer, Finding
from semel.testing.explorer.worlds import World
from tests.testing.explorer.toys import SECOND, Blind, NoAnswerError, ShelfService, scenario


class Some(Moves):
    """The moves of a scenario, but of the faults only some."""

    def __init__(self, of: Scenario, kinds: set[What]) -> None:
        super().__init__(of, 1)
        self._kinds = kinds | {What.DONE, What.LANDS}

    @override
    def after(self, nodes: tuple[Node, ...], world: World) -> Iterator[Move]:
        return (move for move in super().after(nodes, world) if move.choice.what in self._kinds)


def finding(of: Scenario, kinds: set[What]) -> Finding | None:
    with Explorer(Some(of, kinds)) as explorer:
        return explorer.exhaust().finding


def it_is(value: int) -> Callable[[Ending], str | None]:
    return lambda ending: None if ending.states["shelf"].get("it", 0) == value else "it is something else"


def told(how: How, wrong: Callable[[Ending], str | None]) -> Callable[[Ending], str | None]:
    """Return the same judgement, of those endings alone in which the party ended so."""
    return lambda ending: wrong(ending) if ending.outcomes["A"].how is how else None


async def takes_it_for_anothers(ports: Ports) -> None:
    """Where there is no answer, take what is there for somebody else's, and add one's own."""
    shelf = ports["shelf"]
    try:
        await shelf.put("it", 1)
    except NoAnswerError:
        await shelf.put("it", 2 if await shelf.get("it") else 1)


async def hopes(ports: Ports) -> None:
    """Take no answer for a yes."""
    with suppress(NoAnswerError):
        await ports["shelf"].put("it", 1)


async def takes_silence_for_nothing(ports: Ports) -> None:
    """Take no answer to a look for: nothing is there."""
    try:
        there = await ports["shelf"].get("it")
    except NoAnswerError:
        there = 0
    if not there:
        await ports["shelf"].put("it", 2)


async def looks_back(ports: Ports) -> None:
    """Look whether it happened where there is no answer, and do it where it did not. It may happen yet."""
    shelf = ports["shelf"]
    try:
        await shelf.add("it", 1)
    except NoAnswerError:
        if not await shelf.get("it"):
            await shelf.add("it", 1)


async def tidies_up(ports: Ports) -> None:
    """Put something there, and take it away again."""
    await ports["shelf"].put("it", 1)
    await ports["shelf"].put("it", 0)


async def puts(ports: Ports) -> None:
    await ports["shelf"].put("it", 1)


async def sweeps(ports: Ports) -> None:
    """Believe that what is not there now will not come."""
    if not await ports["shelf"].get("it"):
        await ports["shelf"].put("swept", 1)


def swept(ending: Ending) -> str | None:
    return "swept, and there" if {"it", "swept"} <= set(ending.states["shelf"]) else None


async def takes_back(ports: Ports) -> None:
    """Take back what is there when the caller hangs up. The request may still be on its way."""
    try:
        await ports["shelf"].put("it", 1)
    except asyncio.CancelledError:
        await ports["shelf"].put("it", 0)
        raise


async def works_under_a_lease(ports: Ports) -> None:
    """Take a lease, and never look at the clock again."""
    if await ports["shelf"].lease(5):
        await ports["shelf"].add("it", 1)


FAULTS: set[What] = {what for what in What if what not in {What.DONE, What.LANDS, What.JUMP, What.LONG}}

# Each fault, a program that it breaks, and the faults that can come to the same: what lands late may land at once.
BROKEN: dict[str, tuple[What, Scenario, set[What]]] = {
    "lost": (What.LOST, scenario({"A": takes_it_for_anothers}, told(How.RETURNED, it_is(1))), {What.LATE}),
    "dropped": (What.DROPPED, scenario({"A": hopes}, told(How.RETURNED, it_is(1))), set()),
    "no look": (
        What.DROPPED,
        scenario({"A": takes_silence_for_nothing}, it_is(1), shelf=ShelfService(it=1)),
        set(),
    ),
    "late": (What.LATE, scenario({"A": looks_back}, told(How.RETURNED, it_is(1))), set()),
    "crash": (What.CRASH, scenario({"A": tidies_up}, it_is(0), shelf=Blind()), {What.CRASH_LATE}),
    "crash, late": (What.CRASH_LATE, scenario({"A": puts}, swept, shelf=Blind(), upkeep=sweeps), set()),
    "hang up": (
        What.HANG_UP,
        scenario({"A": tidies_up}, told(How.CANCELLED, it_is(0)), shelf=Blind(), hang_up=True),
        {What.HANG_UP_LATE},
    ),
    "hang up, late": (
        What.HANG_UP_LATE,
        scenario({"A": takes_back}, told(How.CANCELLED, it_is(0)), shelf=Blind(), hang_up=True),
        set(),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_breaks_what_no_other_breaks(name: str) -> None:
    """The fault alone breaks the program; all others together do not."""
    what, program, same = BROKEN[name]
    assert finding(program, {what}) is not None
    assert finding(program, FAULTS - {what} - same) is None


def test_every_fault_has_its_program() -> None:
    """No kind of fault is without a program that shows it."""
    assert {what for what, _, _ in BROKEN.values()} == FAULTS


@pytest.mark.parametrize("jumps", [0, 1])
def test_a_jump_of_the_clock_breaks_a_worker_that_trusts_its_lease(jumps: int) -> None:
    """Two workers under one lease both work only if the clock jumps past it while the first sleeps."""
    workers = {"A": works_under_a_lease, "B": works_under_a_lease}
    one = scenario(workers, it_is(1), jump=10 * SECOND, jumps=jumps)
    with Explorer(Moves(one, 0)) as explorer:
        found = explorer.exhaust().finding
    assert (found is not None) is bool(jumps)


@pytest.mark.parametrize("longs", [0, 1])
def test_a_long_time_passes_only_while_nobody_is_in_the_middle_of_anything(longs: int) -> None:
    """A note kept for long is forgotten between two callers, and never under a worker's hands."""
    workers = {"A": works_under_a_lease, "B": works_under_a_lease}
    one = scenario(workers, it_is(1), long=timedelta(days=1), longs=longs)
    with Explorer(Moves(one, 0)) as explorer:
        found = explorer.shortest()
    assert (found is not None) is bool(longs)
    assert found is None or [choice.what for choice in found.choices] == [
        *[What.DONE] * 2,
        What.LONG,
        *[What.DONE] * 2,
    ]
