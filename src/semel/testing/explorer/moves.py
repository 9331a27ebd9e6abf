"""What can happen next: a request is answered, a fault, a late request lands, the clock jumps."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from semel.testing.explorer.parties import CRASHED, Node, Party
from semel.testing.explorer.runs import How, Program
from semel.testing.explorer.scenarios import Scenario
from semel.testing.explorer.services import Call
from semel.testing.explorer.worlds import Left, Universe, World

__all__ = ["Choice", "Move", "Moves", "State", "What", "over"]

State = tuple[tuple[Node, ...], World]
"""Where a run stands: each party after its answers, and the world. What led here does not matter to what can follow."""


class What(StrEnum):
    """What happens to a request, to a party, or to the clock."""

    DONE = "done"
    """It is done and answered."""
    LOST = "lost"
    """It is done, but the answer is lost."""
    DROPPED = "dropped"
    """It never arrives. For a request without effect: there is no answer."""
    LATE = "late"
    """It is on its way for now, and there is no answer."""
    CRASH = "crash"
    CRASH_LATE = "crash-late"
    """The party crashes while its request is on its way."""
    HANG_UP = "hang-up"
    """The party's caller stops waiting."""
    HANG_UP_LATE = "hang-up-late"
    """The same, while its request is on its way."""
    LANDS = "lands"
    """A request on its way arrives."""
    JUMP = "jump"
    """The clock jumps past a lease: a worker slept."""
    LONG = "long"
    """The clock jumps past a retention, while nobody is in the middle of anything."""


class Choice(NamedTuple):
    """One of the things that can happen: to whom (a party, or a request on its way), to which request, and what."""

    who: int
    slot: int
    what: What


class Move(NamedTuple):
    """A thing that can happen, the state after it, and what the judge says of it."""

    choice: Choice
    nodes: tuple[Node, ...]
    world: World
    blames: tuple[str, ...]


class Moves:
    """The moves of a scenario. ``close`` it after use."""

    def __init__(self, scenario: Scenario, faults: int) -> None:
        self.scenario = scenario
        self.universe = Universe(scenario.services, scenario.judge.changed)
        programs = [Program(name, make, self.universe, scenario.memories) for name, make in scenario.parties.items()]
        self.parties = tuple(map(Party, programs))
        self.start = Left(faults, scenario.jumps, scenario.longs)
        self._jump = round(scenario.jump.total_seconds() * 1e6)
        self._long = round(scenario.long.total_seconds() * 1e6)

    def first(self) -> State:
        """Return the state at the beginning."""
        return tuple(party.start(0) for party in self.parties), self.universe.start(self.start)

    def close(self) -> None:
        """End the coroutines that wait."""
        for party in self.parties:
            party.close()

    def after(self, nodes: tuple[Node, ...], world: World) -> Iterator[Move]:
        """Return every move, always in the same order."""
        for who, node in enumerate(nodes):
            for slot, call in enumerate(node.calls):
                yield from self._asked(nodes, world, who, slot, call)
            if node.calls and world.left.faults:
                yield from self._stopped(nodes, world, who)
        for who, call in enumerate(world.late):
            landed = world.land(call)
            yield Move(Choice(who, 0, What.LANDS), nodes, landed.world, landed.blames)
        if world.left.jumps and world.ripens(self._jump):
            later = world.but(now=world.now + self._jump, left=world.left._replace(jumps=world.left.jumps - 1))
            for number, begun in enumerate(self._begun(nodes, later.now)):
                yield Move(Choice(0, number, What.JUMP), begun, later, ())
        if world.left.longs and not world.late and all(node.over or node.begins for node in nodes):
            later = world.but(now=world.now + self._long, left=world.left._replace(longs=world.left.longs - 1))
            *_, anew = self._begun(nodes, later.now)
            yield Move(Choice(0, 0, What.LONG), anew, later, ())

    def _begun(self, nodes: tuple[Node, ...], now: int) -> Iterator[tuple[Node, ...]]:
        """Return every way in which those who wait for their first answer had begun before this moment, or begin at it.

        First all before, last all at it. Who did not look at the clock yet cannot tell the difference.
        """
        ways = [
            dict.fromkeys((node, party.start(now)) if node.begins else (node,))
            for node, party in zip(nodes, self.parties, strict=True)
        ]
        return product(*ways)

    def _asked(self, nodes: tuple[Node, ...], world: World, who: int, slot: int, call: Call) -> Iterator[Move]:
        """A request is answered, or something is lost of it."""
        party, node = self.parties[who], nodes[who]
        after, answer, blames = world.do(call)
        kid = party.after(node, slot, answer, after.now)
        yield self._moved(Choice(who, slot, What.DONE), nodes, kid, after, blames)
        lost = self.universe.lost(call) if world.left.faults else None
        if lost is None:
            return
        left = world.left._replace(faults=world.left.faults - 1)
        without = world.but(left=left)
        kid = party.after(node, slot, lost, world.now)
        if call.effect:
            yield self._moved(Choice(who, slot, What.LOST), nodes, kid, after.but(left=left), blames)
            yield self._moved(Choice(who, slot, What.LATE), nodes, kid, without.sent(call), ())
        yield self._moved(Choice(who, slot, What.DROPPED), nodes, kid, without, ())

    def _stopped(self, nodes: tuple[Node, ...], world: World, who: int) -> Iterator[Move]:
        """A party crashes, or its caller hangs up; perhaps with a request on its way.

        A crash is explored only at the beginning and right after an effect. Between two effects a party only reads and
        sleeps, which changes nothing for anybody else; so a crash later on leaves the same world to the same others as
        a crash right after the first of the two, and the runs differ in nothing that can be seen.
        """
        node = nodes[who]
        without = world.but(left=world.left._replace(faults=world.left.faults - 1))
        if node.fresh:
            yield self._moved(Choice(who, 0, What.CRASH), nodes, CRASHED, without, ())
        effects = [(slot, call) for slot, call in enumerate(node.calls) if call.effect]
        for slot, call in effects:
            yield self._moved(Choice(who, slot, What.CRASH_LATE), nodes, CRASHED, without.sent(call), ())
        if self.scenario.hang_up and node.outcome is None:
            kid = self.parties[who].after(node, None, None, world.now)
            yield self._moved(Choice(who, 0, What.HANG_UP), nodes, kid, without, ())
            for slot, call in effects:
                if call not in kid.calls:
                    yield self._moved(Choice(who, slot, What.HANG_UP_LATE), nodes, kid, without.sent(call), ())

    def _moved(self, choice: Choice, nodes: tuple[Node, ...], kid: Node, world: World, blames: tuple[str, ...]) -> Move:
        """Put the party's new node in its place; where its caller was told something just now, let that be judged."""
        who = choice.who
        outcome = kid.outcome
        if outcome is not None and nodes[who].outcome is None and kid is not CRASHED:
            if outcome.how in (How.RAISED, How.STUCK):
                blames = (*blames, f"{self.parties[who].name} {_broken(outcome.how, outcome.value)}")
            blames = (*blames, *self.scenario.judge.told(outcome, world.view()))
        return Move(choice, (*nodes[:who], kid, *nodes[who + 1 :]), world, blames)


def _broken(how: How, value: object) -> str:
    return "waits for something that nobody will ever do" if how is How.STUCK else f"broke: {value!r}"


def over(state: State) -> bool:
    """Tell whether every party has ended."""
    return all(node.over for node in state[0])
