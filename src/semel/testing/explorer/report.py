"""Explore a scenario and say what was found."""

from __future__ import annotations

import msgspec

from semel.testing.explorer.moves import Moves
from semel.testing.explorer.scenarios import Scenario
from semel.testing.explorer.search import Explorer, Finding
from semel.testing.explorer.story import follow, spell, tell

__all__ = ["Report", "explore", "replay"]

_BREADTH = 200_000
"""How many states the search for the shortest schedule looks at, for each number of faults."""


class Report(msgspec.Struct, frozen=True):
    """What exploring a scenario came to."""

    scenario: str
    faults: int
    schedules: int
    """The distinct schedules that the states stand for."""
    states: int
    merged: int
    """How often a schedule came to a state that another had come to before."""
    endings: int
    exhausted: bool
    """Whether all there is was explored: no schedule broke, and no bound stopped the search."""
    violations: tuple[str, ...]
    seconds: float
    story: tuple[str, ...] = ()
    """The shortest schedule that breaks, a line for each move."""
    reproduction: str | None = None
    """The same as one line for ``semel explore``."""


def explore(scenario: Scenario, faults: int = 1, bound: int | None = None) -> Report:
    """Run every schedule with at most so many faults, looking at no more than ``bound`` states.

    Stops at the first violation, and then looks for the shortest schedule that leads to one with the fewest faults.
    """
    with Explorer(Moves(scenario, faults), bound) as explorer:
        count = explorer.exhaust()
    report = Report(
        scenario=scenario.name,
        faults=faults,
        schedules=count.schedules,
        states=count.states,
        merged=count.merged,
        endings=count.endings,
        exhausted=count.exhausted,
        violations=count.finding.violations if count.finding else (),
        seconds=count.seconds,
    )
    return report if count.finding is None else _told(report, scenario, count.finding)


def _told(report: Report, scenario: Scenario, found: Finding) -> Report:
    """Add the story of the shortest schedule that breaks; of the one that was found, where none shorter comes soon."""
    for faults in range(report.faults + 1):
        with Explorer(Moves(scenario, faults), _BREADTH) as explorer:
            shortest = explorer.shortest() or (found if faults == report.faults else None)
            if shortest is not None:
                words = spell(scenario, shortest.choices)
                story = tell(explorer, shortest.choices)
                line = f'semel explore {scenario.name} --faults {faults} --replay "{words}"'
                return msgspec.structs.replace(report, violations=shortest.violations, story=story, reproduction=line)
    return report


def replay(scenario: Scenario, faults: int, words: str) -> tuple[str, ...]:
    """Return the story of one schedule, spelled as in a report's ``reproduction``. Raises ``ReplayError``."""
    with Explorer(Moves(scenario, faults)) as explorer:
        return tell(explorer, follow(explorer, words))
