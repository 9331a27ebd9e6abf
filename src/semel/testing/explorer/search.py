"""The search: depth first for every schedule, breadth first for the shortest that breaks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from semel.testing.explorer.moves import Choice, Move, Moves, State, over
from semel.testing.explorer.parties import Node
from semel.testing.explorer.resting import Resting
from semel.testing.explorer.runs import Outcome
from semel.testing.explorer.scenarios import Ending
from semel.testing.explorer.worlds import World

__all__ = ["Count", "Explorer", "Finding"]


class Finding(NamedTuple):
    """A schedule that breaks, and the sentences of the judge."""

    choices: tuple[Choice, ...]
    violations: tuple[str, ...]


class Count(NamedTuple):
    """What was explored."""

    schedules: int
    """The distinct schedules, from beginning to end, that the states stand for."""
    states: int
    merged: int
    """How often a schedule came to a state that another had come to before."""
    endings: int
    """Distinct states in which everybody has ended."""
    exhausted: bool
    """Whether nothing is left to explore."""
    finding: Finding | None
    seconds: float


class _Frame:
    """A state on the way from the first to the present one, and how many schedules go through it."""

    __slots__ = ("choice", "moves", "schedules", "state")

    def __init__(self, state: State, choice: Choice | None, moves: Iterator[Move]) -> None:
        self.state = state
        self.choice = choice
        self.moves = moves
        self.schedules = 0


class Explorer:
    """Explores where some moves lead, looking at no more than ``bound`` states. Use it in ``with``."""

    def __init__(self, moves: Moves, bound: int | None = None, *, merge: bool = True) -> None:
        self.scenario = moves.scenario
        self._bound = bound
        self._merge = merge
        self._moves = moves
        self._resting = Resting(moves.scenario, moves.universe)
        self._verdicts: dict[tuple[tuple[Node, ...], World, bool], tuple[str, ...]] = {}
        self.endings: set[State] = set()
        """The states in which everybody has ended, as far as explored."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._moves.close()
        self._resting.close()

    def exhaust(self) -> Count:
        """Explore depth first until a schedule breaks, the bound is reached, or nothing is left."""
        began = time.perf_counter()
        search = _DepthFirst(self)
        finding = search.run(self._bound, merge=self._merge)
        return Count(
            schedules=search.schedules,
            states=search.states,
            merged=search.merged,
            endings=len(self.endings),
            exhausted=finding is None and not search.stack,
            finding=finding,
            seconds=time.perf_counter() - began,
        )

    def shortest(self) -> Finding | None:
        """Return a schedule that breaks in the fewest moves; ``None`` where none does within the bound."""
        first = self.first()
        todo: deque[tuple[State, _Trail | None]] = deque([(first, None)])
        seen = {first}
        while todo and (self._bound is None or len(seen) <= self._bound):
            state, trail = todo.popleft()
            violations = self.verdict(state) if over(state) else ()
            if violations:
                return Finding(_choices(trail), violations)
            for move in () if over(state) else self.moves(state):
                here = (trail, move.choice)
                if move.blames:
                    return Finding(_choices(here), move.blames)
                after = (move.nodes, move.world)
                if after not in seen:
                    seen.add(after)
                    todo.append((after, here))
        return None

    def first(self) -> State:
        """Return the state at the beginning."""
        return self._moves.first()

    def moves(self, state: State) -> Iterator[Move]:
        """Return what can happen next."""
        return self._moves.after(*state)

    def verdict(self, state: State) -> tuple[str, ...]:
        """Bring an ended state to rest, in every way, and return what the judge has against it."""
        self.endings.add(state)
        nodes, world = state
        disturbed = world.left != self._moves.start
        for final, afterwards, blames in self._resting.finals(world):
            violations = blames or self._judged(nodes, final, afterwards, disturbed=disturbed)
            if violations:
                return violations
        return ()

    def _judged(
        self, nodes: tuple[Node, ...], final: World, afterwards: Outcome | None, *, disturbed: bool
    ) -> tuple[str, ...]:
        key = (nodes, final, disturbed)
        found = self._verdicts.get(key)
        if found is None:
            outcomes = {name: node.outcome for name, node in zip(self.scenario.parties, nodes, strict=True)}
            told = {name: outcome for name, outcome in outcomes.items() if outcome is not None}
            found = tuple(self.scenario.judge.ended(Ending(final.view(), told, disturbed, afterwards)))
            self._verdicts[key] = found
        return found


class _DepthFirst:
    """One search; its stack is the way to the present state."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._known: dict[State, int] = {}
        self.stack: list[_Frame] = []
        self.schedules = 0
        self.states = 0
        self.merged = 0

    def run(self, bound: int | None, *, merge: bool) -> Finding | None:
        """Search. What a state's schedules number is known once all that follows it has been explored."""
        finding = self._enter(self._explorer.first(), None)
        while self.stack and finding is None and (bound is None or self.states < bound):
            frame = self.stack[-1]
            move = next(frame.moves, None)
            if move is None:
                self._leave()
                continue
            state = (move.nodes, move.world)
            known = self._known.get(state) if merge else None
            if move.blames:
                finding = self._found(move.choice, move.blames)
            elif known is not None:
                self.merged += 1
                frame.schedules += known
            else:
                finding = self._enter(state, move.choice)
        self.schedules += sum(frame.schedules for frame in self.stack)
        return finding

    def _enter(self, state: State, choice: Choice | None) -> Finding | None:
        self.states += 1
        if not over(state):
            self.stack.append(_Frame(state, choice, self._explorer.moves(state)))
            return None
        self._count(state, 1)
        violations = self._explorer.verdict(state)
        return self._found(choice, violations) if violations else None

    def _leave(self) -> None:
        frame = self.stack.pop()
        self._count(frame.state, frame.schedules)

    def _count(self, state: State, schedules: int) -> None:
        self._known[state] = schedules
        if self.stack:
            self.stack[-1].schedules += schedules
        else:
            self.schedules = schedules

    def _found(self, choice: Choice | None, violations: Sequence[str]) -> Finding:
        way = [*(frame.choice for frame in self.stack), choice]
        return Finding(tuple(one for one in way if one is not None), tuple(violations))


_Trail = tuple["_Trail | None", Choice]


def _choices(trail: _Trail | None) -> tuple[Choice, ...]:
    found = []
    while trail is not None:
        trail, choice = trail
        found.append(choice)
    return tuple(reversed(found))
