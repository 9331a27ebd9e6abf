"""The proof of the commit on Azure Tables: the shipped store under every interleaving, crash and lost answer."""

from __future__ import annotations

import dataclasses

import pytest

from semel.testing.explorer import Report, explore
from semel.testing.scenarios.azure import Setting, over_entities
from semel.testing.scenarios.azure.parties import tidying
from tests.scale import SCALE
from tests.tables import Line

SCENARIOS = {scenario.name: scenario for scenario in over_entities()}
LARGE = [
    "azure/plain/xy+yx",
    "azure/plain/xy+not-xy",
    "azure/plain/dx+d-later",
    "azure/plain/xy+x+reads-x",
    "azure/plain/nx+n+not-n",
    "azure/again/xy+x",
    "azure/again/dx+tidies",
    "azure/dead-aborted/dx+tidies",
]
"""Explored without a fault in the normal run."""
TWICE = [
    "azure/plain/xy",
    "azure/plain/xy+x",
    "azure/plain/xy+reads-xx",
    "azure/dead-pending/tidies+tidies-2",
    "azure/dead-pending/x+tidies",
    "azure/dead-pending/x+yz",
    "azure/dead-committed/tidies+tidies-2",
    "azure/dead-committed/x+tidies",
    "azure/dead-committed/reads-xy+tidies",
    "azure/dead-aborted/tidies+tidies-2",
    "azure/dead-aborted/lists+tidies",
]
"""Explored at two faults even in the normal run."""
BOUND = 8_000_000
"""How many states of a scenario the full run looks at with two faults: more than two crossing commits have."""


def _proved(name: str, faults: int, line: Line, bound: int | None = None) -> None:
    report = explore(SCENARIOS[name], faults, bound)
    line(f"Azure Tables explored, with faults: {faults}", _row(report))
    assert not report.violations, "\n".join((*report.violations, *report.story, report.reproduction or ""))
    assert report.exhausted or bound is not None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LARGE)
def test_no_order_breaks_anything(name: str, line: Line) -> None:
    """Whoever goes first at each request, and whoever is aborted by whom."""
    _proved(name, 0, line)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in SCALE.pick(LARGE, [])])
def test_one_fault_breaks_nothing(name: str, line: Line) -> None:
    """A crash, a lost request, a lost answer or a late effect at each request, exhaustively."""
    _proved(name, 1, line, SCALE.pick(None, BOUND))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCALE.pick(TWICE, list(SCENARIOS)))
def test_two_faults_break_nothing(name: str, line: Line) -> None:
    """The same with any two faults; the full run goes as far as its bound where there is more."""
    _proved(name, 2, line, SCALE.pick(None, BOUND))


def test_a_slow_worker_clears_its_own_marks_away() -> None:
    """Those that it set after upkeep had aborted and forgotten its commit, so that nobody need read the records."""
    scenario = SCENARIOS["azure/plain/xy+tidies"]
    assert scenario.rest is not None
    unread = dataclasses.replace(scenario.rest, upkeep=tidying(Setting()))
    report = explore(dataclasses.replace(scenario, rest=unread), faults=0)
    assert report.exhausted, "\n".join(report.story)


def _row(report: Report) -> str:
    counts = f"{report.schedules:>26,} schedules {report.states:>9,} states {report.merged:>9,} merged"
    return f"{report.scenario:40} {counts} {report.seconds:6.1f} s {'' if report.exhausted else 'bound reached'}"
