"""The services of Semel's own ports: the memory store and the fake identity provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

from typing_extensions import override

from semel.errors import CommitUnknown, StoreUnavailable, WriteRefused
from semel.model import Identifier, Key, Record
from semel.ports import NewIdentity, Ref, Unknown, Verified
from semel.stores.memory import MemoryStore, Table
from semel.testing.couriers import RecordingCourier
from semel.testing.explorer.services import Answer, Service
from semel.testing.fake_provider import FakeProvider, State, Variant

__all__ = ["CourierService", "ProviderService", "StoreService"]


class StoreService(Service):
    """A store (``ports.Store``): a ``MemoryStore``, or another kind of it, with these records in it.

    ``apart``: several records are read at once and one by one, each at a moment of its own, as the port allows.
    """

    effects: ClassVar[frozenset[str]] = frozenset({"commit"})

    def __init__(
        self,
        records: Iterable[Record] = (),
        kind: Callable[[Callable[[], datetime]], MemoryStore] = MemoryStore,
        *,
        apart: bool = False,
    ) -> None:
        super().__init__(kind, {(record.TYPE, record.key): record for record in records}, "table")
        if apart:
            self.facade = type("Store", (self.facade,), {"get_many": _one_by_one})

    @override
    def lost(self, verb: str) -> Answer | None:
        return Answer(error=CommitUnknown() if verb == "commit" else StoreUnavailable())

    @override
    def ripens(self, state: Table, now: datetime, until: datetime) -> bool:
        return any(record.due_at is not None and now < record.due_at <= until for record in state.values())

    @override
    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        match verb:
            case "commit":
                writes = [f"{type(write).__name__.lower()} {_brief(write.record)}" for write in args[0]]
                return f"commits: {', '.join(writes)}"
            case "get":
                return f"reads {_name(*args)}"
            case "get_many":
                return f"reads {', '.join(_name(*ref) for ref in args[0])}"
            case _:
                return f"asks the store: {verb} {' '.join(_plain(arg) for arg in args)}".rstrip()

    @override
    def hear(self, answer: Answer) -> str:
        if isinstance(answer.error, WriteRefused):
            return f"refused, write {' and '.join(str(one + 1) for one in answer.error.positions)}"
        return super().hear(answer) if answer.error is not None else _heard(answer.value)


class ProviderService(Service):
    """A remote identity provider (``ports.RemoteProvider``, ``ports.Sessions``) in some state.

    It is a ``FakeProvider``, or another kind of it.
    """

    effects: ClassVar[frozenset[str]] = frozenset({"create", "update", "delete"})

    def __init__(
        self,
        state: State | None = None,
        variant: Variant = Variant.OWN,
        kind: Callable[[Variant], FakeProvider] = FakeProvider,
    ) -> None:
        super().__init__(lambda _: kind(variant), state or State())

    @override
    def lost(self, verb: str) -> Answer | None:
        return Answer(Verified.UNKNOWN if verb == "verify_password" else Unknown("no answer"))

    @override
    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        return f"asks the provider: {verb.replace('_', ' ')} {' '.join(_plain(arg) for arg in args)}"

    @override
    def hear(self, answer: Answer) -> str:
        if isinstance(answer.value, Enum):
            return str(answer.value.value)
        return type(answer.value).__name__.lower() if answer.error is None else super().hear(answer)


class CourierService(Service):
    """Endpoints of the outbox (``outgoing.Courier``): a ``RecordingCourier``, or another kind of it."""

    effects: ClassVar[frozenset[str]] = frozenset({"deliver"})

    def __init__(self, names: tuple[str, ...], kind: Callable[[tuple[str, ...]], RecordingCourier]) -> None:
        super().__init__(lambda _: kind(names), ())

    @override
    def lost(self, verb: str) -> Answer | None:
        return Answer(Unknown("no answer"))

    @override
    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        event, endpoint, attempt = args
        return f"delivers {event.kind} to {endpoint} ({attempt})"

    @override
    def hear(self, answer: Answer) -> str:
        return type(answer.value).__name__.lower() if answer.error is None else super().hear(answer)


async def _one_by_one(self: Any, refs: Sequence[Ref]) -> list[Record | None]:  # noqa: ANN401 - a made face
    # All are answered before an error is told: what is read later on changes nothing for anybody.
    read = await asyncio.gather(*(self.get(*ref) for ref in refs), return_exceptions=True)
    for one in read:
        if isinstance(one, BaseException):
            raise one
    return [one for one in read if not isinstance(one, BaseException)]


def _name(kind: type[Record], key: Key) -> str:
    return f"{kind.TYPE} {'/'.join(key)}"


def _brief(record: Record) -> str:
    """Return a record in a few words: what it is, whose, and in which state."""
    name = _name(type(record), record.key)
    if isinstance(record, Identifier):
        return f"{name} ({'owned' if record.owned else 'held'} by {record.attempt_id})"
    state = getattr(record, "state", None)
    return f"{name} ({state.value})" if isinstance(state, Enum) else name


def _heard(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_heard, value)) or "nothing"
    return _brief(value) if isinstance(value, Record) else _plain(value)


def _plain(value: object) -> str:
    """Return an argument in a word; a secret stays one."""
    if isinstance(value, NewIdentity):
        return f"{value.id} for {value.email}"
    if isinstance(value, type) and issubclass(value, Record):
        return value.TYPE
    return f"{value:%H:%M:%S}" if isinstance(value, datetime) else str(value)
