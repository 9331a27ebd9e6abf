"""Waiting for a registration in the way: one poller for each key and process, however many wait."""

from __future__ import annotations

import asyncio
from copy import copy
from datetime import datetime

from semel.model import Registration
from semel.ports import Clock, Store
from semel.protocol.options import Options
from semel.states import RegistrationState

__all__ = ["Waiting"]


class Waiting:
    """The waits of one process. Sharing a poller spares reads; nothing is decided by it."""

    def __init__(self, store: Store, clock: Clock, options: Options) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._waiters: dict[str, list[tuple[datetime, asyncio.Future[bool]]]] = {}
        self._pollers: set[asyncio.Task[None]] = set()

    async def settled(self, registration_id: str, deadline: datetime) -> bool:
        """Wait until the registration is no longer pending under a live lease.

        ``False`` where the deadline came first.
        """
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.get(registration_id)
        if waiters is None:
            self._waiters[registration_id] = [(deadline, waiter)]
            poller = asyncio.create_task(self._poll(registration_id))
            self._pollers.add(poller)
            poller.add_done_callback(self._pollers.discard)
        else:
            waiters.append((deadline, waiter))
        return await waiter

    async def _poll(self, registration_id: str) -> None:
        delay = self._options.poll_first
        waiters = self._waiters[registration_id]
        try:
            while waiters:
                await self._clock.sleep(delay)
                delay = min(2 * delay, self._options.poll_most)
                settled = await self._is_settled(registration_id)
                waiters[:] = [entry for entry in waiters if not self._answered(*entry, settled=settled)]
        except Exception as error:  # noqa: BLE001 - passed on to all who wait, whatever it is
            for _, waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(copy(error))  # each tells its own caller
        finally:
            del self._waiters[registration_id]

    async def _is_settled(self, registration_id: str) -> bool:
        found = await self._store.get(Registration, (registration_id,))
        pending = found is not None and found.state is RegistrationState.PENDING
        return not (found and pending and found.due_at and found.due_at > self._clock.now())

    def _answered(self, deadline: datetime, waiter: asyncio.Future[bool], *, settled: bool) -> bool:
        if not waiter.done() and (settled or deadline <= self._clock.now()):
            waiter.set_result(settled)
        return waiter.done()
