"""The promise that takes processes: they collide on the same keys of one store, and no commit is lost or torn."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import permutations
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

from semel.model import Identity
from semel.ports import Store
from semel.testing.clock import SequentialIds
from semel.testing.promises import expect
from semel.testing.store_contract.bench import StoreBench
from semel.testing.store_contract.counting import Step, count, unbroken
from semel.testing.store_contract.samples import identity

__all__ = ["OpenStore", "processes_that_cross_lose_nothing"]

OpenStore = Callable[[], Awaitable[Store]]
"""Opens the store in a new process. It is pickled: give a ``functools.partial`` of a function that can be imported."""

_START_SECONDS = 60.0
_gate: list[Barrier] = []
"""In each process the barrier at which all begin: else the first would be done before the last has started."""


class _Work(NamedTuple):
    """What one process does: it replaces pairs of the records, ``rounds`` times."""

    open_store: OpenStore
    records: list[Identity]
    rounds: int
    rivals: int
    """How many commits of others can come between."""
    seed: str
    turn: int


class _Report(NamedTuple):
    steps: list[Step]
    refusals: int


async def processes_that_cross_lose_nothing(
    bench: StoreBench, open_store: OpenStore, processes: int = 4, rounds: int = 50
) -> None:
    """Let processes count on pairs out of four records, named in crossing orders, each ``rounds`` times.

    No error but the refusal comes to any of them (another is raised here, a deadlock say), the chain of every record's
    versions is whole and every count is right. The promise counts as broken, too, where nobody was ever refused: then
    they did not meet.
    """
    records = await bench.put(*(identity(bench.ids) for _ in range(4)))
    works = [
        _Work(open_store, records, rounds, processes * rounds, bench.ids.uuid(), turn) for turn in range(processes)
    ]
    reports = await asyncio.to_thread(_run, works)
    expect(any(report.refusals for report in reports), "the processes never met: give them more rounds")
    await unbroken(bench, records, [step for report in reports for step in report.steps])


def _run(works: Sequence[_Work]) -> list[_Report]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(works))
    with ProcessPoolExecutor(len(works), context, _stand_at, (barrier,)) as pool:
        return list(pool.map(_begin, works))


def _stand_at(barrier: Barrier) -> None:
    # A function of the module: the method of a list would be pickled together with a list of its own.
    _gate.append(barrier)


def _begin(work: _Work) -> _Report:
    return asyncio.run(_cross(work))


async def _cross(work: _Work) -> _Report:
    ids, pairs = SequentialIds(work.seed), list(permutations(work.records, 2))
    store = await work.open_store()
    try:
        await asyncio.to_thread(_gate[0].wait, _START_SECONDS)
        counts = [
            await count(store, ids, pairs[(at + work.turn) % len(pairs)], work.rivals) for at in range(work.rounds)
        ]
    finally:
        await store.close()
    return _Report([each.step for each in counts], sum(each.refusals for each in counts))
