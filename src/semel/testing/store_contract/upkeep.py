"""Promises that upkeep and audits live by: what is due, pages, the store's time, the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import count

from semel.model import Identity, Key, KeyRecord, Record
from semel.ports import Delete, Insert, Replace
from semel.testing.promises import BrokenPromiseError, expect
from semel.testing.store_contract.bench import StoreBench
from semel.testing.store_contract.samples import WHEN, identifier, identity, key, registration

__all__ = ["UPKEEP"]

_ALL = 100_000
_PAUSE = 0.1


async def what_is_due_is_found(bench: StoreBench) -> None:
    """Due at the very microsecond and long before, not a microsecond later, never without a time. It may lag."""
    moment = timedelta(microseconds=1)
    now, early, later, never = (
        identity(bench.ids).but(due_at=due) for due in (WHEN, WHEN - timedelta(days=9), WHEN + moment, None)
    )
    await bench.put(now, early, later, never, registration(bench.ids).but(due_at=WHEN))
    for _ in range(_looks(bench)):
        found = await bench.another.due(Identity, WHEN, _ALL)
        keys = {each.key for each in found}
        expect(all(type(each) is Identity for each in found), "due gives records of another type")
        expect(all(each.due_at and each.due_at <= WHEN for each in found), "due gives what is not due yet")
        expect(not keys & {later.key, never.key}, "due gives what is not due")
        if {now.key, early.key} <= keys:
            return
        await asyncio.sleep(_PAUSE)
    raise BrokenPromiseError("what is due was never found")


async def no_more_is_due_than_asked_for(bench: StoreBench) -> None:
    """The limit holds, and what is done with leaves room for the rest, until each was met."""
    waiting = {each.key for each in await bench.put(*(identity(bench.ids).but(due_at=WHEN) for _ in range(7)))}
    for _ in range(_looks(bench) + len(waiting)):
        found = await bench.store.due(Identity, WHEN, 3)
        expect(len(found) <= 3, f"asked for 3 that are due, had {len(found)}")  # noqa: PLR2004
        for each in found:
            waiting.discard(each.key)
            if (record := await bench.store.get(Identity, each.key)) and record.due_at is not None:
                await bench.store.commit([Replace(record.but(due_at=None))], bench.ids.token())
        if not waiting:
            return
        await asyncio.sleep(0 if found else _PAUSE)
    raise BrokenPromiseError(f"{len(waiting)} that are due were never found")


async def due_follows_the_record(bench: StoreBench) -> None:
    """A time that is moved, taken away or deleted with its record is not found for long."""
    moved, emptied, gone, kept = await bench.put(*(identity(bench.ids).but(due_at=WHEN) for _ in range(4)))
    later = moved.but(due_at=WHEN + timedelta(days=1))
    await bench.store.commit([Replace(later), Replace(emptied.but(due_at=None)), Delete(gone)], bench.ids.token())
    for _ in range(_looks(bench)):
        found = {each.key for each in await bench.store.due(Identity, WHEN, _ALL)}
        if kept.key in found and not found & {moved.key, emptied.key, gone.key}:
            return
        await asyncio.sleep(_PAUSE)
    raise BrokenPromiseError("due goes on giving what is due no more, or never gives what is")


async def pages_meet_each_record_exactly_once(bench: StoreBench) -> None:
    """In pages of every size, one at a time as well, with each page asked of the other handle."""
    stored = await bench.put(*(key(bench.ids) for _ in range(7)))
    for limit in (1, 2, 6, 7, 8, _ALL):
        met = await _walk(bench, KeyRecord, limit)
        missed = [each.key for each in stored if each.key not in met]
        expect(not missed, f"by {limit}: {len(missed)} of {len(stored)} were never met")


async def pages_give_records_as_get_does(bench: StoreBench) -> None:
    """Whole, of one type only, with keys of any letters and more parts than one."""
    records = [
        identifier(bench.ids, f"{text}{bench.ids.uuid()}") for text in (*'\x1f,"\\%\U0001d518', "a\x1fa", "e\u0301")
    ]
    records += [identifier(bench.ids, "same").but(kind=bench.ids.uuid()) for _ in range(3)]
    stored = await bench.put(*records, key(bench.ids))
    met = await _walk(bench, type(records[0]), 2)
    for record in stored[:-1]:
        expect(met.get(record.key) == record, f"{record.TYPE} {record.key} was met as {met.get(record.key)}")
    expect(stored[-1].key not in met, "pages give records of another type")


async def pages_survive_changes_on_the_way(bench: StoreBench) -> None:
    """Who is there throughout is met exactly once, replaced or not, while others come and go before and behind."""
    everyone = [key(bench.ids) for _ in range(36)]
    staying, going, coming = (await bench.put(*everyone[::3]), await bench.put(*everyone[1::3]), everyone[2::3])
    met: Counter[Key] = Counter()
    cursor: str | None = None
    for turn in count():
        page = await bench.store.page(KeyRecord, cursor, 2)
        met.update(record.key for record in page.records)
        expect(set(met.values()) <= {1}, "a record was met twice")
        if (cursor := page.cursor) is None:
            break
        at, token = turn % len(staying), bench.ids.token()
        others = (Delete(going.pop(-(turn % 2))), Insert(coming.pop(turn % 2 - 1))) if going else ()
        await bench.another.commit([Replace(staying[at]), *others], token)
        staying[at] = staying[at].but(version=token)
    missed = [each.key for each in staying if each.key not in met]
    expect(not missed, f"{len(missed)} of {len(staying)} that stayed were never met")


async def the_time_is_aware_and_in_utc(bench: StoreBench) -> None:
    """And does not go back."""
    first, second = await bench.store.ping(), await bench.another.ping()
    expect(first.utcoffset() == timedelta(0), f"the store's time is {first!r}, not in UTC")
    expect(first <= second, f"the store's time went back, from {first} to {second}")


async def closing_twice_is_harmless(bench: StoreBench) -> None:
    """To whoever closes, and to the data."""
    (stored,) = await bench.put(key(bench.ids))
    if bench.another is not bench.store:
        await bench.another.close()
        await bench.another.close()
        found = await bench.store.get(KeyRecord, stored.key)
        expect(found == stored, f"after another handle was closed: {found}")
    await bench.store.close()
    await bench.store.close()


def _looks(bench: StoreBench) -> int:
    """Return how often to look at what may lag, with a pause after each."""
    return 1 + int(bench.lag / _PAUSE)


async def _walk(bench: StoreBench, kind: type[Record], limit: int) -> dict[Key, Record]:
    """Return all records by pages of this size, the handles taking turns."""
    met: dict[Key, Record] = {}
    cursor: str | None = None
    for turn in count():
        page = await (bench.store, bench.another)[turn % 2].page(kind, cursor, limit)
        expect(len(page.records) <= limit, f"asked for pages of {limit}, had one of {len(page.records)}")
        for record in page.records:
            expect(record.key not in met, f"{record.TYPE} {record.key} was met twice")
            met[record.key] = record
        if (cursor := page.cursor) is None:
            break
    return met


UPKEEP = (
    what_is_due_is_found,
    no_more_is_due_than_asked_for,
    due_follows_the_record,
    pages_meet_each_record_exactly_once,
    pages_give_records_as_get_does,
    pages_survive_changes_on_the_way,
    the_time_is_aware_and_in_utc,
    closing_twice_is_harmless,
)
"""The promises of this theme."""
