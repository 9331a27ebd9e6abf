"""The proof of the commit on Azure Tables: the shipped store under every interleaving, crash and lost answer."""

from __future__ import annotations

import dataclasses

import pytest

from semel.stores.azure_places import Decision
from semel.testing.clock import SequentialIds, VirtualClock
from semel.testing.explorer import Report, explore
from semel.testing.fake_entities import FakeEntities
from semel.testing.scenarios.azure import Setting, over_entities
from semel.testing.scenarios.azure.catalogue import COMMITS, STANDING
from semel.testing.scenarios.azure.leaving import LeavingStore
from semel.testing.scenarios.azure.parties import tidying
from semel.testing.scenarios.azure.table import journals, marks, shelves_of, values_of
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
    "azure/leaving/xy+yx",
    "azure/leaving/xy+not-xy",
    "azure/leaving/dx+d-later",
    "azure/leaving/dx+not-d",
    "azure/leaving/dx+lists",
    "azure/leaving/dx+tidies",
    "azure/leaving/nx+not-n",
    "azure/leaving/nx+n+not-n",
    "azure/leaving/xy+reads-xx",
]
"""Explored at two faults even in the normal run."""
WHOLE = [*TWICE, "azure/plain/xy+yx"]
"""Explored at two faults to the end, wherever they are."""
BOUND = 8_000_000
"""How many states of a scenario the full run looks at with two faults: more than two crossing commits have."""


def _proved(name: str, faults: int, line: Line, bound: int | None = None) -> None:
    """Explore to the end, or to a bound where there is one."""
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
    _proved(name, 1, line)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCALE.pick(TWICE, list(SCENARIOS)))
def test_two_faults_break_nothing(name: str, line: Line) -> None:
    """The same with any two faults; the full run goes as far as its bound where there is more."""
    _proved(name, 2, line, None if name in WHOLE else BOUND)


def test_a_slow_worker_clears_its_own_marks_away() -> None:
    """Those that it set after upkeep had aborted and forgotten its commit, so that nobody need read the records."""
    scenario = SCENARIOS["azure/plain/xy+tidies"]
    assert scenario.rest is not None
    unread = dataclasses.replace(scenario.rest, upkeep=tidying(Setting()))
    report = explore(dataclasses.replace(scenario, rest=unread), faults=0)
    assert report.exhausted, "\n".join(report.story)


async def test_who_leaves_has_answered_and_done_no_more() -> None:
    """Its journal is decided and its marks are there; upkeep, a while later, clears them away."""
    clock = VirtualClock()
    entities = FakeEntities(clock.now)
    entities.state = shelves_of(STANDING)
    store = LeavingStore(entities, clock, SequentialIds().jitter)
    await store.commit(COMMITS["xy"].writes, COMMITS["xy"].token)
    await store.close()
    (journal,) = journals(values_of(entities.state)).values()
    assert journal.decision is Decision.COMMITTED
    assert [place for place, _ in marks(values_of(entities.state))] == list(journal.records)
    await clock.sleep(100)
    assert await store.tidy() == 1
    assert not journals(values_of(entities.state))
    assert not list(marks(values_of(entities.state)))


def _row(report: Report) -> str:
    counts = f"{report.schedules:>26,} schedules {report.states:>9,} states {report.merged:>9,} merged"
    return f"{report.scenario:40} {counts} {report.seconds:6.1f} s {'' if report.exhausted else 'bound reached'}"
