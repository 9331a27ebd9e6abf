"""The world that parties share, as immutable values: services' states, requests that land later, the time, faults left.

Equal worlds are one object, and what a request does in a world is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from semel.testing.explorer.services import CLOCK, Answer, Call, Service, frozen, moment

__all__ = ["Change", "Left", "Step", "Universe", "World"]


class Change(NamedTuple):
    """An effect, as it happens: the services' states before and after, by name."""

    call: Call
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    now: datetime


Watch = Callable[[Change], Sequence[str]]


class Left(NamedTuple):
    """What may still go wrong: faults, jumps of the clock past a lease, long ones past a retention."""

    faults: int = 0
    jumps: int = 0
    longs: int = 0


class Step(NamedTuple):
    """What a request comes to; ``blames`` are the sentences of the watch."""

    world: World
    answer: Answer
    blames: tuple[str, ...]


class World:
    """One world. Compare by identity."""

    __slots__ = ("_steps", "_universe", "late", "left", "now", "states")

    def __init__(
        self, universe: Universe, states: tuple[int, ...], late: tuple[Call, ...], now: int, left: Left
    ) -> None:
        self.states = states
        self.late = late
        self.now = now
        self.left = left
        self._universe = universe
        self._steps: dict[Call, Step] = {}

    def do(self, call: Call) -> Step:
        """Carry a request out."""
        step = self._steps.get(call)
        if step is None:
            step = self._steps[call] = self._universe.do(self, call)
        return step

    def but(
        self,
        *,
        states: tuple[int, ...] | None = None,
        late: tuple[Call, ...] | None = None,
        now: int | None = None,
        left: Left | None = None,
    ) -> World:
        """Return the world that differs in this."""
        return self._universe.world(
            self.states if states is None else states,
            self.late if late is None else late,
            self.now if now is None else now,
            self.left if left is None else left,
        )

    def sent(self, call: Call) -> World:
        """Return the world in which the request is on its way."""
        return self.but(late=tuple(sorted((*self.late, call), key=lambda one: one.number)))

    def land(self, call: Call) -> Step:
        """Let a request that was on its way arrive. Nobody hears the answer."""
        rest = list(self.late)
        rest.remove(call)
        return self.but(late=tuple(rest)).do(call)

    def view(self) -> dict[str, Any]:
        """Return the services' states by name."""
        return self._universe.view(self.states)

    def ripens(self, microseconds: int) -> bool:
        """Tell whether something becomes due within so long."""
        return self._universe.ripens(self.states, self.now, self.now + microseconds)


class Universe:
    """All the worlds that some services can come to."""

    def __init__(self, services: Mapping[str, Service], watch: Watch) -> None:
        self.services = tuple(services.values())
        self.names = tuple(services)
        self._watch = watch
        self._states: list[list[Any]] = [[] for _ in self.services]
        self._numbers: list[dict[Hashable, int]] = [{} for _ in self.services]
        self._worlds: dict[Hashable, World] = {}
        self._calls: dict[Hashable, Call] = {}
        self._answers: dict[Hashable, Answer] = {}
        self._ripe: dict[Hashable, bool] = {}

    def start(self, left: Left) -> World:
        """Return the world at its beginning."""
        states = tuple(self._number(i, service.start) for i, service in enumerate(self.services))
        return self.world(states, (), 0, left)

    def world(self, states: tuple[int, ...], late: tuple[Call, ...], now: int, left: Left) -> World:
        """Return the one world of these contents."""
        key = (states, late, now, left)
        found = self._worlds.get(key)
        if found is None:
            found = self._worlds[key] = World(self, *key)
        return found

    def call(self, service: int, verb: str, args: tuple[Any, ...]) -> Call:
        """Return the one request of these contents."""
        key = (service, verb, frozen(args))
        found = self._calls.get(key)
        if found is None:
            name, effect = ("clock", False) if service == CLOCK else self._about(service, verb)
            found = self._calls[key] = Call(len(self._calls), service, name, verb, args, effect=effect)
        return found

    def _about(self, service: int, verb: str) -> tuple[str, bool]:
        return self.names[service], verb in self.services[service].effects

    def answer(self, answer: Answer) -> Answer:
        """Return the one answer of these contents."""
        return self._answers.setdefault(answer.key(), answer)

    def lost(self, call: Call) -> Answer | None:
        """Return what the caller of a request meets whose answer is lost; ``None`` where it cannot be."""
        answer = None if call.service == CLOCK else self.services[call.service].lost(call.verb)
        return None if answer is None else self.answer(answer)

    def do(self, world: World, call: Call) -> Step:
        """Work out what a request does in a world."""
        if call.service == CLOCK:
            return Step(world, self.answer(Answer()), ())
        state = self._states[call.service][world.states[call.service]]
        now = moment(world.now)
        after, answer = self.services[call.service].do(state, call.verb, call.args, now)
        answer = self.answer(answer)
        if after is state:
            return Step(world, answer, ())
        number = self._number(call.service, after)
        states = (*world.states[: call.service], number, *world.states[call.service + 1 :])
        blames = self._watch(Change(call, self.view(world.states), self.view(states), now))
        return Step(world.but(states=states), answer, tuple(blames))

    def view(self, states: tuple[int, ...]) -> dict[str, Any]:
        """Return the services' states by name."""
        return {name: self._states[i][states[i]] for i, name in enumerate(self.names)}

    def ripens(self, states: tuple[int, ...], now: int, until: int) -> bool:
        """Tell whether something becomes due after ``now`` and not after ``until``."""
        key = (states, now, until)
        found = self._ripe.get(key)
        if found is None:
            times = moment(now), moment(until)
            found = any(one.ripens(self._states[i][states[i]], *times) for i, one in enumerate(self.services))
            self._ripe[key] = found
        return found

    def _number(self, service: int, state: object) -> int:
        states = self._states[service]
        number = self._numbers[service].setdefault(frozen(state), len(states))
        if number == len(states):
            states.append(state)
        return number
