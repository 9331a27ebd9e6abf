"""Flights of one process's requests under one idempotency key: the first goes, the others wait, and then look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from semel.ports import Clock

__all__ = ["Flight", "Flights"]


class Flight(NamedTuple):
    """What the first request under a key does; whoever comes meanwhile with the same key is part of it."""

    since: datetime
    """When the first of them came."""
    over: asyncio.Future[None]


class Flights:
    """Lets one request go at a time for a key, so that the others find its answer instead of racing it.

    It spares work and decides nothing: other processes know nothing of it. Whoever waited is told nothing by the first
    but goes its own way, and so has its own payload and password compared. It waits for one flight, for at most
    ``wait`` seconds, and for no other after that: a first that fails or hangs holds nobody up for longer.
    """

    def __init__(self, clock: Clock, wait: float) -> None:
        self._clock = clock
        self._wait = wait
        self._flights: dict[str, Flight] = {}

    @asynccontextmanager
    async def join(self, key: str, came: datetime) -> AsyncIterator[Flight | None]:
        """Yield the flight that was waited for; ``None`` at once where this is the first, which came at that time."""
        flight = self._flights.get(key)
        if flight is not None:
            await self._ended(flight)
            yield flight
            return
        over = asyncio.get_running_loop().create_future()
        self._flights[key] = Flight(came, over)
        try:
            yield None
        finally:
            del self._flights[key]
            over.set_result(None)

    async def _ended(self, flight: Flight) -> None:
        patience = asyncio.ensure_future(self._clock.sleep(self._wait))
        try:
            await asyncio.wait([flight.over, patience], return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
