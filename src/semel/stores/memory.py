"""The store in memory: the shortest code that keeps the contract. For tests and for the explorer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

from semel.errors import WriteRefused
from semel.model import Account, Key, Record
from semel.ports import Delete, Insert, Page, Ref, Write, in_order
from semel.stores.codec import ascii_lower, key_in

__all__ = ["MemoryStore", "Table", "apply"]

R = TypeVar("R", bound=Record)
Table = Mapping[tuple[str, Key], Record]
"""The whole content of a store: records by their type's name and key."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def apply(table: Table, writes: Sequence[Write], token: int) -> Table:
    """Return the table after the commit; the one given is left as it is. Raises ``WriteRefused``."""
    after = dict(table)
    refused = []
    for position in in_order(writes):
        write = writes[position]
        name = (write.record.TYPE, write.record.key)
        stored = after.get(name)
        expected = None if isinstance(write, Insert) else write.record.version
        if (stored.version if stored else None) != expected:
            refused.append(position)
        elif isinstance(write, Delete):
            del after[name]
        else:
            after[name] = write.record.but(version=token)
    if refused:
        raise WriteRefused(tuple(sorted(refused)))
    return after


class MemoryStore:
    """Records in a dictionary. Nothing suspends inside a method, so each is atomic in an event loop.

    ``now`` gives the store's own time; without it the store lives outside time, as tests like it.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: _EPOCH) -> None:
        self.table: Table = {}
        self._now = now

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        return cast("R | None", self.table.get((kind.TYPE, key)))

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``."""
        return [self.table.get((ref.type.TYPE, ref.key)) for ref in refs]

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``."""
        self.table = apply(self.table, writes, token)

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``."""
        late = [r for r in self._all(kind) if r.due_at is not None and r.due_at <= before]
        return sorted(late, key=lambda r: (r.due_at, r.key))[:limit]

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``."""
        after = key_in(kind, cursor) if cursor else ()
        found = sorted((r for r in self._all(kind) if r.key > after), key=lambda r: r.key)[: limit + 1]
        return Page(tuple(found[:limit]), json.dumps(found[limit - 1].key) if len(found) > limit else None)

    async def search(self, words: str, cursor: str | None, limit: int) -> Page:
        """See ``Search.search``."""
        said = ascii_lower(words)
        after = key_in(Account, cursor) if cursor else ()
        found = [one for one in self._all(Account) if one.key > after and any(said in each for each in _called(one))]
        found = sorted(found, key=lambda one: one.key)[: limit + 1]
        return Page(tuple(found[:limit]), json.dumps(found[limit - 1].key) if len(found) > limit else None)

    async def ping(self) -> datetime:
        """See ``Store.ping``."""
        return self._now()

    async def close(self) -> None:
        """See ``Store.close``; there is nothing to give up."""

    def _all(self, kind: type[R]) -> list[R]:
        return [cast("R", record) for (name, _), record in self.table.items() if name == kind.TYPE]


def _called(account: Account) -> tuple[str, ...]:
    return (account.email_canonical or "", account.username_canonical or "", ascii_lower(account.full_name or ""))
