"""Small programs with known counts and known flaws, over a shelf of named values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from typing_extensions import override

from semel.testing.explorer import Answer, Ending, Judge, Make, Ports, Rest, Scenario, Service

SECOND = timedelta(seconds=1)


class NoAnswerError(Exception):
    """What a party meets whose answer is lost."""


class TakenError(Exception):
    """The name is on the shelf already."""


class Shelf:
    """Named values. Nothing is ever changed in place."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.state: Mapping[str, Any] = {}
        self._now = now

    async def get(self, name: str) -> Any:  # noqa: ANN401 - any value
        return self.state.get(name, 0)

    async def put(self, name: str, value: object) -> None:
        self.state = {**self.state, name: value}

    async def add(self, name: str, number: int) -> None:
        self.state = {**self.state, name: self.state.get(name, 0) + number}

    async def insert(self, name: str, value: object) -> None:
        if name in self.state:
            raise TakenError(name)
        self.state = {**self.state, name: value}

    async def lease(self, seconds: float) -> bool:
        """Take the lease unless somebody has it; it is kept as the time when it ends."""
        now = self._now()
        if self.state.get("lease", now) > now:
            return False
        self.state = {**self.state, "lease": now + timedelta(seconds=seconds)}
        return True


class ShelfService(Service):
    """A shelf on which everything but a look has an effect, and whose every answer can be lost."""

    effects: ClassVar[frozenset[str]] = frozenset({"put", "add", "insert", "lease"})

    def __init__(self, **start: object) -> None:
        super().__init__(Shelf, start)

    @override
    def lost(self, verb: str) -> Answer | None:
        return Answer(error=NoAnswerError())

    @override
    def ripens(self, state: Mapping[str, Any], now: datetime, until: datetime) -> bool:
        return "lease" in state and now < state["lease"] <= until


class Blind(ShelfService):
    """A shelf whose answers always arrive."""

    @override
    def lost(self, verb: str) -> Answer | None:
        return None


class Says(Judge):
    """A judge made of one function: it returns what is wrong with the end, or ``None``."""

    def __init__(self, wrong: Callable[[Ending], str | None]) -> None:
        self._wrong = wrong

    @override
    def ended(self, ending: Ending) -> tuple[str, ...]:
        found = self._wrong(ending)
        return () if found is None else (found,)


def scenario(
    parties: Mapping[str, Make],
    wrong: Callable[[Ending], str | None] = lambda _: None,
    *,
    shelf: Service | None = None,
    upkeep: Make | None = None,
    **options: Any,  # noqa: ANN401 - the scenario's own
) -> Scenario:
    """Return a scenario of parties around one shelf, with three passes of upkeep if there is any."""
    rest = None if upkeep is None else Rest(upkeep=upkeep, near=(SECOND,), far=(SECOND, SECOND))
    services = {"shelf": ShelfService() if shelf is None else shelf}
    return Scenario(
        name="toy", about="A toy.", parties=parties, services=services, judge=Says(wrong), rest=rest, **options
    )


def steps(number: int) -> Make:
    """Return a party that does so many things, each of which leaves its mark on the order of things."""

    async def party(ports: Ports) -> None:
        for step in range(number):
            await ports["shelf"].put(f"{ports.name}{step}", "done")

    return party
