"""A sign-up with a remote provider beside the least that could do the same: two commits and one call.

*the floor* has tasks that each run one prepared statement with an ``INSERT`` for each row of commit 1, one HTTP request
to a stub that answers at once, and one statement with what commit 2 writes; nothing checks anything. The client is the
one that Semel uses, so *the call alone* says how much of a turn is the client's. *Registrar.register* is the two-commit
protocol on the same database, with Supabase's adapter on the same stub.

The second table has the server as it ships, two processes, whose provider takes its time: as many sign-ups are under
way as there are callers, while each process has ten connections to the database. *If held* is what could be reached at
most if a sign-up kept its connection while the provider is called.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.http import Served, Site, ask, sites
from benchmarks.people import CLOCK, IDS, PASSWORD, intent, prepared, registrar
from benchmarks.plain import POSTGRES, PlainRow, in_one, rows
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Table, ratios, take_turns, timed
from semel.model import Account, Secret
from semel.ports import Insert, Write, in_order
from semel.protocol import commits
from semel.protocol.options import Options
from semel.providers.http import LANE
from semel.providers.supabase import SupabaseProvider
from semel.providers.supabase_options import SupabaseOptions
from semel.stores.migrate import migrate
from semel.stores.postgres import open_postgres
from semel.stores.schema import SCHEMA, table_name
from tests.servers import Servers
from tests.services import free_port

__all__ = ["REMOTE", "REMOTE_LATENCY", "run", "run_latency"]

TASKS = 16
LATENCIES = (0.0, 0.02, 0.1)
CALLERS = (16, 256)
POOL = 10
"""Connections to the database that a server has."""

_CREATE = "/auth/v1/admin/users"


@contextmanager
def stub(latency: float = 0.0) -> Iterator[str]:
    """Run a stub, and yield its URL once it listens."""
    port = free_port()
    with ExitStack() as closing:
        processes = Servers(Path(closing.enter_context(tempfile.TemporaryDirectory())))
        command = [sys.executable, "-m", "benchmarks.stub", str(port), "--latency", str(latency)]
        server = closing.enter_context(processes.process(command, port, {}))
        server.wait("/")
        yield server.url


class SignUp(NamedTuple):
    """What one sign-up writes and sends, all of it ready."""

    first: list[object]
    """The values of commit 1."""
    body: dict[str, object]
    """The request to the provider."""
    second: list[object]
    """The values of commit 2."""


class Floor(NamedTuple):
    """What a task of the floor works with."""

    first: PreparedStatement[Any]
    second: PreparedStatement[Any]
    client: httpx.AsyncClient

    async def sign_up(self, one: SignUp) -> None:
        """Commit, call, commit; nothing is checked."""
        await self.first.fetch(*one.first)
        (await self.client.post(_CREATE, json=one.body)).raise_for_status()
        await self.second.fetch(*one.second)


def _two_commits() -> tuple[list[Write], list[Write]]:
    """Return what the two commits of a new person's sign-up write, each in order."""
    options, now = Options(), CLOCK.now()
    held = commits.held_by(prepared(intent()), IDS.uuid(), IDS.uuid(), now, options)
    _, second = commits.completion(held, None, now, options)
    return _ordered(commits.opening(held, None)), _ordered(second)


def _ordered(writes: Sequence[Write]) -> list[Write]:
    return [writes[position] for position in in_order(writes)]


def _text(writes: Sequence[Write]) -> str:
    """Return one plain statement of all the writes, which asks for no version."""
    texts, number = [], 1
    for write, row in zip(writes, rows(POSTGRES, writes), strict=True):
        texts.append(row.insert(POSTGRES, number) if isinstance(write, Insert) else _update(write, row, number))
        number += len(row.columns)
    return in_one(texts)


def _update(write: Write, row: PlainRow, first: int) -> str:
    place = {column: f"${number}" for number, column in enumerate(row.columns, first)}
    values = ", ".join(f"{column} = {place[column]}" for column in row.columns if column not in write.record.KEY)
    return f"UPDATE {row.table} SET {values} WHERE {' AND '.join(f'{one} = {place[one]}' for one in write.record.KEY)}"


def _values(writes: Sequence[Write]) -> list[object]:
    return [value for row in rows(POSTGRES, writes) for value in row.values]


def _sign_up() -> SignUp:
    first, second = _two_commits()
    account = next(write.record for write in second if isinstance(write.record, Account))
    person: dict[str, object] = {"id": account.id, "email": account.email, "password": PASSWORD}
    return SignUp(_values(first), person | {"user_metadata": {"name": "Ada"}}, _values(second))


async def by_floor(url: str, stub_url: str, count: int) -> float:
    """Return the seconds that the sign-ups take as two plain statements and a request each."""
    ready = [_sign_up() for _ in range(count)]
    first, second = map(_text, _two_commits())
    async with AsyncExitStack() as closing:
        floors = []
        for client in await _clients(stub_url, closing):
            connection = await asyncpg.connect(url)
            closing.push_async_callback(connection.close)
            floors.append(Floor(await connection.prepare(first), await connection.prepare(second), client))
        return await timed([floor.sign_up for floor in floors], ready)


async def _clients(stub_url: str, closing: AsyncExitStack) -> list[httpx.AsyncClient]:
    """Return a client for each task, shared by as few as Semel shares one among: each request walks all connections."""
    limits = httpx.Limits(max_connections=LANE, max_keepalive_connections=LANE)
    made = [httpx.AsyncClient(base_url=stub_url, limits=limits) for _ in range(TASKS // LANE)]
    return [await closing.enter_async_context(client) for client in made] * LANE


async def by_call_alone(stub_url: str, count: int) -> float:
    """Return the seconds that the requests take by themselves."""
    ready = [_sign_up().body for _ in range(count)]

    async def call(client: httpx.AsyncClient, body: dict[str, object]) -> None:
        (await client.post(_CREATE, json=body)).raise_for_status()

    async with AsyncExitStack() as closing:
        clients = await _clients(stub_url, closing)
        return await timed([partial(call, client) for client in clients], ready)


async def by_registrar(url: str, stub_url: str, count: int) -> float:
    """Return the seconds that they take from what a caller gave to what the caller is told."""
    ready = [intent() for _ in range(count)]
    keys = Secret("service"), Secret("anon")
    options = SupabaseOptions(url=Secret(f"supabase+{stub_url}"), service_key=keys[0], anon_key=keys[1])
    store = await open_postgres(f"{url}?pool_size={TASKS}", also=None, jitter=IDS.jitter)
    provider = SupabaseProvider(options, CLOCK)
    try:
        made = registrar(store, provider)
        await asyncio.gather(*(made.register(intent()) for _ in range(TASKS)))
        return await timed([made.register] * TASKS, ready)
    finally:
        await provider.close()
        await store.close()


async def run(bench: Bench) -> Table:
    """Measure; every turn begins with empty tables."""
    tables = {f"{SCHEMA}.{table_name(type(write.record), SCHEMA)}" for each in _two_commits() for write in each}
    with bench.postgres.database() as url, stub() as stub_url:
        await migrate(url)
        connection = await asyncpg.connect(url)

        async def empty() -> None:
            await connection.execute(f"TRUNCATE {', '.join(sorted(tables))} CASCADE")
            await connection.execute("CHECKPOINT")

        contenders = [
            Contender("the floor", "the floor", partial(by_floor, url, stub_url)),
            Contender("the call alone", "the floor", partial(by_call_alone, stub_url)),
            Contender("Registrar.register", "the floor", partial(by_registrar, url, stub_url)),
        ]
        found = await take_turns(bench, contenders, empty)
        await connection.close()
    return ratios("Sign-ups with a remote provider, on PostgreSQL", contenders, found)


async def _answered(site: Site, count: int, callers: int) -> float:
    """Return how many sign-ups a second so many callers get."""
    answers = await ask(site.servers, count, callers)
    if answers.statuses != {"201": count}:
        raise RuntimeError(f"the servers answered {answers.statuses}")
    return count / answers.seconds


def _served(stub_url: str) -> Served:
    return Served(
        "semel.cli.serve:application",
        {
            "SEMEL_PROVIDER_URL": f"supabase+{stub_url}",
            "SEMEL_SUPABASE_SERVICE_KEY": "service",
            "SEMEL_SUPABASE_ANON_KEY": "anon",
            "SEMEL_PROVIDER_CONNECTIONS": str(max(CALLERS)),
            "SEMEL_PROVIDER_TIMEOUT_SECONDS": "10",
            "SEMEL_LOG_LEVEL": "warning",
        },
    )


async def run_latency(bench: Bench, latencies: Sequence[float] = LATENCIES, callers: Sequence[int] = CALLERS) -> Table:
    """Measure each latency with few callers and with many."""
    found: list[tuple[str | float, ...]] = []
    with ExitStack() as closing:
        stubs = {latency: closing.enter_context(stub(latency)) for latency in latencies}
        served = {f"{latency * 1000:.0f} ms": _served(url) for latency, url in stubs.items()}
        async with sites(bench.postgres, served) as at:
            for latency, name in zip(latencies, served, strict=True):
                bench.say(name)
                await _answered(at[name], max(callers), max(callers))  # nothing is cold then
                few, many = [await _answered(at[name], max(bench.effort.count, each), each) for each in callers]
                most = len(at[name].servers) * POOL / latency if latency else float("nan")
                found.append((name, round(few), round(many), round(many / few, 2), round(many / most, 2)))
    heads = ("the provider takes", *(f"{each} callers" for each in callers), "ratio", "beside the most, if held")
    return Table("Sign-ups a second over HTTP with a remote provider", heads, tuple(found))


REMOTE = Benchmark("remote", Effort(count=1500, rounds=5, seconds=60), run)
REMOTE_LATENCY = Benchmark("remote-latency", Effort(count=2000, rounds=1), run_latency)
