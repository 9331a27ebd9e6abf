"""A party that says all that it remembers is merged with itself; one that says too little is not believed for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semel.testing.explorer import Ports
from semel.testing.explorer.moves import Moves
from semel.testing.explorer.search import Count, Explorer
from tests.testing.explorer.toys import SECOND, Blind, NoAnswerError, ShelfService, scenario


async def tries(ports: Ports) -> str:
    """Look and count, three times, remembering nothing but the round."""
    for turn in range(3):
        ports.events.emit("looked again", {"turn": turn})
        try:
            seen = await ports["shelf"].get("it")
            if seen % 2:
                await ports["shelf"].put(f"latest of {ports.name}", ports.ids.uuid())
            if ports.clock.monotonic() < 60:
                await ports["shelf"].add("it", 1)
        except NoAnswerError:
            continue
        await ports.clock.sleep(1)
    return "done"


def explored(*, memories: frozenset[str], faults: int) -> Count:
    one = scenario({"A": tries, "B": tries}, shelf=ShelfService(), jump=10 * SECOND, jumps=1)
    with Explorer(Moves(replace(one, memories=memories), faults)) as explorer:
        return explorer.exhaust()


@pytest.mark.parametrize("faults", [0, 1])
def test_an_honest_memory_loses_no_schedule(faults: int) -> None:
    """Merged by what they say they remember, the parties have as many schedules, over fewer states."""
    plain = explored(memories=frozenset(), faults=faults)
    merged = explored(memories=frozenset({"looked again"}), faults=faults)
    assert plain.schedules == merged.schedules
    assert merged.states < plain.states


def test_the_same_memory_twice_in_one_run_is_refused() -> None:
    """A memory that does not tell two moments of a run apart would draw the same ids twice."""

    async def forgets(ports: Ports) -> None:
        for _ in range(2):
            ports.events.emit("looked again", {})
            await ports["shelf"].get("it")

    one = replace(scenario({"A": forgets}, shelf=Blind()), memories=frozenset({"looked again"}))
    with Explorer(Moves(one, 0)) as explorer:
        finding = explorer.exhaust().finding
    assert finding is not None
    assert "the same memory twice" in finding.violations[0]
