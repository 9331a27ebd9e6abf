"""Stores whose commits are wrong in one respect each."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from typing_extensions import override

from semel.errors import StoreUnavailable, WriteRefused
from semel.model import Key, KeyRecord, Record
from semel.ports import Delete, Insert, Replace, Write, in_order
from semel.stores.memory import MemoryStore, Table, apply

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


def _name(write: Write) -> tuple[str, Key]:
    return write.record.TYPE, write.record.key


def _current(table: Table, write: Write) -> Write:
    """Return the write as if it had been read just now, so that its version is always right."""
    stored = table.get(_name(write))
    if stored is None or isinstance(write, Insert):
        return write
    return type(write)(write.record.but(version=stored.version))
