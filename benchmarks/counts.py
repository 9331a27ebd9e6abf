"""What a request costs in round trips, commits and calls: counted, and so the same on every machine.

Round trips to PostgreSQL are counted on the wire, by a proxy; the rest by Semel's own metrics. Each figure is the
average of several requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import msgspec
from pydantic import SecretStr

from benchmarks.people import intent, register
from benchmarks.turns import Bench, Benchmark, Effort, Table
from semel.config import Settings
from semel.errors import UserAlreadyExists
from semel.face import Semel
from semel.intents import Intent
from semel.ports import EmbeddedProvider, RemoteProvider
from semel.providers.embedded import EmbeddedPasswords
from semel.stores.migrate import migrate
from semel.system import Argon2Hasher, Argon2Options
from semel.testing import CheapHasher, FakeProvider
from tests.proxy import Proxy

__all__ = ["COUNTS", "run"]

HEADS = ("", "round trips", "commits", "reads", "provider calls", "hashes")
_STORE, _PROVIDER = "semel_store_seconds_count", "semel_provider_seconds_count"


class Case(NamedTuple):
    """What is asked for, and who keeps the identities."""

    name: str
    provider: EmbeddedProvider | RemoteProvider
    asked: Callable[[Intent], Intent]
    """What follows a first request."""


def _another(_: Intent) -> Intent:
    return intent()


def _again(first: Intent) -> Intent:
    return first


def _taken(first: Intent) -> Intent:
    return msgspec.structs.replace(intent(), email=first.email)


_CHEAP = EmbeddedPasswords(CheapHasher())
_SLOW = EmbeddedPasswords(Argon2Hasher(Argon2Options(memory_kib=8, time_cost=1, threads=1)))
_REMOTE = FakeProvider()

CASES = (
    Case("a new person", _CHEAP, _another),
    Case("a new person, the hash slow", _SLOW, _another),
    Case("a new person, the provider remote", _REMOTE, _another),
    Case("the same request again", _CHEAP, _again),
    Case("the same request again, the hash slow", _SLOW, _again),
    Case("a taken email", _CHEAP, _taken),
    Case("a taken email, the hash slow", _SLOW, _taken),
    Case("a taken email, the provider remote", _REMOTE, _taken),
)


def _calls(semel: Semel) -> Counter[str]:
    """Return how often each operation was called so far."""
    calls: Counter[str] = Counter()
    for metric in semel.metrics.registry.collect():
        for sample in metric.samples:
            if sample.name in {_STORE, _PROVIDER}:
                calls[sample.labels["operation"]] += int(sample.value)
    return calls


async def _count(case: Case, url: str, times: int) -> tuple[str | float, ...]:
    async with Proxy.before(url) as proxy:
        settings = Settings(_env_file=None, database_url=SecretStr(proxy.through(url)), upkeep=False)
        async with Semel(settings, provider=case.provider) as semel:
            first = intent()
            await register(semel, first)
            await _ask(semel, case.asked(first))  # what is done once for a connection is done now
            calls, trips = _calls(semel), proxy.round_trips
            for _ in range(times):
                await _ask(semel, case.asked(first))
            calls, trips = _calls(semel) - calls, proxy.round_trips - trips
    commits, hashes = calls.pop("commit", 0), calls["enrol"] + calls["verify"]
    reads = calls["get"] + calls["get_many"]
    others = calls.total() - reads - hashes
    return case.name, *(_average(number, times) for number in (trips, commits, reads, others, hashes))


def _average(number: int, times: int) -> float:
    return number // times if number % times == 0 else number / times


async def run(bench: Bench) -> Table:
    """Count."""
    counted = []
    with bench.postgres.database() as url:
        await migrate(url)
        for case in CASES:
            bench.say(case.name)
            counted.append(await _count(case, url, bench.effort.count))
    return Table("Counted for each request, on PostgreSQL", HEADS, tuple(counted))


async def _ask(semel: Semel, asked: Intent) -> None:
    with suppress(UserAlreadyExists):
        await register(semel, asked)


COUNTS = Benchmark("counts", Effort(count=20, rounds=1), run)
