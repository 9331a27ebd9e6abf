"""What parties share: services, each a pure function from a state and a request to the next state and an answer.

A service is made of an ordinary double whose methods never suspend: one of ``semel.testing``, or one that you write.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec
from typing_extensions import override

from semel.model import Record, Secret
from semel.testing.clock import START

__all__ = ["CLOCK", "Answer", "Ask", "Call", "Service", "SuspendsError", "frozen", "moment"]

Ask = Callable[[int, str, tuple[Any, ...]], Awaitable[Any]]
"""How a party asks: the service's number, the method's name, its arguments."""

CLOCK: Final = -1
"""The number that stands for the clock: its only request is to be woken at a moment."""


_PLAIN: Final = frozenset({type, str, int, float, bool, bytes, datetime, type(None)})
"""Types of values that are hashable as they are."""


class SuspendsError(TypeError):
    """A double waits for something inside a method. A service must answer at once: the explorer does the waiting."""


class Named(msgspec.Struct, frozen=True):
    """The last argument of a request whose method takes some by their names alone: these, and what they are."""

    values: tuple[tuple[str, Any], ...]

    @override
    def __str__(self) -> str:
        """Return them as a call has them."""
        return ", ".join(f"{name}={value}" for name, value in self.values)


class Call:
    """One request of a party to a service. Equal requests are one object."""

    __slots__ = ("args", "effect", "name", "number", "service", "verb")

    def __init__(  # noqa: PLR0913 - a plain value
        self, number: int, service: int, name: str, verb: str, args: tuple[Any, ...], *, effect: bool
    ) -> None:
        self.number = number
        self.service = service
        self.name = name
        self.verb = verb
        self.args = args
        self.effect = effect


class Answer:
    """What a request comes to: a value, or an error to raise. The world makes equal answers one object."""

    __slots__ = ("error", "value")

    def __init__(self, value: object = None, error: Exception | None = None) -> None:
        self.value = value
        self.error = error

    def give(self) -> Any:  # noqa: ANN401 - an answer may be anything
        """Return the value, or raise the error, each as new: the one who gets it may change it."""
        if self.error is not None:
            raise _anew(self.error)
        return list(self.value) if isinstance(self.value, list) else self.value

    def key(self) -> Hashable:
        """Return what tells answers apart."""
        if self.error is not None:
            return type(self.error), frozen(self.error.args)
        return type(self.value), frozen(self.value)


def _anew(error: Exception) -> Exception:
    """Return the error as if it had just been made; one that its arguments alone do not make is returned itself."""
    try:
        return type(error)(*error.args)
    except TypeError:
        return error.with_traceback(None)


class Service:
    """A service made of ``double(now)``, an object whose whole state is one attribute, at first ``start``.

    The state is a hashable value, or a mapping of such, which the double replaces and never changes in place.
    Subclasses name the methods that have effects, and say how a caller learns that it will learn nothing.
    """

    effects: ClassVar[frozenset[str]] = frozenset()
    """The methods whose request may be done though its answer is lost, may be lost, or may be done later."""

    def __init__(
        self, double: Callable[[Callable[[], datetime]], Any], start: object, attribute: str = "state"
    ) -> None:
        self.start = start
        self._attribute = attribute
        self._now = START
        self._double = double(lambda: self._now)
        self.facade = _facade(self._double, attribute)
        """What a party sees: ``facade(service, ask)``."""

    def lost(self, verb: str) -> Answer | None:  # noqa: ARG002 - subclasses look at it
        """Return what a caller meets whose answer is lost; ``None`` where the request cannot fail so."""
        return None

    def ripens(self, state: Any, now: datetime, until: datetime) -> bool:  # noqa: ANN401, ARG002 - as above
        """Tell whether something becomes due after ``now`` and by ``until``: else a jump changes nothing."""
        return False

    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        """Return the request in words, as in "A: creates …"."""
        return f"{verb}({', '.join(map(str, args))})"

    def hear(self, answer: Answer) -> str:
        """Return the answer in words."""
        return type(answer.error).__name__ if answer.error is not None else str(answer.value)

    def do(self, state: object, verb: str, args: tuple[Any, ...], now: datetime) -> tuple[object, Answer]:
        """Return the state after the request, and its answer. Raises ``SuspendsError``."""
        self._now = now
        setattr(self._double, self._attribute, state)
        *plain, last = args or (None,)
        named = dict(last.values) if isinstance(last, Named) else {}
        coroutine = getattr(self._double, verb)(*(plain if named else args), **named)
        try:
            coroutine.send(None)
        except StopIteration as end:
            answer = Answer(end.value)
        except Exception as error:  # noqa: BLE001 - whatever a service raises is its answer
            answer = Answer(error=error)
        else:
            coroutine.close()
            raise SuspendsError(f"{type(self._double).__name__}.{verb} suspends")
        return getattr(self._double, self._attribute), answer


def _facade(double: object, state: str) -> type:
    """Return the class of what parties see: asynchronous methods ask the world, all else is the double's own."""
    members: dict[str, Any] = {}
    for name, member in inspect.getmembers(double):
        if inspect.iscoroutinefunction(member):
            members[name] = _asking(name, inspect.signature(member))
        elif not name.startswith("_") and name != state:
            members[name] = staticmethod(member) if callable(member) else member
    return type(type(double).__name__, (_Facade,), members)


class _Facade:
    def __init__(self, service: int, ask: Ask) -> None:
        self._service = service
        self._ask = ask


def _asking(verb: str, signature: inspect.Signature) -> Callable[..., Awaitable[Any]]:
    async def method(self: _Facade, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the double's method has it
        if named:
            bound = signature.bind(*args, **named)
            args = (*bound.args, *([Named(tuple(bound.kwargs.items()))] if bound.kwargs else []))
        return await self._ask(self._service, verb, args)

    return method


def moment(microseconds: int) -> datetime:
    """Return the time so long after the world began."""
    return START + timedelta(microseconds=microseconds)


def frozen(value: Any) -> Hashable:  # noqa: ANN401 - any value
    """Return a hashable value, equal for equal contents: lists, mappings and secrets are looked into."""
    if type(value) in _PLAIN or isinstance(value, Record):
        return value  # type: ignore[no-any-return]
    if isinstance(value, Secret):
        return Secret, value.reveal()
    if isinstance(value, list | tuple):
        return type(value), *map(frozen, value)
    if isinstance(value, msgspec.Struct):
        return type(value), *(frozen(getattr(value, field)) for field in value.__struct_fields__)
    if isinstance(value, Mapping):
        return frozenset((key, frozen(one)) for key, one in value.items())
    return value  # type: ignore[no-any-return]
