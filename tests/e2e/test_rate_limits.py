"""Two server processes that count attempts in one Redis."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from tests.servers import Server, Servers
from tests.services import REDIS_PASSWORD, redis_server

EMAIL = "limited@example.com"


class Two:
    """Two servers, and requests to both in turn."""

    def __init__(self, servers: Servers, first: Server, second: Server) -> None:
        self.password = servers.secret()
        self.both = (first, second)

    async def sign_ups(self, count: int, *, key: str | None = None, name: str = "person") -> list[httpx.Response]:
        """Send so many at once: of one person under the key, else each of another person."""
        limits = httpx.Limits(max_connections=count)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            return await asyncio.gather(*(self._sign_up(client, number, key, name) for number in range(count)))

    async def _sign_up(self, client: httpx.AsyncClient, number: int, key: str | None, name: str) -> httpx.Response:
        server = self.both[number % 2]
        email = EMAIL if key else f"{name}{number}@example.com"
        headers = {"Idempotency-Key": key} if key else {}
        person = {"email": email, "password": self.password}
        return await client.post(f"{server.url}/api/auth/signup", json=person, headers=headers)

    async def sign_ins(self, count: int) -> list[httpx.Response]:
        """Send so many at once, all of one account."""
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=count), timeout=60) as client:
            body = {"email": EMAIL, "password": self.password}
            urls = (f"{self.both[number % 2].url}/api/auth/login" for number in range(count))
            return await asyncio.gather(*(client.post(url, json=body) for url in urls))


@contextmanager
def two(servers: Servers, directory: Path, redis: str, **settings: str) -> Iterator[Two]:
    url = f"sqlite:///{directory / 'semel.db'}"
    servers.migrate(url)
    servers.hide(REDIS_PASSWORD)
    given = {"SEMEL_RATE_LIMITS": redis, "SEMEL_RATE_LIMIT_SIGN_UP_BY_ADDRESS": "10/hour", **settings}
    with servers.starting(url, **given) as first, servers.starting(url, **given) as second:
        first.wait("/readyz")
        second.wait("/readyz")
        yield Two(servers, first, second)


@pytest.fixture
def site(servers: Servers, tmp_path: Path, redis: str) -> Iterator[Two]:
    with two(servers, tmp_path, redis) as made:
        yield made


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    return dict(Counter(answer.status_code for answer in answers))


async def test_of_fifty_at_once_ten_pass(site: Two) -> None:
    """Sent to both processes; an answered key is answered all the same, on either."""
    first = (await site.sign_ups(1, key="the key of one's form"))[0]
    assert statuses(await site.sign_ups(50)) == {201: 9, 429: 41}
    replays = await site.sign_ups(20, key="the key of one's form")
    assert statuses(replays) == {201: 20}
    assert {answer.json()["user_id"] for answer in replays} == {first.json()["user_id"]}
    refused = (await site.sign_ups(1, name="late"))[0]
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 3600


async def test_replays_at_once_take_no_attempt(site: Two) -> None:
    """As many as the limit has come at once, again and again, and every other attempt is still there."""
    await site.sign_ups(1, key="the key of one's form")
    for _ in range(3):
        assert statuses(await site.sign_ups(9, key="the key of one's form")) == {201: 9}
    assert statuses(await site.sign_ups(50)) == {201: 9, 429: 41}


async def test_sign_ins_of_one_account_are_counted_together(site: Two) -> None:
    """Whichever process is asked."""
    await site.sign_ups(1, key="the key of one's form")
    assert statuses(await site.sign_ins(50)) == {200: 10, 429: 40}


async def test_redis_is_told_no_address_and_no_email(site: Two, redis: str) -> None:
    """What it holds are numbers under names that say nothing, and all of them expire."""
    await site.sign_ups(1, key="the key of one's form")
    await site.sign_ins(1)
    async with Redis.from_url(redis, decode_responses=True) as client:
        keys = [key async for key in client.scan_iter("*")]
        values = [str(await client.get(key)) for key in keys]
        lives = [await client.ttl(key) for key in keys]
    assert {key.split("/")[1] for key in keys} >= {"sign_up_by_address", "sign_in_by_account", "sign_in_by_address"}
    assert not any(word in key for key in keys for word in ("127.0.0.1", "limited", "example.com"))
    assert all(value.lstrip("-").isdecimal() for value in values)
    assert all(life > 0 for life in lives)


async def test_a_redis_that_is_gone_stops_nobody(servers: Servers, tmp_path: Path) -> None:
    """Each process counts for itself from there on, and says so."""
    with redis_server() as url, two(servers, tmp_path, url) as site:
        assert statuses(await site.sign_ups(10)) == {201: 10}
        assert statuses(await site.sign_ups(2, name="refused")) == {429: 2}
        await _stop(url)
        assert statuses(await site.sign_ups(30, name="later")) == {201: 20, 429: 10}
        for server in site.both:
            async with httpx.AsyncClient(base_url=server.url) as client:
                metrics = (await client.get("/metrics")).text
            assert 'semel_events_total{event="limits.alone"}' in metrics
            assert 'semel_rate_limited_total{limit="sign_up_by_address"}' in metrics


async def _stop(url: str) -> None:
    """End a Redis as its operator would."""
    async with Redis.from_url(url) as client:
        await client.shutdown(nosave=True)
