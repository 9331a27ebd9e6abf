"""Promises about what comes back: every field of every record to the letter, and at once, on every handle."""

from __future__ import annotations

from enum import Enum
from functools import partial
from itertools import pairwise
from typing import TypeVar

import msgspec

from semel.model import RECORD_TYPES, Account, Identity, KeyRecord, Record
from semel.ports import Delete, Ids, Insert, Ref, Replace
from semel.testing.promises import expect
from semel.testing.store_contract.bench import StoreBench, ref
from semel.testing.store_contract.samples import TEXTS, bare, family, filled, identifier, identity, key, registration

__all__ = ["READS"]

R = TypeVar("R", bound=Record)

_BETWEEN = ("", *" /|#:,\x1f")
_KEYS = (*"aAéß%_?#|/'\"\\\x1f\U0001d518", "a ", " a", "e\u0301", "ss", *(f"a{between}b" for between in _BETWEEN))


async def every_field_of_every_record_comes_back_as_it_was(bench: StoreBench) -> None:
    """Filled and empty, from filled to empty and back, one by one and together; the types count as well."""
    records = family(bench.ids)
    expect({type(each) for each in records} == set(RECORD_TYPES), "the contract has no sample of some record type")
    stored = await bench.put(*records)
    await bench.stands(*stored)
    for change in (bare, partial(_refilled, bench.ids), bare):
        token = bench.ids.token()
        changed = [change(each) for each in stored]
        await bench.store.commit([Replace(each) for each in changed], token)
        stored = [each.but(version=token) for each in changed]
        await bench.stands(*stored)
        expect(
            await bench.store.get_many([ref(each) for each in stored]) == stored, "get_many reads otherwise than get"
        )


async def every_state_and_door_comes_back(bench: StoreBench) -> None:
    """Every member of every enumeration that a record has."""
    for record in (registration(bench.ids), identity(bench.ids)):
        for field in msgspec.structs.fields(type(record)):
            if isinstance(field.type, type) and issubclass(field.type, Enum):
                members = [record.but(id=bench.ids.uuid(), **{field.name: member}) for member in field.type]
                await bench.stands(*await bench.put(*members))


async def text_comes_back_to_the_letter(bench: StoreBench) -> None:
    """Nothing is trimmed, normalised, folded or parsed; empty text is not the absence of text."""
    await bench.stands(*await bench.put(*(key(bench.ids, text) for text in TEXTS)))
    stored = await bench.put(*(identity(bench.ids).but(credential=text) for text in (*TEXTS, None)))
    await bench.stands(*stored)


async def keys_are_told_apart_to_the_letter(bench: StoreBench) -> None:
    """Case, accents, spaces and separators count, and the parts of a key never run together."""
    suffix = bench.ids.uuid()
    records = [identifier(bench.ids, f"{text}{suffix}") for text in _KEYS]
    records += [identifier(bench.ids, f"b{suffix}").but(kind=f"email{between}a") for between in _BETWEEN]
    stored = [(await bench.put(each))[0] for each in records]
    await bench.stands(*stored)
    for gone, left in pairwise(stored):
        await bench.store.commit([Delete(gone)], bench.ids.token())
        await bench.absent(gone)
        await bench.stands(left)


async def a_key_may_be_long(bench: StoreBench) -> None:
    """An issuer and a subject of 255 characters each, alike but for the last."""
    stem = f"{bench.ids.uuid()}{'s' * 510}"[:509]
    records = [identifier(bench.ids, stem + end).but(kind="federated") for end in ("a", "b")]
    await bench.stands(*await bench.put(*records))


async def what_was_never_written_is_none(bench: StoreBench) -> None:
    """For every type, one by one and together."""
    refs = [Ref(kind, tuple(bench.ids.uuid() for _ in kind.KEY)) for kind in RECORD_TYPES]
    for kind, name in refs:
        expect(await bench.store.get(kind, name) is None, f"a {kind.TYPE} is there that was never written")
    expect(await bench.store.get_many(refs) == [None] * len(refs), "get_many gives what was never written")


async def types_with_one_key_are_records_apart(bench: StoreBench) -> None:
    """An account and its identity have the same id."""
    records = family(bench.ids)
    account = next(each for each in records if isinstance(each, Account))
    await bench.put(*records)
    for kind in (Account, Identity):
        found = await bench.store.get(kind, account.key)
        expect(type(found) is kind, f"asked for a {kind.TYPE}, had {found!r}")
    expect(await bench.store.get(KeyRecord, account.key) is None, "one type's key leads to another type's record")


async def get_many_answers_in_the_order_asked(bench: StoreBench) -> None:
    """Over several types, with gaps where nothing is, and as often as asked."""
    first, second = await bench.put(key(bench.ids), key(bench.ids))
    (third,) = await bench.put(registration(bench.ids))
    missing = identifier(bench.ids)
    asked: list[Record] = [third, missing, second, first, third, missing, second]
    expected = [None if each is missing else each for each in asked]
    for store in (bench.store, bench.another):
        found = await store.get_many([ref(each) for each in asked])
        expect(found == expected, f"asked for {[each.key for each in asked]}, had {found}")
        found.clear()
        expect(await store.get_many([ref(third)]) == [third], "the list given out was the store's own")
    expect(await bench.store.get_many([]) == [], "asked for nothing, had something")


async def a_commit_is_seen_at_once_on_every_handle(bench: StoreBench) -> None:
    """No reader has a stale record after the commit was answered: inserted, replaced ten times by turns, deleted."""
    (stored,) = await bench.put(key(bench.ids))
    await bench.stands(stored)
    for turn in range(10):
        writer = (bench.store, bench.another)[turn % 2]
        token = bench.ids.token()
        await writer.commit([Replace(stored.but(algorithm=str(turn)))], token)
        stored = stored.but(version=token, algorithm=str(turn))
        await bench.stands(stored)
    await bench.another.commit([Delete(stored)], bench.ids.token())
    await bench.absent(stored)
    await bench.another.commit([Insert(stored)], bench.ids.token())


def _refilled(ids: Ids, record: R) -> R:
    """Return the record with other values in all fields but its key, its version and what refers to another record."""
    kept = {*record.KEY, "account_id", "version"}.intersection(record.__struct_fields__)
    return filled(type(record), ids, **{name: getattr(record, name) for name in kept})


READS = (
    every_field_of_every_record_comes_back_as_it_was,
    every_state_and_door_comes_back,
    text_comes_back_to_the_letter,
    keys_are_told_apart_to_the_letter,
    a_key_may_be_long,
    what_was_never_written_is_none,
    types_with_one_key_are_records_apart,
    get_many_answers_in_the_order_asked,
    a_commit_is_seen_at_once_on_every_handle,
)
"""The promises of this theme."""
