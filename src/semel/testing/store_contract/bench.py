"""What each promise is given, and the few steps that all of them share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from semel.errors import WriteRefused
from semel.model import Record
from semel.ports import Ids, Insert, Ref, Store, Write
from semel.testing.clock import SequentialIds
from semel.testing.promises import BrokenPromiseError, expect

__all__ = ["Promise", "StoreBench", "difference", "ref"]

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class StoreBench:
    """A store under test.

    ``another`` is a second handle to the same data, as another server would have it; where there can be none, the same
    one. Every promise names fresh keys from ``ids``, so the store may hold other records; where data outlives a run,
    give ids that do not repeat. ``scale`` multiplies the rounds of races. ``lag`` is for how many seconds ``due`` may
    be behind what was committed.
    """

    store: Store
    another: Store
    ids: Ids = field(default_factory=SequentialIds)
    scale: int = 1
    lag: float = 5.0

    async def put(self, *records: R) -> list[R]:
        """Insert the records by one commit, and return them as they are stored now."""
        token = self.ids.token()
        await self.store.commit([Insert(record) for record in records], token)
        return [record.but(version=token) for record in records]

    async def refusal(self, writes: Sequence[Write]) -> WriteRefused:
        """Commit what must be refused, and return the refusal."""
        try:
            await self.store.commit(writes, self.ids.token())
        except WriteRefused as refusal:
            return refusal
        raise BrokenPromiseError("a commit was done that must be refused")

    async def stands(self, *records: Record) -> None:
        """Expect both handles to give exactly these records."""
        for store in (self.store, self.another):
            for record in records:
                found = await store.get(type(record), record.key)
                expect(found is not None, f"{record.TYPE} {record.key} is gone")
                expect(not (seen := difference(record, found)), f"{record.TYPE} came back otherwise: {seen}")

    async def absent(self, *records: Record) -> None:
        """Expect neither handle to know the records' keys."""
        for store in (self.store, self.another):
            for record in records:
                found = await store.get(type(record), record.key)
                expect(found is None, f"{record.TYPE} {record.key} is there, and must not be")


Promise = Callable[[StoreBench], Awaitable[None]]
"""A promise: it returns if it is kept, and raises ``BrokenPromiseError`` if it is not."""


def ref(record: Record) -> Ref:
    """Return the record's reference."""
    return Ref(type(record), record.key)


def difference(given: object, found: object, path: str = "") -> str:
    """Return what differs, by field, or the empty string. Types count (``1`` is not ``True``), and time zones."""
    if type(given) is not type(found):
        return f"{path or 'it'} is a {type(found).__name__}, was a {type(given).__name__}"
    if isinstance(given, msgspec.Struct):
        steps = [(name, getattr(given, name), getattr(found, name)) for name in given.__struct_fields__]
    elif isinstance(given, tuple) and isinstance(found, tuple) and len(given) == len(found):
        steps = [(str(index), *pair) for index, pair in enumerate(zip(given, found, strict=True))]
    else:
        same = given == found and getattr(given, "utcoffset", int)() == getattr(found, "utcoffset", int)()
        return "" if same else f"{path or 'it'} is {found!r}, was {given!r}"
    return "; ".join(filter(None, (difference(old, new, f"{path}.{name}".lstrip(".")) for name, old, new in steps)))
