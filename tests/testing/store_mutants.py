"""Stores that are wrong in one respect each."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec
from typing_extensions import override

from semel.errors import StoreUnavailable, WriteRefused
from semel.model import Account, Key, KeyRecord, Name, Record
from semel.ports import Delete, Insert, Page, Ref, Replace, Store, Write, in_order
from semel.states import Door
from semel.stores.memory import MemoryStore, Table, apply
from semel.testing import STORE_OPERATIONS, FaultPlan, FaultyStore, VirtualClock

R = TypeVar("R", bound=Record)

_KEY = KeyRecord(id="made up", algorithm="", secret="", wrapped=False, created_at=datetime(1, 1, 1, tzinfo=UTC))


class OverwritesOnInsert(MemoryStore):
    """An upsert: an insert of a key that exists replaces it."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        for write in writes:
            if isinstance(write, Insert):
                self.table = {name: stored for name, stored in self.table.items() if name != _name(write)}
        await super().commit(writes, token)


class SkipsTheVersionCheck(MemoryStore):
    """The last writer wins."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        await super().commit([_current(self.table, write) for write in writes], token)


class SkipsTheVersionCheckOfDeletes(MemoryStore):
    """A delete takes whatever is there."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        loose = [_current(self.table, write) if isinstance(write, Delete) else write for write in writes]
        await super().commit(loose, token)


class TakesEveryVersionThatWas(MemoryStore):
    """An index of all versions that a key ever had: deleted and inserted again, a record matches its old version."""

    def __init__(self) -> None:
        super().__init__()
        self._ever: set[tuple[str, Key, int]] = set()

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        known = [(*_name(write), write.record.version) in self._ever for write in writes]
        loose = [_current(self.table, write) if old else write for write, old in zip(writes, known, strict=True)]
        await super().commit(loose, token)
        self._ever |= {(*_name(write), token) for write in writes}


class CountsVersions(MemoryStore):
    """Versions start at 1 and count, so that a record that was deleted and inserted again has the same once more."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        before = self.table
        await super().commit(writes, token)
        changed = {name: record for name, record in self.table.items() if before.get(name) is not record}
        counted = {
            name: record.but(version=before[name].version + 1 if name in before else 1)
            for name, record in changed.items()
        }
        self.table = {**self.table, **counted}


class InsertsWhatIsReplaced(MemoryStore):
    """A replace, or a delete, of what is absent is done."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        there = [write for write in writes if isinstance(write, Insert) or _name(write) in self.table]
        await super().commit(there, token)


class InsertsOnlyTheNew(MemoryStore):
    """An insert of a record that carries a version is taken for a mistake."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if odd := [at for at, write in enumerate(writes) if isinstance(write, Insert) and write.record.version]:
            raise StoreUnavailable(f"not new: {odd}")
        await super().commit(writes, token)


class UpdatesInPlace(MemoryStore):
    """An identity map: a replace changes the very object that readers hold."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        before = self.table
        await super().commit(writes, token)
        for name, old in before.items():
            if name in self.table:
                for field in old.__struct_fields__:
                    msgspec.structs.force_setattr(old, field, getattr(self.table[name], field))
                self.table = {**self.table, name: old}


class StampsTheCallersRecord(MemoryStore):
    """The version is written into the record that was given."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        await super().commit(writes, token)
        for write in writes:
            msgspec.structs.force_setattr(write.record, "version", token)


class KeepsTheCallersList(MemoryStore):
    """The writes are looked at when somebody reads, in the list that the caller still has."""

    def __init__(self) -> None:
        super().__init__()
        self._given: list[tuple[Sequence[Write], int]] = []

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        self._given.append((writes, token))
        apply(self.table, writes, token)

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        for given, token in self._given:
            self.table = apply(self.table, given, token)
        self._given.clear()
        return await super().get(kind, key)


class CommitsInPart(MemoryStore):
    """What stands before the refused write is done."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        for position in in_order(writes):
            try:
                await super().commit([writes[position]], token)
            except WriteRefused as refusal:
                raise WriteRefused((position,)) from refusal


class NamesNoRefusedWrite(MemoryStore):
    """A refusal says only that there was one."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        try:
            await super().commit(writes, token)
        except WriteRefused as refusal:
            raise WriteRefused from refusal


class NamesTheSortedPlace(MemoryStore):
    """A refusal counts in the order in which writes are applied."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        await super().commit([writes[position] for position in in_order(writes)], token)


class NamesEveryWrite(MemoryStore):
    """A refusal names all of the commit."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        try:
            await super().commit(writes, token)
        except WriteRefused as refusal:
            raise WriteRefused(tuple(range(len(writes)))) from refusal


class LetsTheLastOfAKeyWin(MemoryStore):
    """A key that is named twice is written as named last."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        await super().commit(list({_name(write): write for write in writes}.values()), token)


class TakesTwentyFiveWrites(MemoryStore):
    """A batch of the old size."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if len(writes) > 25:
            raise StoreUnavailable("too many writes in a batch")
        await super().commit(writes, token)


class BreaksAfterManyRefusals(MemoryStore):
    """Each refusal keeps a connection of the pool."""

    _left = 20

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if not self._left:
            raise StoreUnavailable("no connection is free")
        try:
            await super().commit(writes, token)
        except WriteRefused:
            self._left -= 1
            raise


class ChecksThenActs(MemoryStore):
    """What was checked is written a moment later, over whatever came between."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        apply(self.table, writes, token)
        await asyncio.sleep(0)
        self.table = apply(self.table, [_current(self.table, write) for write in writes], token)


class ShowsWhatIsNotCommitted(MemoryStore):
    """Writes are done one by one, and taken back if one is refused."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        before = self.table
        for position in in_order(writes):
            try:
                self.table = apply(self.table, [writes[position]], token)
            except WriteRefused as refusal:
                self.table = before
                raise WriteRefused((position,)) from refusal
            await asyncio.sleep(0)


class WritesOneByOne(MemoryStore):
    """Checked as a whole, then written one by one: a reader sees the first without the last."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        apply(self.table, writes, token)
        for position in in_order(writes):
            self.table = apply(self.table, [writes[position]], token)
            await asyncio.sleep(0)


class DeadlocksWhenCrossed(MemoryStore):
    """Locks are taken in the caller's order: who comes the other way meanwhile has the driver's error."""

    def __init__(self) -> None:
        super().__init__()
        self._locked: list[list[tuple[str, Key]]] = []

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        names = [_name(write) for write in writes]
        if any(names != others and {*names} & {*others} for others in self._locked):
            raise StoreUnavailable("deadlock detected")
        self._locked.append(names)
        try:
            await asyncio.sleep(0)
            await super().commit(writes, token)
        finally:
            self._locked.remove(names)


class RefusesForNoReason(MemoryStore):
    """Under contention every other commit is refused, though nothing came between."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        self._turn += 1
        if self._turn % 60 and isinstance(writes[0], Replace):
            raise WriteRefused((0,))
        await super().commit(writes, token)


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


def _name(write: Write) -> tuple[str, Key]:
    return write.record.TYPE, write.record.key


def _current(table: Table, write: Write) -> Write:
    """Return the write as if it had been read just now, so that its version is always right."""
    stored = table.get(_name(write))
    if stored is None or isinstance(write, Insert):
        return write
    return type(write)(write.record.but(version=stored.version))


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
