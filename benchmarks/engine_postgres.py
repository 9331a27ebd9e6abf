"""The engine on PostgreSQL beside asyncpg alone: the same rows of the same sign-ups, on the same server and disk.

*one statement* has tasks that each run one prepared statement with an ``INSERT`` for each row, nothing that checks, and
ready-made values, on a connection of their own. *BEGIN … COMMIT* writes the rows one by one in a transaction. *the
store* commits ready-made records. *Registrar.register* does all of a sign-up but the hash; *Semel.register* does it
with metrics as users have it. What says *with a row* also writes a row of the application's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.people import IDS, intent, register, registrar, sign_up
from benchmarks.plain import POSTGRES, PROFILES, PlainRow, one_statement, rows
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Table, ratios, take_turns, timed
from semel.config import Settings
from semel.face import Semel
from semel.model import Account
from semel.ports import Also
from semel.providers.embedded import EmbeddedPasswords
from semel.stores.migrate import migrate
from semel.stores.postgres import PostgresStore, open_postgres
from semel.stores.schema import SCHEMA, table_name
from semel.testing.hashers import CheapHasher
from tests.services import pgbouncer

__all__ = ["ENGINE_POSTGRES"]

TASKS = 16
"""How many sign up at once, each with a connection."""

_OWN_TABLE = "CREATE TABLE profiles (id uuid PRIMARY KEY, email text, name text)"
_OWN_ROW = "INSERT INTO profiles (id, email, name) VALUES ($1, $2, $3)"


class Place(NamedTuple):
    """A database, and the way to it through PgBouncer."""

    url: str
    pooled: str


async def callback(connection: asyncpg.Connection[Any], account: Account) -> None:
    """Insert the application's row as an application does."""
    await connection.execute(_OWN_ROW, account.id, account.email, account.full_name)


@asynccontextmanager
async def _connections(url: str) -> AsyncIterator[list[asyncpg.Connection[Any]]]:
    async with AsyncExitStack() as closing:
        made = []
        for _ in range(TASKS):
            connection = await asyncpg.connect(url)
            closing.push_async_callback(connection.close)
            made.append(connection)
        yield made


async def in_one_statement(place: Place, count: int, *, also: bool = False) -> float:
    """Return the seconds that the sign-ups take as one plain statement each."""
    made = [rows(POSTGRES, sign_up(), also=also) for _ in range(count)]
    text = one_statement(POSTGRES, made[0])
    ready = [[value for row in each for value in row.values] for each in made]

    async def write(statement: PreparedStatement[Any], values: list[object]) -> None:
        await statement.fetch(*values)

    async with _connections(place.url) as connections:
        return await timed([partial(write, await one.prepare(text)) for one in connections], ready)


async def in_transaction(place: Place, count: int, *, also: bool = False) -> float:
    """Return the seconds that they take as a transaction of one statement a row."""
    ready = [rows(POSTGRES, sign_up(), also=also) for _ in range(count)]
    texts = [row.insert(POSTGRES) for row in ready[0]]

    async def write(
        connection: asyncpg.Connection[Any], prepared: Sequence[PreparedStatement[Any]], each: Sequence[PlainRow]
    ) -> None:
        await connection.execute("BEGIN")
        for statement, row in zip(prepared, each, strict=True):
            await statement.fetch(*row.values)
        await connection.execute("COMMIT")

    async with _connections(place.url) as connections:
        workers = [partial(write, one, [await one.prepare(text) for text in texts]) for one in connections]
        return await timed(workers, ready)


@asynccontextmanager
async def _store(place: Place, also: Also | None, *, pooled: bool = False) -> AsyncIterator[PostgresStore]:
    """Open a store, and warm its connections and statements."""
    url = f"{place.pooled}&pool_size={TASKS}" if pooled else f"{place.url}?pool_size={TASKS}"
    store = await open_postgres(url, also=also, jitter=IDS.jitter)
    try:
        await asyncio.gather(*(store.commit(sign_up(), IDS.token()) for _ in range(TASKS)))
        yield store
    finally:
        await store.close()


async def by_store(place: Place, count: int, *, pooled: bool = False) -> float:
    """Return the seconds that they take as commits of the store."""
    ready = [sign_up() for _ in range(count)]
    async with _store(place, None, pooled=pooled) as store:
        return await timed([lambda writes: store.commit(writes, IDS.token())] * TASKS, ready)


async def by_registrar(place: Place, count: int, *, also: Also | None = None) -> float:
    """Return the seconds that they take from what a caller gave to what the caller is told."""
    ready = [intent() for _ in range(count)]
    async with _store(place, also) as store:
        return await timed([registrar(store).register] * TASKS, ready)


async def by_face(place: Place, count: int) -> float:
    """Return the seconds that they take with all that an application has around it."""
    ready = [intent() for _ in range(count)]
    async with _store(place, None) as store:
        settings = Settings(_env_file=None, upkeep=False)
        async with Semel(settings, store=store, provider=EmbeddedPasswords(CheapHasher())) as semel:
            return await timed([partial(register, semel)] * TASKS, ready)


def _contenders(place: Place) -> list[Contender]:
    plain, plain_with_row = "one statement", "one statement, with a row"
    return [
        Contender(plain, plain, partial(in_one_statement, place)),
        Contender("BEGIN … COMMIT", plain, partial(in_transaction, place)),
        Contender("the store", plain, partial(by_store, place)),
        Contender("the store, through PgBouncer", plain, partial(by_store, place, pooled=True)),
        Contender("Registrar.register", plain, partial(by_registrar, place)),
        Contender("Semel.register", plain, partial(by_face, place)),
        Contender(plain_with_row, plain_with_row, partial(in_one_statement, place, also=True)),
        Contender("BEGIN … COMMIT, with a row", plain_with_row, partial(in_transaction, place, also=True)),
        Contender("Registrar.register, also=Row", plain_with_row, partial(by_registrar, place, also=PROFILES)),
        Contender("Registrar.register, also=callback", plain_with_row, partial(by_registrar, place, also=callback)),
    ]


async def run(bench: Bench) -> Table:
    """Measure; every turn begins with empty tables."""
    tables = {f"{SCHEMA}.{table_name(type(write.record), SCHEMA)}" for write in sign_up()} | {PROFILES.table}
    with bench.postgres.database() as url, pgbouncer(url, pool_size=TASKS) as pooled:
        await migrate(url)
        connection = await asyncpg.connect(url)
        await connection.execute(_OWN_TABLE)

        async def empty() -> None:
            await connection.execute(f"TRUNCATE {', '.join(sorted(tables))} CASCADE")
            await connection.execute("CHECKPOINT")

        contenders = _contenders(Place(url, pooled))
        found = await take_turns(bench, contenders, empty)
        await connection.close()
    return ratios("The engine on PostgreSQL: sign-ups", contenders, found)


ENGINE_POSTGRES = Benchmark("engine-postgres", Effort(count=3000, rounds=5, seconds=90), run)
