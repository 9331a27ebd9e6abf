"""The PostgreSQL store beside asyncpg alone: the same rows of the same sign-ups, on the same server and disk.

    python -m benchmarks.engine_postgres [--count 4000] [--rounds 5] [--tasks 16] [--uvloop] [--json]

*bare* has tasks that each run one prepared statement, with an ``INSERT`` for each row and nothing that checks, on a
connection of their own with ready-made rows. *transaction* does the same by BEGIN, six statements and COMMIT. *store*
has as many tasks that call ``PostgresStore.commit``. What says *also* writes a seventh row, into a table of the
application: *row* and *callback* are the two ways in which the store does it. *pooler* is the store through PgBouncer
in transaction mode. They take turns; what counts is the ratio within a round, to *bare* or to *bare, also*.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import asyncpg
import uvloop
from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.engine_sqlite import sign_up
from semel.model import Account, Record
from semel.ports import Also, Insert, Row, in_order
from semel.stores.codec import Codecs
from semel.stores.migrate import migrate
from semel.stores.postgres import open_postgres
from semel.stores.schema import SCHEMA, table_name
from semel.system import SystemIds
from tests.services import pgbouncer, postgres_server

IDS = SystemIds()
CODECS = Codecs(moments_as_text=False)
PROFILES = "CREATE TABLE public.profiles (id uuid PRIMARY KEY, email text, name text)"
ROW = Row("public.profiles", {"id": "id", "email": "email", "name": "full_name"})
ADDED = "INSERT INTO public.profiles (id, email, name) VALUES ($1, $2, $3)"

T = TypeVar("T")


class Place(NamedTuple):
    """Where it is measured: the server, the pooler before it, how many sign-ups a turn, how many tasks."""

    url: str
    pooled: str
    sign_ups: int
    tasks: int


async def callback(connection: asyncpg.Connection[Any], account: Account) -> None:
    """Insert the application's row as an application does."""
    await connection.execute(ADDED, account.id, account.email, account.full_name)


def rows(records: Sequence[Record], *, also: bool) -> list[tuple[str, list[Any]]]:
    """Return a table with its columns, and the values of the row, for each of the records and the application's."""
    writes = [Insert(record) for record in records]
    made: list[tuple[str, list[Any]]] = []
    for record in (records[position] for position in in_order(writes)):
        codec = CODECS[type(record)]
        table = f"{SCHEMA}.{table_name(type(record), SCHEMA)} ({', '.join(codec.columns)})"
        made.append((table, codec.row(record, IDS.token())))
    (account,) = (record for record in records if isinstance(record, Account))
    return [*made, ("public.profiles (id, email, name)", [account.id, account.email, account.full_name])][: 6 + also]


def insert(table: str, first: int, count: int) -> str:
    """Return a plain insert."""
    return f"INSERT INTO {table} VALUES ({', '.join(f'${first + at}' for at in range(count))})"  # noqa: S608


async def bare(place: Place, *, also: bool = False) -> float:
    """Return the seconds that the sign-ups take as one plain statement each."""
    made = [rows(sign_up(), also=also) for _ in range(place.sign_ups)]
    texts, first = [], 1
    for table, values in made[0]:
        texts.append(insert(table, first, len(values)))
        first += len(values)
    statement = f"WITH {', '.join(f'w{at} AS ({text})' for at, text in enumerate(texts[:-1]))} {texts[-1]}"
    ready = [[value for _, values in each for value in values] for each in made]
    connections = [await asyncpg.connect(place.url) for _ in range(place.tasks)]
    prepared = [await connection.prepare(statement) for connection in connections]

    async def write(statement: PreparedStatement[Any], values: list[Any]) -> None:
        await statement.fetch(*values)

    seconds = await timed([partial(write, statement) for statement in prepared], ready)
    await asyncio.gather(*(connection.close() for connection in connections))
    return seconds


async def transaction(place: Place, *, also: bool = False) -> float:
    """Return the seconds that they take as a transaction of one statement a row."""
    ready = [rows(sign_up(), also=also) for _ in range(place.sign_ups)]
    texts = [insert(table, 1, len(values)) for table, values in ready[0]]
    connections = [await asyncpg.connect(place.url) for _ in range(place.tasks)]

    async def write(
        connection: asyncpg.Connection[Any], prepared: list[PreparedStatement[Any]], each: list[tuple[str, list[Any]]]
    ) -> None:
        await connection.execute("BEGIN")
        for statement, (_, values) in zip(prepared, each, strict=True):
            await statement.fetch(*values)
        await connection.execute("COMMIT")

    workers = [partial(write, to, [await to.prepare(text) for text in texts]) for to in connections]
    seconds = await timed(workers, ready)
    await asyncio.gather(*(connection.close() for connection in connections))
    return seconds


async def store(place: Place, *, also: Also | None = None, pooled: bool = False) -> float:
    """Return the seconds that they take through the store."""
    ready = [[Insert(record) for record in sign_up()] for _ in range(place.sign_ups)]
    url = f"{place.pooled}&pool_size={place.tasks}" if pooled else f"{place.url}?pool_size={place.tasks}"
    opened = await open_postgres(url, also=also, jitter=IDS.jitter)
    warm = [[Insert(record) for record in sign_up()] for _ in range(place.tasks)]
    await timed([lambda writes: opened.commit(writes, IDS.token())] * place.tasks, warm)
    seconds = await timed([lambda writes: opened.commit(writes, IDS.token())] * place.tasks, ready)
    await opened.close()
    return seconds


async def timed(workers: Sequence[Callable[[T], Awaitable[object]]], ready: Sequence[T]) -> float:
    """Return the seconds in which the workers, each in a task, do all that is ready."""
    left = iter(ready)
    gc.collect()
    gc.freeze()  # what lies ready would be walked through again and again, as in no server

    async def task(do: Callable[[T], Awaitable[object]]) -> None:
        for each in left:
            await do(each)

    begin = time.perf_counter()
    await asyncio.gather(*map(task, workers))
    return time.perf_counter() - begin


CONTENDERS: dict[str, tuple[str, Callable[[Place], Awaitable[float]]]] = {
    "bare": ("bare", bare),
    "transaction": ("bare", transaction),
    "store": ("bare", store),
    "store, pooler": ("bare", partial(store, pooled=True)),
    "bare, also": ("bare, also", partial(bare, also=True)),
    "transaction, also": ("bare, also", partial(transaction, also=True)),
    "store, also row": ("bare, also", partial(store, also=ROW)),
    "store, also callback": ("bare, also", partial(store, also=callback)),
}
"""What each is compared with, and what it does."""


async def measure(place: Place, rounds: int) -> dict[str, list[float]]:
    """Return the sign-ups a second of each contender, a figure for each round. All begin with empty tables."""
    await migrate(place.url)
    connection = await asyncpg.connect(place.url)
    await connection.execute(PROFILES)
    tables = [f"{SCHEMA}.{table_name(type(record), SCHEMA)}" for record in sign_up()]
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, (_, run) in CONTENDERS.items():
            await connection.execute(f"TRUNCATE {', '.join(sorted({*tables, 'public.profiles'}))} CASCADE")
            await connection.execute("CHECKPOINT")
            found[name].append(place.sign_ups / await run(place))
    await connection.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The PostgreSQL store beside asyncpg alone.")
    parser.add_argument("--count", type=int, default=4000, help="sign-ups a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=16, help="how many sign-ups at once, each with its connection")
    parser.add_argument("--uvloop", action="store_true", help="on the event loop that the server runs on")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    run = uvloop.run if options.uvloop else asyncio.run
    with postgres_server() as server, server.database() as url, pgbouncer(url, pool_size=options.tasks) as pooled:
        found = run(measure(Place(url, pooled, options.count, options.tasks), options.rounds))
    ratios = {
        name: statistics.median(one / other for one, other in zip(found[name], found[base], strict=True))
        for name, (base, _) in CONTENDERS.items()
    }
    if options.json:
        sys.stdout.write(json.dumps({"sign_ups_a_second": found, "ratio_to_bare": ratios}) + "\n")
        return
    for name, ratio in ratios.items():
        sys.stdout.write(f"{name:<20} {statistics.median(found[name]):>8.0f} sign-ups a second {ratio:>6.2f}\n")


if __name__ == "__main__":
    main()
