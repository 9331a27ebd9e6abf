"""The engine forgets nothing in its memories: merged by them, its scenarios have as many schedules as without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semel.testing.explorer import Scenario
from semel.testing.explorer.moves import Moves
from semel.testing.explorer.search import Explorer
from semel.testing.scenarios import built_in

PAIRS = {one.name: one for one in built_in() if len(one.parties) <= 2}


def schedules(scenario: Scenario) -> int:
    with Explorer(Moves(scenario, 0)) as explorer:
        return explorer.exhaust().schedules


@pytest.mark.parametrize("name", PAIRS)
def test_a_memory_of_the_engine_hides_no_schedule(name: str) -> None:
    """However few states are left, they stand for exactly the same number of schedules."""
    merged = PAIRS[name]
    assert schedules(merged) == schedules(replace(merged, memories=frozenset()))
