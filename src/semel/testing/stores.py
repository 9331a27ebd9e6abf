"""A store before which the network fails as told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from semel.errors import CommitUnknown, SemelError, StoreRejected, StoreUnavailable
from semel.model import Key, Record
from semel.ports import Clock, Page, Ref, Store, Tidies, Write
from semel.testing.faults import Fault, Faults

__all__ = ["FaultyStore", "FaultyTidyingStore"]

R = TypeVar("R", bound=Record)


class FaultyStore:
    """Any store (``ports.Store``), with ``faults`` between it and its caller.

    A commit whose answer is lost, whose request is lost, or that lands late raises ``CommitUnknown``; a refused one
    ``StoreRejected``. A reading that meets a fault raises ``StoreUnavailable``, having no effect that could be in
    doubt; so does everything while the store is down. A slow call waits ``delay`` seconds on ``clock`` first.
    """

    def __init__(self, store: Store, faults: Faults, clock: Clock, delay: float = 1.0) -> None:
        self.store = store
        self._faults = faults
        self._clock = clock
        self._delay = delay
        self._late: list[tuple[tuple[Write, ...], int]] = []

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        await self._before_reading("get")
        return await self.store.get(kind, key)

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``."""
        await self._before_reading("get_many")
        return await self.store.get_many(refs)

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``."""
        match await self._meet("commit"):
            case Fault.LOSE:
                await self._unheard(writes, token)
                raise CommitUnknown("the answer was lost")
            case Fault.DROP:
                raise CommitUnknown("the request was lost")
            case Fault.LATE:
                self._late.append((tuple(writes), token))
                raise CommitUnknown("the commit is on its way")
            case Fault.REFUSE:
                raise StoreRejected("the store refuses this change")
            case Fault.TWICE:
                await self.store.commit(writes, token)
                await self._unheard(writes, token)
            case _:
                await self.store.commit(writes, token)

    async def land(self) -> None:
        """Let the late commits arrive, in the order in which they were sent. Nobody hears what comes of them."""
        while self._late:
            await self._unheard(*self._late.pop(0))

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``."""
        await self._before_reading("due")
        return await self.store.due(kind, before, limit)

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``."""
        await self._before_reading("page")
        return await self.store.page(kind, cursor, limit)

    async def ping(self) -> datetime:
        """See ``Store.ping``."""
        await self._before_reading("ping")
        return await self.store.ping()

    async def close(self) -> None:
        """See ``Store.close``. What has not landed never will."""
        self._late.clear()
        await self.store.close()

    async def _meet(self, operation: str) -> Fault | None:
        fault = self._faults(operation)
        if fault is Fault.DOWN:
            raise StoreUnavailable("the store is down")
        if fault is Fault.SLOW:
            await self._clock.sleep(self._delay)
        return fault

    async def _before_reading(self, operation: str) -> None:
        if await self._meet(operation) not in (None, Fault.SLOW, Fault.TWICE):
            raise StoreUnavailable("the store did not answer")

    async def _unheard(self, writes: Sequence[Write], token: int) -> None:
        with suppress(SemelError):  # an answer that reaches nobody
            await self.store.commit(writes, token)


class FaultyTidyingStore(FaultyStore):
    """The same over a store that clears away what dead commits left (``ports.Tidies``)."""

    def __init__(self, store: Store, tidying: Tidies, faults: Faults, clock: Clock, delay: float = 1.0) -> None:
        super().__init__(store, faults, clock, delay)
        self._tidying = tidying

    async def tidy(self) -> int:
        """See ``Tidies.tidy``. What is cleared away is not in doubt: a fault leaves it for the next pass."""
        await self._before_reading("tidy")
        return await self._tidying.tidy()
