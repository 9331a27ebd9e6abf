"""Stores that are right in what they write, and wrong in one respect each in what they give back."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec
from typing_extensions import override

from semel.errors import StoreUnavailable
from semel.model import Account, Key, KeyRecord, Name, Record
from semel.ports import Page, Ref, Store, Write
from semel.states import Door
from semel.stores.memory import MemoryStore, Table
from semel.testing import STORE_OPERATIONS, FaultPlan, FaultyStore, VirtualClock

R = TypeVar("R", bound=Record)

_KEY = KeyRecord(id="made up", algorithm="", secret="", wrapped=False, created_at=datetime(1, 1, 1, tzinfo=UTC))


class FoldsKeys(MemoryStore):
    """A collation that ignores case."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return next((r for r in self._all(kind) if _folded(r.key) == _folded(key)), None)


class RunsKeysTogether(MemoryStore):
    """The parts of a key are joined by a letter that may stand in them."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return next((r for r in self._all(kind) if "".join(r.key) == "".join(key)), None)


class CutsKeys(MemoryStore):
    """A column of 255 characters for keys."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return next((r for r in self._all(kind) if [p[:255] for p in r.key] == [p[:255] for p in key]), None)


class MakesUpRecords(MemoryStore):
    """A missing record of a reference is taken from another's row."""

    @override
    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        return [record or next(iter(self.table.values()), _KEY) for record in await super().get_many(refs)]


class ForgetsADoor(MemoryStore):
    """An enumeration of the database that lacks the newest member."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return _altered(await super().get(kind, key), Door, lambda _: Door.SIGNUP)


class IgnoresTheType(MemoryStore):
    """One key space for all types."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return cast("R | None", next((r for r in self.table.values() if r.key == key), None))


class TrimsText(MemoryStore):
    """A column that loses spaces at the end."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return _altered(await super().get(kind, key), str, str.rstrip)


class CutsToSeconds(MemoryStore):
    """A column for times without places."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return _altered(await super().get(kind, key), datetime, lambda t: t.replace(microsecond=0))


class FormatsJson(MemoryStore):
    """A column that parses JSON, and prints it again."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        found = await super().get(kind, key)
        if isinstance(found, Account):
            return found.but(attributes=msgspec.json.format(found.attributes, indent=1))
        return found


class GivesPlainTuples(MemoryStore):
    """Names come back as tuples without fields."""

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        return _altered(await super().get(kind, key), tuple, lambda names: tuple(map(_plain, names)))


class AnswersInItsOwnOrder(MemoryStore):
    """``get_many`` sorts, and leaves out what is missing."""

    @override
    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        found = await super().get_many(sorted(set(refs), key=lambda ref: ref.key))
        return [record for record in found if record is not None]


class FindsAllDue(MemoryStore):
    """``due`` does not look at the time."""

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        return await super().due(kind, datetime.max.replace(tzinfo=before.tzinfo), limit)


class MissesTheMoment(MemoryStore):
    """``due`` finds what was due before, not what is due now."""

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        return [record for record in await super().due(kind, before, limit) if record.due_at != before]


class IgnoresTheLimit(MemoryStore):
    """``due`` gives all at once."""

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        return await super().due(kind, before, limit * 1000)


class KeepsOldDueTimes(MemoryStore):
    """An index that is only ever added to."""

    def __init__(self) -> None:
        super().__init__()
        self._index: Table = {}

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        await super().commit(writes, token)
        self._index = {**self.table, **self._index}

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        old = MemoryStore()
        old.table = self._index
        return await old.due(kind, before, limit)


class PagesByNumber(MemoryStore):
    """The cursor is an offset: whoever is deleted before it makes the next page skip one."""

    @override
    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        start = int(cursor or 0)
        found = (await super().page(kind, None, start + limit + 1)).records[start:]
        return Page(found[:limit], str(start + limit) if len(found) > limit else None)


class RepeatsTheLastOfAPage(MemoryStore):
    """The next page begins with the record at which the last one ended."""

    @override
    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        page = await super().page(kind, cursor, limit)
        last = [record for record in self._all(kind) if cursor and list(record.key) == json.loads(cursor)]
        records: tuple[Record, ...] = (*last, *page.records)
        return Page(records[:limit], page.cursor)


class PagesByTheFirstPart(MemoryStore):
    """The cursor is the first part of a key of two."""

    @override
    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        page = await super().page(kind, json.dumps([cursor, "\U0010ffff"]) if cursor else None, limit)
        return Page(page.records, page.cursor and page.records[-1].key[0])


class LosesTheLastPage(MemoryStore):
    """A page that is not full is taken for the end of what came before."""

    @override
    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        page = await super().page(kind, cursor, limit)
        return page if len(page.records) == limit else Page((), None)


class TellsLocalTime(MemoryStore):
    """A time without a zone."""

    @override
    async def ping(self) -> datetime:
        return (await super().ping()).replace(tzinfo=None)


class ClosesOnce(MemoryStore):
    """The second time there is nothing left to close."""

    _closed = False

    @override
    async def close(self) -> None:
        if self._closed:
            raise StoreUnavailable("closed already")
        self._closed = True


class CachesReads(FaultyStore):
    """Another handle, which keeps what it has read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, FaultPlan(STORE_OPERATIONS), VirtualClock())
        self._cache: dict[tuple[type[Record], Key], Record | None] = {}

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        if (kind, key) not in self._cache:
            self._cache[kind, key] = await super().get(kind, key)
        return cast("R | None", self._cache[kind, key])


def _altered(record: R | None, kind: type, change: Callable[[Any], object]) -> R | None:
    """Return the record with all fields of this type changed."""
    if record is None:
        return None
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return record.but(**{name: change(value) for name, value in values.items() if type(value) is kind})


def _folded(key: Key) -> Key:
    return tuple(part.casefold() for part in key)


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, Name) else value
