"""Time and randomness that repeat: a virtual clock, and ids drawn in one sequence from a seed."""

from __future__ import annotations

import asyncio
import base64
import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import count
from typing import Final
from uuid import UUID

__all__ = ["START", "SequentialIds", "VirtualClock"]

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When a virtual clock begins, unless told otherwise."""

_Sleeper = tuple[float, int, "asyncio.Future[None]"]


class VirtualClock:
    """A clock (``ports.Clock``) whose time never passes by itself.

    A flowing clock, the default, jumps from sleeper to sleeper: whenever somebody sleeps, every task that is ready has
    one turn of the event loop, then it is the earliest sleeper's time. So an hour of polling takes no time, and
    sleepers wake in the order of their times, equal ones in the order in which they fell asleep. It knows of no I/O: a
    task that waits for a socket or a thread is overtaken by time. There use a clock that does not flow, whose time
    passes by ``advance`` alone.
    """

    def __init__(self, start: datetime = START, *, flowing: bool = True) -> None:
        self._start = start
        self._flowing = flowing
        self._passed = 0.0
        self._sleepers: list[_Sleeper] = []
        self._order: Iterator[int] = count()
        self._moving = False

    def now(self) -> datetime:
        """See ``Clock.now``."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """See ``Clock.monotonic``; it begins at 0."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """See ``Clock.sleep``. No time at all still gives every other task a turn."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), woken))
        self._flow()
        await woken

    def advance(self, seconds: float) -> None:
        """Let time pass. Who should have woken by then wakes, in order, and sees the new time."""
        self._passed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            self._wake_next()

    def _flow(self) -> None:
        if self._flowing and self._sleepers and not self._moving:
            self._moving = True
            asyncio.get_running_loop().call_soon(self._jump)

    def _jump(self) -> None:
        self._moving = False
        if self._sleepers:
            self._passed = max(self._passed, self._sleepers[0][0])
            self._wake_next()
        self._flow()

    def _wake_next(self) -> None:
        _, _, woken = heapq.heappop(self._sleepers)
        if not woken.done():
            woken.set_result(None)


class SequentialIds:
    """Ids (``ports.Ids``) that look random and are a function of the seed and of how many were drawn before.

    Two of one seed draw the same, two of different seeds never meet. UUIDs of one sequence sort in the order drawn, as
    those of RFC 9562 do. Not for secrets of anything real.
    """

    def __init__(self, seed: str = "semel") -> None:
        self._seed = seed
        self.drawn = 0
        """How many were drawn: with the seed, the whole state."""

    def uuid(self) -> str:
        """See ``Ids.uuid``."""
        milliseconds = int(START.timestamp() * 1000) + self.drawn
        noise = int.from_bytes(self._draw("uuid", 10))
        version, variant = 0x7 << 76, 0b10 << 62
        fields = (noise & ~(0xF << 76) & ~(0b11 << 62)) | version | variant
        return str(UUID(int=milliseconds << 80 | fields))

    def token(self) -> int:
        """See ``Ids.token``."""
        return int.from_bytes(self._draw("token", 8), signed=True) or 1

    def secret(self) -> str:
        """See ``Ids.secret``."""
        return base64.urlsafe_b64encode(self._draw("secret", 32)).rstrip(b"=").decode()

    def jitter(self) -> float:
        """See ``Ids.jitter``."""
        return int.from_bytes(self._draw("jitter", 6)) / (2**48 - 1)

    def _draw(self, purpose: str, size: int) -> bytes:
        self.drawn += 1
        return blake2b(f"{self._seed}\0{purpose}\0{self.drawn}".encode(), digest_size=size).digest()
