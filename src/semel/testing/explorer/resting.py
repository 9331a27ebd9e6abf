"""How a world comes to rest after the parties have ended: upkeep alone, pass after pass, without further faults."""

from __future__ import annotations

from collections.abc import Iterator

from semel.testing.explorer.parties import Node, Party
from semel.testing.explorer.runs import How, Outcome, Program
from semel.testing.explorer.scenarios import Rest, Scenario
from semel.testing.explorer.worlds import Left, Universe, World

__all__ = ["Resting"]

AtRest = tuple[World, Outcome | None, tuple[str, ...]]
"""A world at rest, what came to who came afterwards, and what was seen to be wrong on the way."""

_At = tuple[int, Node | None, World, World]
"""A pass's number, the upkeep that runs it (``None``: it has not begun), the world now and when the pass began."""


class Resting:
    """Upkeep for one scenario; each world is brought to rest once. ``close`` it after use."""

    def __init__(self, scenario: Scenario, universe: Universe) -> None:
        self._scenario = scenario
        self._passes: tuple[tuple[Party, int], ...] = ()
        self._near = 0
        if scenario.rest is not None:
            self._passes = tuple(_passes(scenario, scenario.rest, universe))
            self._near = len(scenario.rest.near)
        rest = scenario.rest
        after = rest.afterwards if rest is not None else None
        self._afterwards = Party(Program("afterwards", after, universe, scenario.memories)) if after else None
        self._rested: dict[World, tuple[AtRest, ...]] = {}

    def close(self) -> None:
        """End the coroutines that wait."""
        for party, _ in self._passes:
            party.close()
        if self._afterwards is not None:
            self._afterwards.close()

    def finals(self, world: World) -> tuple[AtRest, ...]:
        """Return every world at rest that this one can come to."""
        start = world.but(left=Left())
        found = self._rested.get(start)
        if found is None:
            found = self._rested[start] = tuple(self._search(start))
        return found

    def _search(self, start: World) -> Iterator[AtRest]:
        seen: set[tuple[int, Node | None, World, World]] = set()
        todo: list[_At] = [(0, None, start, start)]
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            number, _, world, _ = at
            if number == len(self._passes) and not world.late:
                yield world, self._after_all(world), ()
                continue
            for each, blames in self._after(at, quiet=not start.late):
                if blames:
                    yield each[2], None, blames
                else:
                    todo.append(each)

    def _after_all(self, world: World) -> Outcome | None:
        """Return what who comes now is told; nobody else is there, and nothing goes wrong."""
        if self._afterwards is None:
            return None
        node = self._afterwards.start(world.now)
        while node.calls:
            world, answer, _ = world.do(node.calls[0])
            node = self._afterwards.after(node, 0, answer, world.now)
        return node.outcome

    def _after(self, at: _At, *, quiet: bool) -> Iterator[tuple[_At, tuple[str, ...]]]:
        number, node, world, began = at
        if node is None or number < self._near:
            for call in world.late:
                landed = world.land(call)
                yield (number, node, landed.world, began), landed.blames
        if number == len(self._passes):
            return
        party, pause = self._passes[number]
        if node is None:
            if number < self._near or not world.late:
                later = world.but(now=world.now + pause)
                yield (number, party.start(later.now), later, later), ()
        elif node.over:
            yield (number + 1, None, world, world), self._judged(number + 1, node, world, began, quiet=quiet)
        else:
            for slot, call in enumerate(node.calls):
                after, answer, blames = world.do(call)
                yield (number, party.after(node, slot, answer, after.now), after, began), blames

    def _judged(self, passes: int, node: Node, world: World, began: World, *, quiet: bool) -> tuple[str, ...]:
        """Judge the world after a pass."""
        outcome = node.outcome
        if outcome is not None and outcome.how is not How.RETURNED:
            return (f"upkeep ends so: {outcome.how.value} {outcome.value!r}",)
        if self._near < passes == len(self._passes) and world.states != began.states:
            return ("upkeep never comes to rest: its last pass still changed something",)
        return tuple(self._scenario.judge.passed(passes, world.view())) if quiet else ()


def _passes(scenario: Scenario, rest: Rest, universe: Universe) -> Iterator[tuple[Party, int]]:
    for number, pause in enumerate((*rest.near, *rest.far), 1):
        yield (
            Party(Program(f"upkeep {number}", rest.upkeep, universe, scenario.memories)),
            round(pause.total_seconds() * 1e6),
        )
