"""Sign-ups while a thousand, a hundred thousand or a million accounts are there already, beside an empty store.

``Registrar.register`` on PostgreSQL, as in ``engine_postgres``. Those who are there are copies of one who signed up,
made by the database itself and evenly spread by name; whoever comes is somewhere between them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import asyncpg

from benchmarks.engine_postgres import Place, by_registrar
from benchmarks.people import IDS, intent, sign_up
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Say, Table, ratios, take_turns
from semel.model import Account, Record, Registration
from semel.stores.migrate import migrate
from semel.stores.postgres import open_postgres
from semel.stores.schema import SCHEMA, Field, Shape, fields, quoted, table_name

__all__ = ["ACCOUNTS", "run"]

SIZES = (0, 1_000, 100_000, 1_000_000)
_AT_ONCE = 50_000
_FILLING_SECONDS = 120.0

Copying = list[str]
"""The statements that copy the rows of one sign-up: $1 to $2 are the copies' numbers, of SIZE."""


async def _first(url: str) -> Copying:
    """Sign somebody up, and return what makes others of it."""
    asked, token = intent(), IDS.token()
    writes = sign_up(asked)
    store = await open_postgres(url, jitter=IDS.jitter)
    await store.commit(writes, token)
    await store.close()
    records = {type(write.record): write.record for write in writes}
    account, registration = records[Account].key[0], records[Registration].key[0]
    name = "lpad(to_hex(number * (9223372036854775807 / SIZE)), 16, '0')"
    others = {
        account: "'00000000-0000-7000-8000-' || lpad(to_hex(number), 12, '0')",
        registration: f"repeat({name}, 4)",
        (asked.email or "").partition("@")[0]: name,
    }
    return [_copy(record, others, token) for record in records.values()]


def _copy(record: Record, others: dict[str, str], token: int) -> str:
    kind = type(record)
    table = quoted(SCHEMA, table_name(kind, SCHEMA))
    columns = ", ".join(field.name for field in fields(kind))
    values = ", ".join(_other(record, field, others) for field in fields(kind))
    source = f"{table} AS one, generate_series($1::bigint, $2::bigint) AS number WHERE version = {token}"
    return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {source}"


def _other(record: Record, field: Field, others: dict[str, str]) -> str:
    """Return what a column of a copy has."""
    if field.name == "version":
        return "number"  # any will do but the one by which the row to be copied is found
    value = f"{field.name}::text"
    for text, instead in others.items():
        if text in str(getattr(record, field.name)):
            value = f"replace({value}, '{text}', {instead})"
    if value.startswith("replace"):
        return f"({value})::json" if field.shape is Shape.STRUCTURE else value
    return field.name


async def _fill(url: str, size: int, say: Say) -> int:
    """Put so many accounts there, or as many as there is time for; return the number."""
    there, until = 0, time.perf_counter() + _FILLING_SECONDS
    copying = await _first(url) if size else []
    connection = await asyncpg.connect(url)
    while there < size and time.perf_counter() < until:
        say(f"{there:,} of {size:,} accounts are there")
        upto = min(there + _AT_ONCE, size)
        async with connection.transaction():
            # The copies refer to each other as their pattern does.
            await connection.execute("SET LOCAL session_replication_role = replica")
            for statement in copying:
                await connection.execute(statement.replace("SIZE", str(size)), there + 1, upto)
        there = upto
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return there


async def _checkpoint(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CHECKPOINT")
    await connection.close()


async def run(bench: Bench, sizes: Sequence[int] = SIZES) -> Table:
    """Measure; each number of accounts has a database of its own, which grows by what is measured."""
    contenders: list[Contender] = []
    with ExitStack() as closing:
        for size in sizes:
            url = closing.enter_context(bench.postgres.database())
            await migrate(url)
            name = f"{await _fill(url, size, bench.say):,} accounts"
            base = contenders[0].name if contenders else name
            contenders.append(Contender(name, base, partial(by_registrar, Place(url, pooled=""))))
        found = await take_turns(bench, contenders, partial(_checkpoint, bench.postgres.url))
    return ratios("Sign-ups while others are there, on PostgreSQL", contenders, found)


ACCOUNTS = Benchmark("accounts", Effort(count=1000, rounds=5, seconds=45), run)
