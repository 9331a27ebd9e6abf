"""The proof: the shipped engine under every interleaving, crash and lost answer of every built-in scenario."""

from __future__ import annotations

import pytest

from semel.testing.explorer import Report, Scenario, explore
from semel.testing.scenarios import built_in
from tests.scale import SCALE
from tests.tables import Line

SCENARIOS = {scenario.name: scenario for scenario in built_in()}
LARGE = [
    "own/fresh/key+rival+removal",
    "own/fresh/key+same+rescue",
    "own/refusing/key+same",
    "own/invited/accepts+key",
    "own/invited/accepts-u+no-key-u",
    "proof/changing-invited/changes+accepts-as-bob",
    "proof/changing/changes+delete+upkeep",
    "proof/changing/changes+key-of-bob",
    "proof/changing/changes-twice+key",
    "proof/held-invited/accepts+upkeep",
    "proof/unproved-invited/proves-new+accepts",
]
"""From forty thousand states to two million: the normal run leaves them out, as most of three parties."""
TWICE = [
    "own/fresh/key+upkeep",
    "own/fresh/key+sign-in",
    "own/owned/delete+key",
    "own/foreign/key+upkeep",
    "own/dead/upkeep+same",
    "own/removal-due/upkeep+sign-in-0",
    *(
        name
        for name in SCENARIOS
        if name.startswith(("embedded/", "outbox/", "proof-embedded/")) and not name.endswith(("-tabs", "-in-one"))
    ),
]
"""Explored at two faults even in the normal run."""
BOUND = 3_000_000
"""How many states of a scenario the full run looks at with two faults."""


def _proved(scenario: Scenario, faults: int, line: Line, bound: int | None = None) -> None:
    report = explore(scenario, faults, bound)
    line(f"explored, with faults: {faults}", _row(report))
    assert not report.violations, "\n".join((*report.violations, *report.story, report.reproduction or ""))
    assert report.exhausted or bound is not None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCALE.pick([name for name in SCENARIOS if name not in LARGE], list(SCENARIOS)))
def test_one_fault_breaks_nothing(name: str, line: Line) -> None:
    """Whatever happens first, and whichever single thing goes wrong: the invariants hold at rest. Exhaustively."""
    _proved(SCENARIOS[name], 1, line)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCALE.pick(TWICE, list(SCENARIOS)))
def test_two_faults_break_nothing(name: str, line: Line) -> None:
    """The same with any two faults; the full run goes as far as its bound where there is more."""
    _proved(SCENARIOS[name], 2, line, SCALE.pick(None, BOUND))


def _row(report: Report) -> str:
    counts = f"{report.schedules:>22,} schedules {report.states:>9,} states {report.merged:>9,} merged"
    return f"{report.scenario:45} {counts} {report.seconds:6.1f} s {'' if report.exhausted else 'bound reached'}"
