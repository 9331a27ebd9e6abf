"""What counts attempts: in memory as in Redis, and in memory while Redis is silent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from semel.errors import ConfigurationInvalid
from semel.http.counters import Counters, InMemory, Redis, open_redis
from semel.system import SystemClock
from semel.testing import VirtualClock
from tests.services import free_port, redis_server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Redis]:
    redis = open_redis(url)
    try:
        yield redis
    finally:
        await redis.close()


async def numbers(counters: Counters, key: str, times: int = 1) -> list[tuple[int, bool]]:
    return [(count.number, count.shared) for count in [await counters.add(key, 60) for _ in range(times)]]


async def test_a_window_begins_with_its_first_attempt() -> None:
    """And ends as a whole; what is over is forgotten, and what is given back afterwards goes nowhere."""
    clock = VirtualClock(flowing=False)
    memory = InMemory(clock)
    assert [await memory.incr("a", 10), await memory.incr("b", 100)] == [1, 1]
    clock.advance(9.5)
    assert await memory.incr("a", 10) == 2
    assert await memory.get_expiry("a") == clock.now().timestamp() + 0.5
    clock.advance(0.5)
    assert [await memory.get("a"), await memory.get("b")] == [0, 1]
    assert await memory.incr("a", 10, -1) == 0
    assert await memory.incr("a", 10) == 1
    assert await memory.reset() == 2


async def test_what_is_given_back_may_be_taken_again() -> None:
    """Within the same window, which does not end later for it."""
    clock = VirtualClock(flowing=False)
    counters = Counters(clock, None, pytest.fail)
    assert await numbers(counters, "a", 2) == [(1, False), (2, False)]
    clock.advance(20)
    await counters.take_back("a", 60, shared=False)
    await counters.take_back("a", 60, shared=False)
    assert await numbers(counters, "a") == [(1, False)]
    assert await counters.left("a", shared=False) == 40


async def test_redis_counts_for_all(redis: str) -> None:
    """Two servers share it; each is told how long the window lasts."""
    async with opened(redis) as mine, opened(redis) as others:
        clock = SystemClock()
        first, second = (Counters(clock, one, pytest.fail) for one in (mine, others))
        assert await numbers(first, "shared", 2) == [(1, True), (2, True)]
        await second.take_back("shared", 60, shared=True)
        assert await numbers(second, "shared", 2) == [(2, True), (3, True)]
        assert 0 < await second.left("shared", shared=True) <= 60


async def test_without_redis_each_counts_for_itself() -> None:
    """It is asked again after five seconds; what it counted is taken back there alone."""
    port, clock, why = free_port(), VirtualClock(flowing=False), list[str]()
    with redis_server(port) as url:
        redis = open_redis(url)
        counters = Counters(clock, redis, why.append)
        assert await numbers(counters, "a", 2) == [(1, True), (2, True)]
    assert await numbers(counters, "a", 3) == [(1, False), (2, False), (3, False)]
    await counters.take_back("a", 60, shared=True)
    assert await numbers(counters, "a") == [(4, False)]
    assert why == ["ConnectionError"]
    with redis_server(port):
        clock.advance(5)
        assert await numbers(counters, "a") == [(1, True)]
        await counters.take_back("a", 60, shared=False)
        assert await numbers(counters, "a") == [(2, True)]
        await redis.close()


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host:99999", "redis://host/?socket_timeout=x"])
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    """Before anything starts, and without repeating it: it may hold a password."""
    with pytest.raises(ConfigurationInvalid, match=r"^SEMEL_RATE_LIMITS must read") as refused:
        open_redis(url.replace("//", "//:hush@"))
    assert "hush" not in str(refused.value)
