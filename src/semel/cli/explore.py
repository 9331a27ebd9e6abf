"""The explorer's command: every interleaving, crash and lost answer of the built-in scenarios, or of your own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from semel.cli.exits import Exit
from semel.cli.output import AsJson, print_lines, print_table
from semel.testing.explorer import Job, ReplayError, Report, Scenario, explore_all, replay, scenarios_of

__all__ = ["explore"]

_BUILT_IN: Final = "semel.testing.scenarios:every"
_COLUMNS: Final = ("Scenario", "Faults", "Schedules", "States", "Merged", "Seconds", "Result")

_Source = Annotated[str, typer.Option("--from", metavar="MODULE:FUNCTION", help="The function that returns scenarios.")]


def explore(  # noqa: PLR0913 - the options of a command
    names: Annotated[list[str] | None, typer.Argument(help="Scenarios, also by patterns such as 'fresh*'.")] = None,
    *,
    source: _Source = _BUILT_IN,
    faults: Annotated[int, typer.Option(min=0, help="How many faults a run has at most.")] = 1,
    bound: Annotated[int | None, typer.Option(min=1, help="How many states to look at in each, at most.")] = None,
    words: Annotated[
        str | None, typer.Option("--replay", help="Tell the story of one schedule, as a report spells it.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the scenarios and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every interleaving, crash, lost answer and late effect of scenarios; with --json print a line for each."""
    scenarios = _chosen(source, names or ["*"])
    if listed:
        print_table(("Scenario", "About"), [(one.name, one.about) for one in scenarios.values()], "There are none.")
    elif words is not None:
        print_lines(*_story(scenarios, faults, words))
    else:
        _explore(source, [Job(source, name, faults, bound) for name in scenarios], as_json=as_json)


def _chosen(source: str, patterns: Sequence[str]) -> Mapping[str, Scenario]:
    # A module of the current directory is importable for `python -m`, and should be here.
    sys.path.insert(0, str(Path.cwd()))
    try:
        every = scenarios_of(source)
    except (ImportError, AttributeError) as error:
        raise typer.BadParameter(str(error), param_hint="--from") from error
    chosen = {name: one for name, one in every.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if not chosen:
        raise typer.BadParameter("no scenario is called so: see --list", param_hint="NAMES")
    return chosen


def _story(scenarios: Mapping[str, Scenario], faults: int, words: str) -> tuple[str, ...]:
    if len(scenarios) > 1:
        raise typer.BadParameter("name the one scenario that it is of", param_hint="NAMES")
    try:
        return replay(next(iter(scenarios.values())), faults, words)
    except ReplayError as error:
        raise typer.BadParameter(str(error), param_hint="--replay") from error


def _explore(source: str, jobs: Sequence[Job], *, as_json: bool) -> None:
    reports = []
    for report in _reports(jobs, "" if source == _BUILT_IN else f" --from {source}"):
        reports.append(report)
        if as_json:
            sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
            sys.stdout.flush()
    broken = [report for report in reports if report.violations]
    if not as_json:
        print_table(_COLUMNS, [_row(report) for report in sorted(reports, key=lambda one: one.scenario)], "")
        for report in broken:
            print_lines("", *report.violations, *report.story, report.reproduction or "")
    if broken:
        raise typer.Exit(Exit.FINDING)


def _reports(jobs: Sequence[Job], elsewhere: str) -> Iterator[Report]:
    """Yield the reports, each with a reproduction that says where the scenario is."""
    console = Console(stderr=True)
    for report in track(
        explore_all(jobs),
        "Exploring",
        total=len(jobs),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ):
        line = report.reproduction
        yield report if line is None else msgspec.structs.replace(report, reproduction=line + elsewhere)


def _row(report: Report) -> tuple[object, ...]:
    result = "broken" if report.violations else "exhausted" if report.exhausted else "stopped at the bound"
    seconds = round(report.seconds, 1)
    return (report.scenario, report.faults, report.schedules, report.states, report.merged, seconds, result)
