"""The scenarios of the commit on Azure Tables are tested: take a rule away, and the explorer finds the harm."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from semel.testing.explorer import Report, explore
from semel.testing.scenarios.azure import Setting
from semel.testing.scenarios.azure.catalogue import COMMITS, STANDING
from tests.tables import Line
from tests.testing.azure_mutants import MUTANTS, AtTheEnd, Mutant, OneInsertDecides, TurnsBackAPage, scenario_named

FAULTS = {mutant.scenario: mutant.faults for mutant in sorted(MUTANTS, key=lambda mutant: mutant.faults)}
"""The scenarios that notice, and with how many faults at most."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.broken.__name__)
def test_a_rule_taken_away_is_missed(mutant: Mutant, line: Line) -> None:
    """The mutant is killed: of the promises that the rule stands for, one is broken."""
    with mutant.alive() as scenario:
        report = explore(scenario, mutant.faults)
    assert report.violations
    assert report.violations[0].startswith(tuple(f"{letter}: " for letter in mutant.noticed_by)), report.story
    line("broken commits on Azure Tables, and how the explorer found out", _row(mutant, report))


@pytest.mark.parametrize(("name", "faults"), FAULTS.items())
def test_the_shipped_commit_passes_where_mutants_fail(name: str, faults: int) -> None:
    """No kill is an accident: the same scenario breaks nothing of the unbroken commit."""
    report = explore(scenario_named(name), faults)
    assert report.exhausted, report.story


def test_one_insert_that_decides_leaves_half_a_commit() -> None:
    """For good, and though nothing goes wrong: the second record is somebody else's by the time its turn comes."""
    mutant = Mutant(OneInsertDecides, "azure/plain/xy+yz", 0, "W")
    with mutant.alive() as scenario:
        judge = AtTheEnd(STANDING, [COMMITS["xy"], COMMITS["yz"]])
        report = explore(dataclasses.replace(scenario, judge=judge), mutant.faults)
    assert report.violations == ("W: what stands there in the end comes of no order of whole commits",)


def test_a_record_on_two_pages_is_missed() -> None:
    """Though each page, read by itself, says what is so."""
    report = explore(scenario_named("azure/plain/xy+pages", Setting(store=TurnsBackAPage)), faults=0)
    assert report.violations
    assert report.violations[0].endswith("was on two pages"), report.story


def _row(mutant: Mutant, report: Report) -> str:
    counts = f"faults: {mutant.faults}, schedules: {report.schedules + 1:,}, states: {report.states:,}"
    said = f"{mutant.broken.__name__}: {inspect.getdoc(mutant.broken)}"
    return f"{said}\n    {report.scenario}, {counts}. {report.violations[0]}"
