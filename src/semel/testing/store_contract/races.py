"""Promises about many at once. Each race collides: all read first, or let the others run between two steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import permutations

from semel.errors import WriteRefused
from semel.model import Identifier, KeyRecord, Record
from semel.ports import Delete, Insert, Replace, Store, Write
from semel.testing.promises import expect
from semel.testing.store_contract.bench import StoreBench, ref
from semel.testing.store_contract.counting import count, unbroken
from semel.testing.store_contract.samples import identifier, identity, key, registration

__all__ = ["RACES"]

_CROWD = 50


async def of_fifty_inserts_of_the_same_keys_one_wins(bench: StoreBench) -> None:
    """Several keys and types, named by each in another order: no deadlock, nothing torn, no error but the refusal."""
    for _ in range(2 * bench.scale):
        records = [registration(bench.ids), identifier(bench.ids), identifier(bench.ids), key(bench.ids)]
        writes = [Insert(record) for record in records]
        winner = await _one_winner(bench, [_turned(writes, at) for at in range(_CROWD)])
        await bench.stands(*(record.but(version=winner) for record in records))


async def of_fifty_replaces_of_a_version_one_wins(bench: StoreBench) -> None:
    """Round after round on the same keys in crossing orders; each round goes on from the winner's version."""
    stored: list[Record] = await bench.put(key(bench.ids), registration(bench.ids), identity(bench.ids), key(bench.ids))
    for _ in range(3 * bench.scale):
        writes: list[Write] = [Replace(each) for each in stored]
        winner = await _one_winner(bench, [_turned(writes, at) for at in range(_CROWD)])
        stored = [each.but(version=winner) for each in stored]
        await bench.stands(*stored)


async def of_replaces_and_deletes_of_a_version_one_wins(bench: StoreBench) -> None:
    """Either every record of the commit is gone, or every one is the winner's."""
    for _ in range(3 * bench.scale):
        stored: list[Record] = await bench.put(key(bench.ids), registration(bench.ids))
        kinds: list[list[Write]] = [[Replace(each) for each in stored], [Delete(each) for each in stored]]
        winner = await _one_winner(bench, [_turned(kinds[at % 2], at // 2) for at in range(_CROWD)])
        found = await bench.another.get_many([ref(each) for each in stored])
        expect(
            found in ([each.but(version=winner) for each in stored], [None, None]), f"torn or not the winner's: {found}"
        )


async def no_update_is_lost(bench: StoreBench) -> None:
    """Fifty count on one record, each reading and writing until it has counted."""
    await _count_at_once(bench, 1)


async def crossing_commits_all_end(bench: StoreBench) -> None:
    """Fifty count on pairs out of four records, named in every order: no deadlock, and no error but the refusal."""
    await _count_at_once(bench, 4)


async def what_is_refused_was_never_seen(bench: StoreBench) -> None:
    """No reader meets a value of a commit that is refused in the end, wherever in it the refused write stands."""
    (standing,) = await bench.put(identifier(bench.ids))
    (last,) = await bench.put(registration(bench.ids))
    never = key(bench.ids)
    doomed: list[Write] = [Replace(standing.but(proved=True)), Insert(never), Replace(last.but(version=1))]

    async def watch(store: Store) -> None:
        seen = await store.get(Identifier, standing.key)
        expect(seen == standing, f"a reader saw {seen}, of a commit that is refused")
        expect(await store.get(KeyRecord, never.key) is None, "a reader saw an insert that is refused")

    async def write() -> None:
        await asyncio.gather(*(bench.refusal(_turned(doomed, at)) for at in range(_CROWD)))

    await _watched(write(), lambda: watch(bench.store), lambda: watch(bench.another))


async def what_one_commit_writes_is_seen_together(bench: StoreBench) -> None:
    """Who has seen one of its records sees the others, whichever is read first and on whichever handle."""
    records: list[Record] = await bench.put(identity(bench.ids), key(bench.ids), registration(bench.ids))
    tokens = [bench.ids.token() for _ in range(10 * bench.scale)]
    age = {token: at for at, token in enumerate([records[0].version, *tokens])}

    async def watch(order: Sequence[Record]) -> None:
        seen = 0
        for store, record in zip((bench.store, bench.another, bench.store), order, strict=True):
            found = await store.get(type(record), record.key)
            now = -1 if found is None else age.get(found.version, -1)
            expect(now >= seen, f"saw commit {seen} on one record, and then {now} on another")
            seen = now

    async def write() -> None:
        current = records
        for token in tokens:
            await bench.store.commit([Replace(each) for each in current], token)
            current = [each.but(version=token) for each in current]
            await asyncio.sleep(0)

    await _watched(write(), lambda: watch(records), lambda: watch(records[::-1]))


async def a_cancelled_commit_is_whole_or_nothing(bench: StoreBench) -> None:
    """Whenever its caller goes away. Who inserts one of its keys then knows: if refused, all is there, else nothing."""
    for turns in (0, *(2**power for power in range(11))) * bench.scale:
        records = [registration(bench.ids), identifier(bench.ids), key(bench.ids)]
        token = bench.ids.token()
        commit = asyncio.ensure_future(bench.store.commit([Insert(record) for record in records], token))
        for _ in range(turns):
            await asyncio.sleep(0)
        commit.cancel()
        await asyncio.wait([commit])
        try:
            await bench.another.commit([Insert(records[1])], bench.ids.token())
        except WriteRefused:
            await bench.stands(*(record.but(version=token) for record in records))
        else:
            await bench.absent(records[0], records[2])


async def _one_winner(bench: StoreBench, commits: Sequence[Sequence[Write]]) -> int:
    """Make all commits at once, by turns on both handles. Expect one done, the others refused; return its token."""
    tokens = [bench.ids.token() for _ in commits]
    stores = [(bench.store, bench.another)[at % 2] for at in range(len(commits))]
    attempts = (store.commit(writes, token) for store, writes, token in zip(stores, commits, tokens, strict=True))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    wrong = [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, WriteRefused)]
    expect(not wrong, f"the losers are to be refused, not met with {wrong[:1]}")
    winners = [token for token, outcome in zip(tokens, outcomes, strict=True) if outcome is None]
    expect(len(winners) == 1, f"{len(winners)} of {len(commits)} commits were done, that exclude one another")
    return winners[0]


async def _count_at_once(bench: StoreBench, size: int) -> None:
    """Count on every pair out of so many records (on the one, if it is alone) by turns on both handles."""
    records = await bench.put(*(identity(bench.ids) for _ in range(size)))
    groups = list(permutations(records, min(size, 2)))
    stores = (bench.store, bench.another)
    crowd = (count(stores[at % 2], bench.ids, groups[at % len(groups)], _CROWD) for at in range(_CROWD))
    counts = await asyncio.gather(*crowd)
    expect(any(each.refusals for each in counts), "nobody was ever refused: they did not meet")
    await unbroken(bench, records, [each.step for each in counts])


async def _watched(work: Awaitable[None], *looks: Callable[[], Awaitable[None]]) -> None:
    """Take all the looks again and again, side by side, until the work is done; once more than that."""
    task = asyncio.ensure_future(work)

    async def watch(look: Callable[[], Awaitable[None]]) -> None:
        while not task.done():
            await asyncio.gather(look(), asyncio.sleep(0))
        await look()

    await asyncio.gather(task, *(watch(look) for look in looks))


def _turned(writes: Sequence[Write], turn: int) -> list[Write]:
    """Return the writes in another order for each turn."""
    at = turn % len(writes)
    turned = [*writes[at:], *writes[:at]]
    return turned if turn // len(writes) % 2 else turned[::-1]


RACES = (
    of_fifty_inserts_of_the_same_keys_one_wins,
    of_fifty_replaces_of_a_version_one_wins,
    of_replaces_and_deletes_of_a_version_one_wins,
    no_update_is_lost,
    crossing_commits_all_end,
    what_is_refused_was_never_seen,
    what_one_commit_writes_is_seen_together,
    a_cancelled_commit_is_whole_or_nothing,
)
"""The promises of this theme."""
