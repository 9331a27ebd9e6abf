"""Counting: read, add one, replace. What races of tasks and of processes do, and how it is seen that none was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from semel.errors import WriteRefused
from semel.model import Identity
from semel.ports import Ids, Replace, Store
from semel.testing.promises import BrokenPromiseError, expect
from semel.testing.store_contract.bench import StoreBench, ref

__all__ = ["Count", "Step", "count", "unbroken"]

Step = dict[tuple[str, int], int]
"""What one commit did: the version that it wrote, by each record's id and the version that it replaced."""


class Count(NamedTuple):
    """One commit that was done, and how often it was refused before."""

    step: Step
    refusals: int


async def count(store: Store, ids: Ids, records: Sequence[Identity], rivals: int) -> Count:
    """Raise ``tries`` of all the records by one commit, trying until it is done.

    Each refusal means that a commit of another came between, so there are no more refusals than ``rivals``, the commits
    that others make.
    """
    for refusals in range(rivals + 1):
        found = [each for each in await store.get_many([ref(each) for each in records]) if isinstance(each, Identity)]
        expect(len(found) == len(records), "a record that was only ever replaced is gone")
        await asyncio.sleep(0)
        token = ids.token()
        try:
            await store.commit([Replace(each.but(tries=each.tries + 1)) for each in found], token)
        except WriteRefused:
            continue
        return Count({(each.id, each.version): token for each in found}, refusals)
    raise BrokenPromiseError("a commit was refused more often than others were done")


async def unbroken(bench: StoreBench, records: Sequence[Identity], steps: Sequence[Step]) -> None:
    """Expect that the steps, and no others, lead from the records to what the store has now."""
    chains = {link: after for step in steps for link, after in step.items()}
    expect(len(chains) == sum(map(len, steps)), "two commits replaced the same version of a record")
    for record in records:
        now, counted = record, sum(name == record.id for name, _ in chains)
        for _ in range(counted):
            expect((now.id, now.version) in chains, "the chain of versions is broken")
            now = now.but(version=chains[now.id, now.version], tries=now.tries + 1)
        await bench.stands(now)
