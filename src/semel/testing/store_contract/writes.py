"""Promises about one commit: conditional, all or nothing, named refusals."""

from __future__ import annotations

from typing import Any

import msgspec

from semel.errors import WriteRefused
from semel.model import Record
from semel.ports import Delete, Insert, Replace, Write, in_order
from semel.testing.promises import BrokenPromiseError, expect
from semel.testing.store_contract.bench import StoreBench
from semel.testing.store_contract.samples import identifier, key, registration

__all__ = ["WRITES"]


async def a_written_record_has_the_commits_token_as_its_version(bench: StoreBench) -> None:
    """Whatever 64 bits the token has, after an insert and after a replace."""
    record = key(bench.ids)
    await bench.store.commit([Insert(record)], 1)
    for version, token in [(1, -1), (-1, 2**63 - 1), (2**63 - 1, -(2**63)), (-(2**63), bench.ids.token())]:
        await bench.store.commit([Replace(record.but(version=version))], token)
        await bench.stands(record.but(version=token))


async def an_insert_of_a_key_that_exists_is_refused(bench: StoreBench) -> None:
    """By the key alone, whatever version the record carries; what stands there stays."""
    (stored,) = await bench.put(registration(bench.ids))
    for version in (0, stored.version, bench.ids.token()):
        await bench.refusal([Insert(stored.but(version=version, fingerprint="other"))])
    await bench.stands(stored)


async def an_insert_looks_at_no_version(bench: StoreBench) -> None:
    """A record that was read, deleted and is inserted again still carries its old version."""
    record = key(bench.ids).but(version=bench.ids.token())
    await bench.stands(*await bench.put(record))


async def a_replace_of_another_version_is_refused(bench: StoreBench) -> None:
    """A version that was once right is as wrong as one that never was, and as none."""
    (old,) = await bench.put(registration(bench.ids))
    token = bench.ids.token()
    await bench.store.commit([Replace(old)], token)
    for version in (old.version, bench.ids.token(), 0):
        await bench.refusal([Replace(old.but(version=version, fingerprint="other"))])
    await bench.stands(old.but(version=token))


async def a_delete_of_another_version_is_refused(bench: StoreBench) -> None:
    """As with a replace; and a delete of the right version takes the record away."""
    (old,) = await bench.put(registration(bench.ids))
    token = bench.ids.token()
    await bench.store.commit([Replace(old)], token)
    for version in (old.version, bench.ids.token(), 0):
        await bench.refusal([Delete(old.but(version=version))])
    await bench.stands(old.but(version=token))
    await bench.store.commit([Delete(old.but(version=token, fingerprint="looked at by nobody"))], bench.ids.token())
    await bench.absent(old)


async def what_is_absent_can_neither_be_replaced_nor_deleted(bench: StoreBench) -> None:
    """Whether it never was or is gone."""
    (gone,) = await bench.put(key(bench.ids))
    await bench.store.commit([Delete(gone)], bench.ids.token())
    for record in (gone, key(bench.ids), key(bench.ids).but(version=bench.ids.token())):
        await bench.refusal([Replace(record)])
        await bench.refusal([Delete(record)])
        await bench.absent(record)


async def a_key_inserted_again_never_matches_an_old_version(bench: StoreBench) -> None:
    """Deleted and inserted again, to the letter the same, it is another record to whoever read the first."""
    (first,) = await bench.put(key(bench.ids))
    await bench.store.commit([Delete(first)], bench.ids.token())
    (second,) = await bench.put(first)
    await bench.refusal([Replace(first.but(algorithm="late"))])
    await bench.refusal([Delete(first)])
    await bench.stands(second)


async def a_refused_commit_changes_nothing(bench: StoreBench) -> None:
    """Wherever in the commit the refused write stands, and whichever kind it is, over several types and keys."""
    stale = await bench.put(identifier(bench.ids), key(bench.ids), registration(bench.ids))
    standing = await bench.put(key(bench.ids), registration(bench.ids))
    new = [key(bench.ids), registration(bench.ids), identifier(bench.ids)]
    good: list[Write] = [Insert(record) for record in new]
    good += [Replace(_altered(standing[0])), Delete(standing[1])]
    for record in stale:
        for bad in (Insert(_altered(record)), Replace(record.but(version=1)), Delete(record.but(version=1))):
            for place in (0, 2, len(good)):
                await bench.refusal([*good[:place], bad, *good[place:]])
    await bench.absent(*new)
    await bench.stands(*stale, *standing)
    await bench.store.commit(good, bench.ids.token())


async def a_refusal_names_the_write_by_its_place_in_the_callers_order(bench: StoreBench) -> None:
    """Not by its place in the order in which writes are applied."""
    standing = await bench.put(*(key(bench.ids) for _ in range(3)), registration(bench.ids))
    for refused in standing:
        writes: list[Write] = [Replace(each.but(version=1) if each is refused else each) for each in standing]
        backwards = [writes[position] for position in reversed(in_order(writes))]
        for given in (backwards, backwards[1:] + backwards[:1]):
            (place,) = (at for at, write in enumerate(given) if write.record.key == refused.key)
            refusal = await bench.refusal(given)
            expect(refusal.positions == (place,), f"write {place} is refused, {refusal.positions} was named")
    await bench.stands(*standing)


async def a_refusal_names_only_refused_writes_and_at_least_one(bench: StoreBench) -> None:
    """Where several are refused it may name them all, or some."""
    standing = await bench.put(*(registration(bench.ids) for _ in range(6)))
    writes = [Replace(each.but(version=1)) if at % 2 else Replace(each) for at, each in enumerate(reversed(standing))]
    named = (await bench.refusal(writes)).positions
    expect(bool(named), "no refused write was named")
    expect(set(named) <= {1, 3, 5}, f"writes 1, 3 and 5 are refused, {named} were named")


async def a_key_named_twice_is_an_error_of_the_program(bench: StoreBench) -> None:
    """Whatever the two writes are: ``ValueError``, and nothing is done."""
    (standing,) = await bench.put(key(bench.ids))
    new, other = key(bench.ids), registration(bench.ids)
    pairs: list[tuple[Write, Write]] = [
        (Insert(new), Insert(new.but(algorithm="other"))),
        (Replace(standing), Delete(standing)),
        (Delete(standing), Insert(standing)),
    ]
    for pair in pairs:
        try:
            await bench.store.commit([pair[0], Insert(other), pair[1]], bench.ids.token())
        except ValueError:
            await bench.absent(new, other)
            await bench.stands(standing)
        else:
            raise BrokenPromiseError("a commit that names a key twice was done")


async def a_commit_may_hold_fifty_writes(bench: StoreBench) -> None:
    """Of every kind at once; refused as a whole for the last of them, and done as a whole."""
    old = await bench.put(*(key(bench.ids) for _ in range(25)))
    new = [registration(bench.ids) for _ in range(24)]
    last = identifier(bench.ids)
    (held,) = await bench.put(last)
    writes: list[Write] = [Replace(_altered(each)) for each in old[:10]]
    writes += [*(Delete(each) for each in old[10:]), *(Insert(each) for each in new), Insert(last)]
    await bench.refusal(writes)
    await bench.stands(*old, held)
    await bench.absent(*new)
    await bench.store.commit([Delete(held)], bench.ids.token())
    token = bench.ids.token()
    await bench.store.commit(writes, token)
    await bench.stands(*(_altered(each).but(version=token) for each in old[:10]))
    await bench.stands(*(each.but(version=token) for each in (*new, last)))
    await bench.absent(*old[10:])


async def what_the_caller_gave_or_read_stays_as_it_was(bench: StoreBench) -> None:
    """A store keeps no alias: what it was given it leaves alone, and what it gave never changes behind its reader."""
    given = key(bench.ids)
    before = msgspec.json.encode(given)
    writes: list[Write] = [Insert(given)]
    await bench.store.commit(writes, bench.ids.token())
    expect(msgspec.json.encode(given) == before, "the record given was changed")
    expect(len(writes) == 1, "the writes given were changed")
    writes.clear()
    read = await bench.store.get(type(given), given.key)
    if read is None:
        raise BrokenPromiseError("a record is gone with the list in which it was given")
    seen = msgspec.json.encode(read)
    await bench.store.commit([Replace(_altered(read))], bench.ids.token())
    expect(msgspec.json.encode(read) == seen, "a record changed behind its reader, by a later commit")


async def a_refusal_leaves_the_store_working(bench: StoreBench) -> None:
    """After many refusals in a row, as of a crowd of losers, the next commit is done."""
    (standing,) = await bench.put(key(bench.ids))
    for _ in range(50):
        try:
            await bench.another.commit([Insert(standing)], bench.ids.token())
        except WriteRefused as refusal:
            expect(refusal.positions == (0,), f"write 0 is refused, {refusal.positions} was named")
        else:
            raise BrokenPromiseError("an insert of a key that exists was done")
    await bench.stands(standing, *await bench.put(key(bench.ids)))


def _altered(record: Record) -> Record:
    """Return the record with something changed that is no key."""
    changes: dict[str, dict[str, Any]] = {
        "key": {"algorithm": "other"},
        "registration": {"fingerprint": "other"},
        "identifier": {"proved": True},
    }
    return record.but(**changes[record.TYPE])


WRITES = (
    a_written_record_has_the_commits_token_as_its_version,
    an_insert_of_a_key_that_exists_is_refused,
    an_insert_looks_at_no_version,
    a_replace_of_another_version_is_refused,
    a_delete_of_another_version_is_refused,
    what_is_absent_can_neither_be_replaced_nor_deleted,
    a_key_inserted_again_never_matches_an_old_version,
    a_refused_commit_changes_nothing,
    a_refusal_names_the_write_by_its_place_in_the_callers_order,
    a_refusal_names_only_refused_writes_and_at_least_one,
    a_key_named_twice_is_an_error_of_the_program,
    a_commit_may_hold_fifty_writes,
    what_the_caller_gave_or_read_stays_as_it_was,
    a_refusal_leaves_the_store_working,
)
"""The promises of this theme."""
