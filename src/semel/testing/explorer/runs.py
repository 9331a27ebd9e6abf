"""A party at work: the real coroutine on a loop of its own, the ports it is built over, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, cast

from typing_extensions import override

from semel.ports import Clock, Events, Ids, RemoteProvider, Store
from semel.testing.clock import SequentialIds
from semel.testing.explorer.loop import EscapedError, Loop, SpinningError
from semel.testing.explorer.services import CLOCK, Answer, Call, moment
from semel.testing.explorer.worlds import Universe

__all__ = ["Edge", "How", "Make", "Outcome", "Ports", "Program", "Run"]


class How(Enum):
    """How a party came to its end."""

    RETURNED = "returned"
    RAISED = "raised"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    STUCK = "stuck"
    """It waits for something that nobody will ever do."""


class Outcome(NamedTuple):
    """The end of a party; ``value`` is what it returned, or the error it raised."""

    how: How
    value: Any = None


class Ports:
    """What a party is built over: a clock, ids, events, and the services by name. Nothing else may lead out of it."""

    def __init__(self, name: str, clock: Clock, ids: Ids, events: Events, services: Mapping[str, Any]) -> None:
        self.name = name
        self.clock = clock
        self.ids = ids
        self.events = events
        self._services = services

    def __getitem__(self, service: str) -> Any:  # noqa: ANN401 - each service has its own face
        """Return the service of this name, as the party sees it."""
        return self._services[service]

    @property
    def store(self) -> Store:
        """The service called ``store``."""
        return cast("Store", self["store"])

    @property
    def provider(self) -> RemoteProvider:
        """The service called ``provider``."""
        return cast("RemoteProvider", self["provider"])


Make = Callable[[Ports], Coroutine[Any, Any, Any]]
"""What a party does: makes its own engine over the ports it is given, and returns what its caller was told."""


class Program(NamedTuple):
    """A party that can be run: what it does, over which services, and which of its events are memories.

    A *memory* is an event by which a party says all that it remembers; see ``Scenario.memories``.
    """

    name: str
    make: Make
    universe: Universe
    memories: Collection[str]


Edge = tuple[int | None, Answer | None, int]
"""What happens to a party, and when: an answer to the request in a slot, or, without a slot, its caller hangs up."""


class _Ids(SequentialIds):
    def begin(self, seed: str) -> None:
        """Draw from another sequence from now on."""
        super().__init__(seed)

    @override
    def jitter(self) -> float:
        """See ``Ids.jitter``. Always the middle: chance would only tell apart what is alike."""
        return 0.5


class _Clock:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """See ``Clock.now``."""
        return moment(round(self._loop.time() * 1e6))

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock.sleep``."""
        await asyncio.sleep(seconds)


class _Events:
    """Nobody listens, except to memories: after one, ids are drawn from its own sequence, whatever led to it."""

    def __init__(self, program: Program, ids: _Ids) -> None:
        self.latest: str | None = None
        self._program = program
        self._ids = ids
        self._all: set[str] = set()

    def emit(self, name: str, fields: Mapping[str, str | int | float | Sequence[str]]) -> None:
        """See ``Events.emit``."""
        if name not in self._program.memories:
            return
        self.latest = f"{self._program.name} {name} {sorted(fields.items())}"
        if self.latest in self._all:
            raise ValueError(f"the same memory twice in one run, so the same ids would be drawn twice: {self.latest}")
        self._all.add(self.latest)
        self._ids.begin(self.latest)


class Run:
    """One run of a program, from its beginning to where it waits."""

    def __init__(self, program: Program, now: int) -> None:
        self._program = program
        self._loop = Loop()
        self._own = now / 1e6
        """What the party saw when it last looked at the clock, or slept until. It never sees an earlier time."""
        self._asked: list[tuple[Call, asyncio.Future[Any]]] = []
        self._slots: list[asyncio.Future[Any] | asyncio.TimerHandle] = []
        self._failure: Exception | None = None
        universe = program.universe
        faces = {name: universe.services[i].facade(i, self._ask) for i, name in enumerate(universe.names)}
        ids = _Ids(program.name)
        self._events = _Events(program, ids)
        ports = Ports(program.name, _Clock(self._loop), ids, self._events, faces)
        self._main = self._loop.create_task(program.make(ports))
        self._go(now)

    @property
    def looked(self) -> bool:
        """Whether the program has looked at the clock since its latest answer: else it cannot know what time it was."""
        return self._loop.looked

    def memory(self) -> Hashable | None:
        """Return all that the program remembers, where it has said so just now and waits for one thing alone."""
        alone = len(self._slots) == 1 and not self._loop.timers
        return (self._events.latest, self._own) if self._events.latest and alone else None

    def meet(self, edge: Edge) -> None:
        """Let the program go on from an answer, or from being cancelled. ``calls`` must have been asked before."""
        slot, answer, now = edge
        if slot is None:
            self._main.cancel()
        else:
            waiting = self._slots[slot]
            if isinstance(waiting, asyncio.TimerHandle):
                self._own = max(self._own, waiting.when())
                self._loop.fire(waiting)
            else:
                waiting.set_result(answer)
        self._go(now)

    def calls(self) -> tuple[Call, ...]:
        """Return what the program waits for, a slot each. Of its timers only the next can go off."""
        asked = [] if self._failure else self._asked
        timers = [] if self._failure else self._loop.timers
        soonest = min((timer.when() for timer in timers), default=0.0)
        due = [timer for timer in timers if timer.when() <= soonest]
        self._slots = [*(future for _, future in asked), *due]
        wake = self._program.universe.call(CLOCK, "wake", (round(soonest * 1e6),)) if due else None
        return (*(call for call, _ in asked), *(wake for _ in due if wake))

    def outcome(self, *, over: bool) -> Outcome | None:
        """Return what the caller was told, as soon as it was; ``over``: nothing can happen to the program any more."""
        if self._failure is not None:
            return Outcome(How.RAISED, self._failure)
        if not self._main.done():
            return Outcome(How.STUCK) if over else None
        if self._main.cancelled():
            return Outcome(How.CANCELLED)
        error = self._main.exception()
        return Outcome(How.RETURNED, self._main.result()) if error is None else Outcome(How.RAISED, error)

    def close(self) -> None:
        """End what still waits."""
        self._loop.abandon()

    async def _ask(self, service: int, verb: str, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any answer
        if self._loop.closing:
            raise asyncio.CancelledError
        future = self._loop.create_future()
        self._asked.append((self._program.universe.call(service, verb, args), future))
        answer: Answer = await future
        return answer.give()

    def _go(self, now: int) -> None:
        self._events.latest = None
        self._loop.looked = False
        self._loop.now = max(self._own, now / 1e6)
        try:
            self._loop.run_until_quiet()
        except (EscapedError, SpinningError) as error:
            self._failure = error
        if self._loop.looked:
            self._own = self._loop.now
        if self._events.latest and self._own <= now / 1e6:
            self._own = 0.0  # the past: no clock reading to come can be earlier, so it need not be remembered
        self._asked = [one for one in self._asked if not one[1].done()]
