"""Where attempts are counted: in this process, or in Redis for all servers together.

Redis and the notation of limits are the library's (``limits``). Its storage in memory goes through all keys at each
attempt, which whoever has many addresses could make us pay for; the one here costs the same with any number of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar

from limits.aio.storage import RedisStorage, Storage
from limits.errors import StorageError
from typing_extensions import override

from semel.config_names import variable
from semel.errors import ConfigurationInvalid
from semel.ports import Clock

__all__ = ["Count", "Counters", "InMemory", "Redis", "open_redis"]

T = TypeVar("T")

_REDIS_SECONDS: Final = 2.0
"""How long Redis may take for a connection, and for an answer. A busy process is slow to read an answer that is there,
and must not count alone for that."""
_PAUSE: Final = 5.0
"""For how many seconds a Redis that failed is not asked again."""
_CONNECTIONS: Final = 8
"""Of one process to Redis, at most: an answer takes a fraction of a millisecond."""


class InMemory(Storage):
    """The library's port, for one process. A window begins with its first attempt, as in Redis."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._ends: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []
        """Every window, the next to end first."""

    @property
    @override
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """None: nothing here can fail."""
        return ()

    @override
    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the count. What is given back after its window's end belongs to no window."""
        self._sweep()
        if key not in self._counts:
            if amount < 0:
                return 0
            ends = self._clock.monotonic() + expiry
            self._ends[key] = ends
            heapq.heappush(self._order, (ends, key))
        self._counts[key] = self._counts.get(key, 0) + amount
        return self._counts[key]

    @override
    async def get(self, key: str) -> int:
        """Return the count."""
        self._sweep()
        return self._counts.get(key, 0)

    @override
    async def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since 1970."""
        left = self._ends.get(key, 0.0) - self._clock.monotonic()
        return self._clock.now().timestamp() + max(left, 0.0)

    @override
    async def check(self) -> bool:
        """Return that it works."""
        return True

    @override
    async def reset(self) -> int:
        """Forget everything; return how many windows there were."""
        forgotten = len(self._counts)
        for kept in (self._counts, self._ends, self._order):
            kept.clear()
        return forgotten

    @override
    async def clear(self, key: str) -> None:
        """Forget a count; its window ends when it would have."""
        if key in self._counts:
            self._counts[key] = 0

    def _sweep(self) -> None:
        """Forget the windows that are over."""
        now = self._clock.monotonic()
        while self._order and self._order[0][0] <= now:
            _, key = heapq.heappop(self._order)
            del self._counts[key], self._ends[key]


class Redis(NamedTuple):
    """A Redis, and what ends its connections."""

    storage: RedisStorage
    close: Callable[[], Awaitable[None]]


class Count(NamedTuple):
    """What a key counts now, and whether Redis counts it."""

    number: int
    shared: bool


class Counters:
    """Counts in Redis, where there is one and it answers, else in this process.

    While Redis is silent each process counts for itself: a limiter must not take sign-ins down, and must not be out of
    the way for whoever brings Redis down. ``alone`` is told why, once for each time that it is asked in vain.
    """

    def __init__(self, clock: Clock, redis: Redis | None, alone: Callable[[str], None]) -> None:
        self._clock = clock
        self._redis = redis
        self._alone = alone
        self._memory = InMemory(clock)
        self._again = -_PAUSE
        """When, by the monotonic clock, Redis may be asked again."""

    async def add(self, key: str, seconds: int) -> Count:
        """Count one attempt in a window of so many seconds, which begins with its first attempt."""
        number = await self._of_redis(lambda redis: redis.incr(key, seconds))
        if number is not None:
            return Count(number, shared=True)
        return Count(await self._memory.incr(key, seconds), shared=False)

    async def take_back(self, key: str, seconds: int, *, shared: bool) -> None:
        """Uncount one attempt where it was counted.

        If its window has ended in Redis meanwhile, the next one allows one attempt more.
        """
        if shared:
            await self._of_redis(lambda redis: redis.incr(key, seconds, -1))
        else:
            await self._memory.incr(key, seconds, -1)

    async def left(self, key: str, *, shared: bool) -> float:
        """Return in how many seconds the key's window ends."""
        asked = self._of_redis(lambda redis: redis.get_expiry(key)) if shared else self._memory.get_expiry(key)
        ends = await asked
        return 0.0 if ends is None else max(ends - self._clock.now().timestamp(), 0.0)

    async def _of_redis(self, question: Callable[[RedisStorage], Awaitable[T]]) -> T | None:
        """Return its answer; ``None`` where there is none."""
        if self._redis is None or self._clock.monotonic() < self._again:
            return None
        try:
            return await question(self._redis.storage)
        except StorageError as error:
            if self._clock.monotonic() >= self._again:  # the first of those that were waiting for it
                self._again = self._clock.monotonic() + _PAUSE
                self._alone(type(error.__cause__).__name__)
            return None


def open_redis(url: str) -> Redis:
    """Return the way to Redis; nothing is connected yet. Raises ``ConfigurationInvalid``."""
    try:
        from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - may not be installed
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - the same
        from redis.backoff import NoBackoff  # noqa: PLC0415 - the same
        from redis.exceptions import ConnectionError as BrokenConnection  # noqa: PLC0415 - the same
    except ModuleNotFoundError:
        raise ConfigurationInvalid("Redis needs its client: install semel[redis]") from None
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_REDIS_SECONDS,
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            # Once more over a new connection where a kept one broke; never after a time-out, which may have counted.
            retry=Retry(NoBackoff(), 1, supported_errors=(BrokenConnection,)),
        )
    except ValueError:
        raise ConfigurationInvalid(f"{variable('rate_limits')} must read redis://HOST:PORT/DATABASE") from None
    storage = RedisStorage(
        "async+redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="semel",
        connection_pool=pool,  # type: ignore[arg-type]  # documented, and in no annotation
    )
    return Redis(storage, pool.aclose)
