"""A schedule reads as a story, and its one line leads along it again."""

from __future__ import annotations

import pytest

from semel.testing.explorer import Ports, ReplayError, explore, replay
from semel.testing.explorer.moves import Moves
from semel.testing.explorer.search import Explorer
from semel.testing.explorer.story import follow, spell
from tests.testing.explorer.test_faults import BROKEN
from tests.testing.explorer.toys import SECOND, Blind, scenario


async def reads_and_writes(ports: Ports) -> str:
    """Add one, by reading and writing."""
    seen = await ports["shelf"].get("it")
    await ports.clock.sleep(1)
    await ports["shelf"].put("it", seen + 1)
    return f"it is {seen + 1}"


LOST_UPDATE = scenario(
    {"ann": reads_and_writes, "bob": reads_and_writes},
    lambda ending: None if ending.states["shelf"]["it"] == 2 else "an update is lost",
    shelf=Blind(),
)


def test_the_shortest_schedule_is_told() -> None:
    """Who did what, what came of it, who was told what, and what is wrong with it."""
    report = explore(LOST_UPDATE, faults=0)
    assert report.violations == ("an update is lost",)
    assert report.story == (
        "ann  get(it) → 0",
        "ann  sleeps → and wakes",
        "bob  get(it) → 0",
        "ann  put(it, 1) → done",
        "ann  is told: it is 1",
        "bob  sleeps → and wakes",
        "bob  put(it, 1) → done",
        "bob  is told: it is 1",
        "✗ an update is lost",
    )
    assert report.reproduction == 'semel explore toy --faults 0 --replay "ann ann bob ann bob bob"'


def test_the_line_leads_along_the_same_schedule() -> None:
    """The reproduction tells the same story."""
    report = explore(LOST_UPDATE, faults=0)
    assert replay(LOST_UPDATE, 0, "ann ann bob ann bob bob") == report.story


@pytest.mark.parametrize("name", BROKEN)
def test_every_fault_has_its_words(name: str) -> None:
    """A schedule with any kind of fault is spelled, and found again by its words."""
    _, program, _ = BROKEN[name]
    report = explore(program, faults=1)
    words = (report.reproduction or "").partition('--replay "')[2].rstrip('"')
    assert replay(program, 1, words) == report.story
    with Explorer(Moves(program, 1)) as explorer:
        assert spell(program, follow(explorer, words)) == words


@pytest.mark.parametrize("words", ["ann cid", "ann:vanishes", "bob bob bob bob", "@0", "jump", "ann.7", "long"])
def test_words_that_lead_nowhere_are_refused(words: str) -> None:
    """What is no move, or no move here, is an error that says where."""
    with pytest.raises(ReplayError):
        replay(LOST_UPDATE, 0, words)


def test_what_lands_late_and_what_time_does_is_told() -> None:
    """A request that arrives later, a jump of the clock and a crash each have their line."""

    async def leases(ports: Ports) -> None:
        await ports["shelf"].lease(5)
        await ports["shelf"].put("it", 1)

    one = scenario({"ann": leases, "bob": leases}, shelf=Blind(), jump=10 * SECOND, jumps=1)
    assert replay(one, 2, "ann jump ann:crash-late @0 bob:crash") == (
        "ann  lease(5) → True",
        "the clock jumps past every lease",
        "ann  crashes; still on its way: put(it, 1)",
        "what was on its way arrives: put(it, 1) → done",
        "bob  crashes",
    )
