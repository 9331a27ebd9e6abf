"""The explorer is itself tested: take one rule away from the engine, and it finds the harm."""

import inspect
import re

import pytest

from semel.testing.explorer import Report, explore
from tests.tables import Line
from tests.testing.explorer_mutants import MERELY_OTHERWISE, MUTANTS, Mutant, scenario_named

FAULTS = {
    mutant.scenario: mutant.faults for mutant in sorted((*MUTANTS, *MERELY_OTHERWISE), key=lambda mutant: mutant.faults)
}
"""The scenarios that notice, and with how many faults at most."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_rule_taken_away_is_missed(mutant: Mutant, line: Line) -> None:
    """The mutant is killed: of the invariants that the rule stands for, one is broken."""
    with mutant.alive() as scenario:
        report = explore(scenario, mutant.faults)
    assert report.violations
    assert report.violations[0].startswith(tuple(f"{letter}: " for letter in mutant.noticed_by)), report.story
    line("broken engines and stores, and how the explorer found out", _row(mutant, report))


@pytest.mark.parametrize("mutant", MERELY_OTHERWISE, ids=lambda mutant: mutant.name)
def test_a_rule_that_only_spares_or_hastens_is_not_missed(mutant: Mutant) -> None:
    """Leases, going forward first, staying pending and sending again are behaviour, and tested as such."""
    with mutant.alive() as scenario:
        report = explore(scenario, mutant.faults)
    assert report.exhausted, report.story


@pytest.mark.parametrize(("name", "faults"), FAULTS.items())
def test_the_shipped_program_passes_where_mutants_fail(name: str, faults: int) -> None:
    """No kill is an accident: the same scenario breaks nothing of the unbroken program."""
    report = explore(scenario_named(name), faults)
    assert report.exhausted, report.story


def test_each_mutant_says_which_rule_it_lacks() -> None:
    """The table at the end of the run shows it."""
    assert all((mutant.broken.__doc__ or "").endswith(".") for mutant in (*MUTANTS, *MERELY_OTHERWISE))


def _row(mutant: Mutant, report: Report) -> str:
    said = re.sub("[0-9a-f-]{36,}", "…", report.violations[0])
    counts = f"faults: {mutant.faults}, schedules: {report.schedules + 1:,}, states: {report.states:,}"
    return f"{mutant.name}: {inspect.getdoc(mutant.broken)}\n    {report.scenario}, {counts}. {said}"
