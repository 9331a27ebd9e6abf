"""Scenarios are explored in several processes, and each says the same there as here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec
import pytest

from semel.testing.explorer import Report, Scenario, explore
from semel.testing.explorer.pool import Job, explore_all, scenarios_of
from tests.testing.explorer.toys import scenario, steps

HERE = f"{__name__}:some"


def some() -> Iterator[Scenario]:
    for number in (2, 3, 4):
        yield dataclasses.replace(scenario({"A": steps(number), "B": steps(2)}), name=f"toy-{number}")


def counted(report: Report) -> Report:
    return msgspec.structs.replace(report, seconds=0.0)


def test_other_processes_say_the_same() -> None:
    """However many processes there are, each report is the one that this process would have made."""
    jobs = [Job(HERE, name, faults=0) for name in scenarios_of(HERE)]
    there = {report.scenario: counted(report) for report in explore_all(jobs, processes=2)}
    assert there == {one.name: counted(explore(one, faults=0)) for one in some()}


def test_an_error_in_another_process_is_raised_here() -> None:
    """A name that does not exist is an error, not a silent nothing."""
    with pytest.raises(KeyError, match="toy-9"):
        list(explore_all([Job(HERE, "toy-9")], processes=1))
