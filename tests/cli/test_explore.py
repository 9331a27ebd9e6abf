"""The explorer's command: what it proves, how it tells what breaks, and how that is seen again."""

import shlex

import msgspec
import pytest

from tests.cli.conftest import Run

TOYS = ("--from", "tests.cli.explored:scenarios", "--faults", "0")


def test_scenarios_are_listed(run: Run) -> None:
    """The built-in ones, each with what it is about."""
    listed = run("explore", "--list")
    assert listed.code == 0
    assert "own/fresh/key+rival " in listed.out
    assert "nobody has the email" in listed.out
    assert "azure/plain/xy+yz " in listed.out


def test_a_built_in_scenario_is_proved(run: Run) -> None:
    """Chosen by name or pattern; a table for people, a line each for machines."""
    for_people, for_machines = run("explore", "own/fresh/key"), run("explore", "own/owned/replay*", "--json")
    assert for_people.code == for_machines.code == 0
    assert "exhausted" in for_people.out
    reports = [msgspec.json.decode(line) for line in for_machines.out.splitlines()]
    assert len(reports) == 3
    for report in reports:
        assert (report["faults"], report["exhausted"], report["violations"]) == (1, True, [])
        assert min(report["schedules"], report["states"]) > 0


def test_what_breaks_is_told_and_can_be_seen_again(run: Run) -> None:
    """With its story, an exit code, and a line that tells the same story again."""
    explored = run("explore", *TOYS)
    assert explored.code == 1
    assert "two have it" in explored.out
    again = shlex.split(next(line for line in explored.out.splitlines() if line.startswith("semel explore")))
    story = run(*again[1:])
    assert story.code == 0
    reports = [msgspec.json.decode(line) for line in run("explore", *TOYS, "--json").out.splitlines()]
    assert shlex.join(again) in {shlex.join(shlex.split(report["reproduction"] or "")) for report in reports}
    assert story.out.strip() in explored.out


def test_a_bound_stops_the_search(run: Run) -> None:
    """That is said, and is no finding."""
    explored = run("explore", "own/fresh/key+rival", "--bound", "50")
    assert (explored.code, "stopped at the bound" in explored.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no such thing"], "no scenario is called so"),
        (["--from", "nowhere:to_be_found"], "nowhere"),
        ([*TOYS, "--replay", "ann bob"], "name the one scenario"),
        ([*TOYS, "toy/careless", "--replay", "carl"], "--replay"),
    ],
)
def test_what_cannot_be_explored_is_refused(run: Run, arguments: list[str], says: str) -> None:
    """As wrong usage."""
    refused = run("explore", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert says in refused.err
