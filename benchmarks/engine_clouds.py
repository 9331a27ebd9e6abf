"""The engine on DynamoDB and on Azure Tables beside their SDKs alone: the same records of the same sign-ups.

*the SDK* writes ready-made rows and checks nothing (see ``clouds``). *the store* commits ready-made records.
*Registrar.register* does all of a sign-up but the hash. The services are the emulators of the tests, on this machine:
what they do in a second says nothing of the services, so only the ratios are worth reading, and they leave out what a
network adds to each round trip.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from benchmarks.clouds import AZURE_TABLES, DYNAMODB, TASKS, Cloud, Row
from benchmarks.people import IDS, intent, registrar, sign_up
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Say, Table, ratios, take_turns, timed
from semel.ports import Store
from semel.stores.migrate import migrate

__all__ = ["CLOUDS_FILLED", "ENGINE_CLOUDS", "run_filled"]

SIZES = (0, 1_000, 10_000)
_FILLING_SECONDS = 120.0


def _rows(cloud: Cloud, count: int) -> list[list[Row]]:
    return [[cloud.row(write) for write in sign_up()] for _ in range(count)]


async def by_sdk(cloud: Cloud, url: str, count: int) -> float:
    """Return the seconds that the sign-ups take as plain writes."""
    ready = _rows(cloud, count)
    async with cloud.plain(url) as write:
        await write(_rows(cloud, 1)[0])
        return await timed([write] * TASKS, ready)


async def _by(cloud: Cloud, url: str, work: Callable[[Store], Awaitable[float]]) -> float:
    """Return the seconds of work on a warm store, and with them what goes on behind its last answers."""
    store = await cloud.store(url)
    try:
        await store.commit(sign_up(), IDS.token())
        seconds = await work(store)
    finally:
        begin = time.perf_counter()
        await store.close()
    return seconds + time.perf_counter() - begin


async def by_store(cloud: Cloud, url: str, count: int) -> float:
    """Return the seconds that they take as commits of the store."""
    ready = [sign_up() for _ in range(count)]
    return await _by(cloud, url, lambda store: timed([lambda writes: store.commit(writes, IDS.token())] * TASKS, ready))


async def by_registrar(cloud: Cloud, url: str, count: int) -> float:
    """Return the seconds that they take from what a caller gave to what the caller is told."""
    ready = [intent() for _ in range(count)]
    return await _by(cloud, url, lambda store: timed([registrar(store).register] * TASKS, ready))


def _contenders(cloud: Cloud, url: str) -> list[Contender]:
    plain = f"{cloud.name}: the SDK"
    return [
        Contender(plain, plain, partial(by_sdk, cloud, url)),
        Contender(f"{cloud.name}: the store", plain, partial(by_store, cloud, url)),
        Contender(f"{cloud.name}: Registrar.register", plain, partial(by_registrar, cloud, url)),
    ]


async def run(bench: Bench) -> Table:
    """Measure, one service after the other."""
    tables = []
    for cloud in (DYNAMODB, AZURE_TABLES):
        bench.say(cloud.name)
        with cloud.running() as server:
            url = server.new_url()
            await migrate(url)
            contenders = _contenders(cloud, url)
            tables.append(ratios("", contenders, await take_turns(bench, contenders)))
    return _joined("The engine on DynamoDB and Azure Tables: sign-ups", tables)


async def _fill(cloud: Cloud, url: str, size: int, say: Say) -> int:
    """Put so many accounts there, or as many as there is time for; return the number."""
    there, until = 0, time.perf_counter() + _FILLING_SECONDS
    while there < size and time.perf_counter() < until:
        say(f"{cloud.name}: {there:,} of {size:,} accounts are there")
        some = min(500, size - there)
        await by_sdk(cloud, url, some)
        there += some
    return there


async def run_filled(bench: Bench, sizes: Sequence[int] = SIZES) -> Table:
    """Measure sign-ups while others are there already, each number of them in a table of its own."""
    tables = []
    for cloud in (DYNAMODB, AZURE_TABLES):
        with cloud.running() as server:
            contenders: list[Contender] = []
            for size in sizes:
                url = server.new_url()
                await migrate(url)
                name = f"{cloud.name}: {await _fill(cloud, url, size, bench.say):,} accounts"
                base = contenders[0].name if contenders else name
                contenders.append(Contender(name, base, partial(by_registrar, cloud, url)))
            tables.append(ratios("", contenders, await take_turns(bench, contenders)))
    return _joined("Sign-ups while others are there, on DynamoDB and Azure Tables", tables)


def _joined(title: str, tables: Sequence[Table]) -> Table:
    return Table(title, tables[0].heads, tuple(row for table in tables for row in table.rows))


ENGINE_CLOUDS = Benchmark("engine-clouds", Effort(count=500, rounds=5, seconds=60), run)
CLOUDS_FILLED = Benchmark("accounts-clouds", Effort(count=200, rounds=5, seconds=60), run_filled)
