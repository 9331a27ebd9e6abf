"""Accounts by age: what no store can ask for, found by passing all of them through a heap of bounded size."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from semel.model import Account
from semel.ports import Store

__all__ = ["Listed", "by_age"]

_PAGE: Final = 1000


class Listed(NamedTuple):
    """Some accounts, and how many there are in all."""

    accounts: tuple[Account, ...]
    total: int


async def by_age(
    store: Store, matches: Callable[[Account], bool], first: int, count: int, *, oldest_first: bool = False
) -> Listed:
    """Return ``count`` of the matching accounts from position ``first`` on, the newest first unless told otherwise.

    Accounts of one microsecond are told apart by their ids. Every call reads every account, and keeps ``first + count``
    of them at most. Raises a ``StoreError``.
    """
    sign = -1 if oldest_first else 1
    kept: list[tuple[float, str, Account]] = []
    total = 0
    async for account in _all(store):
        if not matches(account):
            continue
        total += 1
        entry = (sign * account.created_at.timestamp(), account.id, account)
        if len(kept) < first + count:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    kept.sort(key=lambda one: (one[0], one[1]), reverse=True)
    return Listed(tuple(entry[2] for entry in kept[first : first + count]), total)


async def _all(store: Store) -> AsyncIterator[Account]:
    cursor: str | None = None
    while True:
        page = await store.page(Account, cursor, _PAGE)
        for record in page.records:
            if isinstance(record, Account):
                yield record
        if page.cursor is None:
            return
        cursor = page.cursor
