"""Parties as trees of answers.

A party is a deterministic program that knows nothing of the world but the answers it has had and the times it has
seen. So it is a function of them: a tree, in which each branch is worked out once, by running the real coroutine, and
looked up ever after.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from semel.testing.explorer.runs import Edge, How, Outcome, Program, Run
from semel.testing.explorer.services import Answer, Call, frozen

__all__ = ["CRASHED", "Node", "NotDeterministicError", "Party"]


class NotDeterministicError(RuntimeError):
    """A party that had the same answers asked for something else: it reads a clock, draws lots or shares memory."""


class Node:
    """A party after some answers: what it asks for now, and what its caller was told. Compare by identity."""

    __slots__ = ("calls", "edge", "fresh", "kids", "outcome", "parent", "run")

    def __init__(
        self, calls: tuple[Call, ...], outcome: Outcome | None, parent: Node | None, edge: Edge, *, fresh: bool
    ) -> None:
        self.calls = calls
        self.outcome = outcome
        self.fresh = fresh
        """Whether the latest answer was that of an effect, or there was none yet."""
        self.parent = parent
        self.edge = edge
        self.kids: dict[tuple[int | None, Answer | None, int | None], Node] = {}
        """What comes of each edge; without its time, where the party did not look at the clock."""
        self.run: Run | None = None
        """The coroutine that waits here, until one branch has gone on with it."""

    @property
    def begins(self) -> bool:
        """Whether the party waits for its first answer."""
        return self.parent is None and not self.over

    @property
    def over(self) -> bool:
        """Whether the party will never ask for anything again."""
        return not self.calls


CRASHED: Final = Node((), Outcome(How.CRASHED), None, (None, None, 0), fresh=False)


class Party:
    """A program and the tree of all that can happen to it. ``close`` it, since it keeps coroutines that wait."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self._program = program
        self._roots: dict[int | None, Node] = {}
        self._same: dict[Hashable, Node] = {}
        self._waiting: set[Run] = set()

    def start(self, now: int) -> Node:
        """Return the party as it begins at this time."""
        root = self._roots.get(None) or self._roots.get(now)
        if root is None:
            run = Run(self._program, now)
            key = now if run.looked else None
            root = self._roots[key] = self._node(run, None, (None, None, now), fresh=True)
        return root

    def after(self, node: Node, slot: int | None, answer: Answer | None, now: int) -> Node:
        """Return the party after an answer to the request in a slot; without a slot, after its caller has hung up.

        In that case its main task is cancelled, and tasks of its own go on.
        """
        kids = node.kids
        found = kids.get((slot, answer, None)) or kids.get((slot, answer, now))
        return found or self._grow(node, (slot, answer, now))

    def close(self) -> None:
        """End all coroutines that still wait."""
        for run in self._waiting:
            run.close()
        self._waiting.clear()

    def _grow(self, node: Node, edge: Edge) -> Node:
        slot, answer, now = edge
        run = node.run or self._again(node)
        node.run = None
        self._waiting.discard(run)
        run.meet(edge)
        kid = self._node(run, node, edge, fresh=slot is None or node.calls[slot].effect)
        node.kids[slot, answer, now if run.looked else None] = kid
        return kid

    def _node(self, run: Run, parent: Node | None, edge: Edge, *, fresh: bool) -> Node:
        calls = run.calls()
        outcome = run.outcome(over=not calls)
        memory = run.memory() if calls else ()
        key = None if memory is None else (memory, calls, fresh, _key(outcome))
        known = None if key is None else self._same.get(key)
        if known is not None or not calls:
            run.close()
        if known is not None:
            return known
        node = Node(calls, outcome, parent, edge, fresh=fresh)
        if key is not None:
            self._same[key] = node
        if calls:
            node.run = run
            self._waiting.add(run)
        return node

    def _again(self, node: Node) -> Run:
        """Run the program again from its beginning, up to here."""
        path = [node]
        while (parent := path[-1].parent) is not None:
            path.append(parent)
        run = Run(self._program, path[-1].edge[2])
        while True:
            here = path.pop()
            if run.calls() != here.calls:
                raise NotDeterministicError(f"{self.name} asks for other things when it is run again")
            if not path:
                return run
            run.meet(path[-1].edge)


def _key(outcome: Outcome | None) -> Any:  # noqa: ANN401 - any hashable value
    if outcome is None:
        return None
    return outcome.how, Answer(error=outcome.value).key() if outcome.how is How.RAISED else frozen(outcome.value)
