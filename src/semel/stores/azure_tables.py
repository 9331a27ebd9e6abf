"""The store on Azure Tables: one table; a commit over several partitions is two-phase, see ``azure_commits``.

A commit of one record that is never due is one conditional request. Any other puts a journal there, marks its records,
and is decided by one replace of the journal; what remains to be done then goes on behind the answer. No index of the
service is asked, since it has none: what is due stands in rows of its own, put there together with the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar, cast

from semel.errors import InvalidInput, StoreError, StoreInconsistent, StoreRejected, StoreUnavailable, WriteRefused
from semel.model import Key, Record
from semel.ports import Clock, Page, Ref, Write, in_order
from semel.stores.azure_commits import PATIENCE_SECONDS, TRIES, Commits, Seen
from semel.stores.azure_entities import Bounds, Entities, Entity, NotAnswered
from semel.stores.azure_places import (
    WORK,
    change_of,
    due_bounds,
    due_place,
    due_record,
    journal_bounds,
    record_bounds,
    record_of,
    record_place,
)

__all__ = ["AzureTablesStore"]

R = TypeVar("R", bound=Record)

_LEFT_FOR: Final = timedelta(minutes=1)
"""How old a journal is, by the service's time, before upkeep takes it for one that its worker has left."""
_SETTLE_SECONDS: Final = 5.0
_BATCH: Final = 100


class AzureTablesStore:
    """See ``ports.Store``. ``patience`` is how many seconds a writer waits for a commit that is in its way.

    ``tries`` is how often a commit is begun, where others come between or abort it.
    """

    def __init__(
        self,
        entities: Entities,
        clock: Clock,
        jitter: Callable[[], float],
        patience: float = PATIENCE_SECONDS,
        tries: int = TRIES,
    ) -> None:
        self._entities = entities
        self._commits = Commits(entities, clock, jitter, patience, tries)

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        (record,) = await self.get_many([Ref(kind, key)])
        return cast("R | None", record)

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``."""
        seen = await self._commits.look([record_place(*ref) for ref in refs])
        for one in seen:
            self._commits.help(one)
        return [_record(ref.type, one) for ref, one in zip(refs, seen, strict=True)]

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``."""
        order = in_order(writes)
        if not order:
            return
        try:
            await self._commits.commit([change_of(writes[position], token) for position in order], token)
        except WriteRefused as refused:
            raise WriteRefused(tuple(order[position] for position in refused.positions)) from None

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``. A row that leads to no such record any more is swept away."""
        bounds = [due_bounds(partition, kind, before) for partition in WORK]
        found: list[R] = []
        while bounds and len(found) < limit:
            parts = await asyncio.gather(*(self._entities.between(part, limit) for part in bounds))
            rows = sorted((row for part in parts for row in part), key=lambda row: row.place.row)
            for start in range(0, len(rows), _BATCH):
                found += await self._confirmed(kind, rows[start : start + _BATCH])
                if len(found) >= limit:
                    break
            bounds = [
                Bounds(part[-1].place, bound.before)
                for bound, part in zip(bounds, parts, strict=True)
                if len(part) == limit
            ]
        return found[:limit]

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``. Raises ``InvalidInput`` for a cursor that no page of this kind gave."""
        bounds = record_bounds(kind, cursor)
        if cursor is not None and not record_bounds(kind, None).after.partition < cursor < bounds.before.partition:
            raise InvalidInput("The cursor is none that a page of this kind gave.")
        records: list[R] = []
        more = True
        while more and len(records) <= limit:
            found = await self._entities.between(bounds, limit + 1)
            more = len(found) > limit
            seen = [await self._commits.see(entity) for entity in found]
            records += [record for one in seen if (record := _record(kind, one)) is not None]
            bounds = Bounds(found[-1].place, bounds.before) if more else bounds
        last = records[limit - 1] if len(records) > limit else None
        return Page(tuple(records[:limit]), record_place(kind, last.key).partition if last else None)

    async def ping(self) -> datetime:
        """See ``Store.ping``. The service tells its time to the second."""
        return await self._entities.time()

    async def tidy(self) -> int:
        """See ``Tidies.tidy``: end the commits of workers that died, and forget their journals.

        One that cannot be ended keeps none waiting: its error is raised once all others are.
        """
        now, ended = await self._entities.time(), 0
        stuck: StoreError | None = None
        for partition in WORK:
            bounds = journal_bounds(partition)
            while journals := await self._entities.between(bounds, _BATCH):
                left = [each for each in journals if each.written_at is not None and now - each.written_at > _LEFT_FOR]
                for journal in left:
                    try:
                        await self._forgotten(journal)
                    except (StoreInconsistent, StoreRejected) as error:
                        stuck = stuck or error
                ended += len(left)
                bounds = Bounds(journals[-1].place, bounds.before)
        if stuck is not None:
            raise stuck
        return ended

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._commits.settled(_SETTLE_SECONDS)
        await self._entities.close()

    async def _forgotten(self, journal: Entity) -> None:
        try:
            await self._commits.forget(journal)
        except NotAnswered:
            raise StoreUnavailable("The store did not answer.") from None
        except (KeyError, TypeError, ValueError):
            raise StoreInconsistent("The journal of a commit says what none can say: its entity was edited.") from None

    async def _confirmed(self, kind: type[R], rows: Sequence[Entity]) -> list[R]:
        """Return the records to which due rows lead, and sweep away those that lead to none."""
        seen = await self._commits.look([due_record(row.place).record for row in rows])
        records = []
        for row, one in zip(rows, seen, strict=True):
            record = _record(kind, one) if _leads(row, one) else None
            if record is not None:
                records.append(record)
            else:
                await self._commits.sweep(row.place)
        return records


def _leads(row: Entity, seen: Seen) -> bool:
    return seen.current is not None and due_place(seen.place, seen.current) == row.place


def _record(kind: type[R], seen: Seen) -> R | None:
    return None if seen.current is None else record_of(kind, seen.current)
