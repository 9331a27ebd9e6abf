"""The service under the Azure Tables store: a table that is atomic in one partition alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final

from typing_extensions import override

from semel.errors import StoreUnavailable
from semel.stores.azure_entities import Bounds, Entity, NotAnswered, Place, Values
from semel.testing.explorer.services import Answer, Ask, Service
from semel.testing.fake_entities import FakeEntities

__all__ = ["EntitiesService"]

_DECISIVE: Final = ("state", "version", "mark", "next_version")
_CHANGES: Final = frozenset({"insert", "replace", "delete", "discard"})


class EntitiesService(Service):
    """A table (``azure_entities.Entities``): a ``FakeEntities``, or another kind of it, with this content.

    Several places are read at once and one by one, each at a moment of its own: others may come between. What is listed
    of a partition that is ``quiet``, that nobody ever writes to, is answered at once: whenever it is read, it is empty.
    With ``one_at_a_time`` no party has two requests under way: of what its own tasks do at once one order is explored.
    """

    effects: ClassVar[frozenset[str]] = _CHANGES

    def __init__(
        self,
        start: object = MappingProxyType({}),
        kind: Callable[[Callable[[], datetime]], FakeEntities] = FakeEntities,
        attribute: str = "state",
        quiet: frozenset[str] = frozenset(),
        *,
        one_at_a_time: bool = False,
    ) -> None:
        super().__init__(kind, start, attribute)
        self._quiet = quiet
        members = {"get_many": _one_by_one, "between": _listing(quiet)}
        self.facade = type("Entities", (_Queue, self.facade) if one_at_a_time else (self.facade,), members)

    @override
    def do(self, state: object, verb: str, args: tuple[Any, ...], now: datetime) -> tuple[object, Answer]:
        if verb == "insert" and args[0] in self._quiet:
            raise ValueError(f"{args[0]} was said to be quiet, and somebody writes to it")
        return super().do(state, verb, args, now)

    @override
    def lost(self, verb: str) -> Answer | None:
        return Answer(error=NotAnswered() if verb in _CHANGES else StoreUnavailable())

    @override
    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        match verb:
            case "insert":
                partition, rows = args
                return f"inserts {', '.join(_put(Place(partition, row), values) for row, values in rows.items())}"
            case "replace":
                return f"replaces {_put(args[0].place, args[1])}"
            case "delete" | "discard":
                return f"{verb}s {_at(args[0].place if verb == 'delete' else args[0])}"
            case "get":
                return f"reads {_at(args[0])}"
            case "between":
                return f"lists what is {_between(*args)}"
            case _:
                return f"asks the table: {verb}"

    @override
    def hear(self, answer: Answer) -> str:
        return super().hear(answer) if answer.error is not None else _heard(answer.value)


class _Queue:
    """What the tasks of one party ask is sent one after the other, in the order asked."""

    def __init__(self, service: int, ask: Ask) -> None:
        turn = asyncio.Lock()

        async def in_turn(service: int, verb: str, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any answer
            async with turn:
                return await ask(service, verb, args)

        super().__init__(service, in_turn)  # type: ignore[call-arg]


async def _one_by_one(self: Any, places: Sequence[Place]) -> list[Entity | None]:  # noqa: ANN401 - a made face
    # All are answered before an error is told: what is read later on changes nothing for anybody.
    read = await asyncio.gather(*(self.get(place) for place in places), return_exceptions=True)
    for one in read:
        if isinstance(one, BaseException):
            raise one
    return [one for one in read if not isinstance(one, BaseException)]


def _listing(quiet: frozenset[str]) -> Callable[..., Awaitable[list[Entity]]]:
    async def between(self: Any, bounds: Bounds, limit: int) -> list[Entity]:  # noqa: ANN401 - a made face
        if bounds.after.partition == bounds.before.partition and bounds.after.partition in quiet:
            return []
        listed: list[Entity] = await self._ask(self._service, "between", (bounds, limit))
        return listed

    return between


def _at(place: Place) -> str:
    return f"{place.partition}/{place.row}" if place.row else place.partition


def _put(place: Place, values: Values) -> str:
    return f"{_at(place)} {_words(values)}".rstrip()


def _words(values: Mapping[str, Any]) -> str:
    """Return what decides, and nothing of what a record says."""
    said = [f"{name.replace('_', ' ')} {values[name]}" for name in _DECISIVE if name in values]
    return f"({', '.join(said)})" if said else ""


def _between(bounds: Bounds, limit: int) -> str:
    return f"between {_at(bounds.after)} and {_at(bounds.before)}, at most {limit}"


def _heard(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_heard, value)) or "nothing"
    return _put(value.place, value.values) if isinstance(value, Entity) else str(value)
