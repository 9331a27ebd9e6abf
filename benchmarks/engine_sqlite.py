"""The engine on SQLite beside a bare group-commit writer: the same rows of the same sign-ups, on the same disk.

*a loop* inserts ready-made rows in one thread without asyncio, 64 sign-ups a transaction. *handed over* has 64 tasks
that hand ready-made rows to such a thread one by one. *the store* has 64 that commit ready-made records, and
*Registrar.register* does all of a sign-up but the hash.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from benchmarks.people import IDS, intent, registrar, sign_up
from benchmarks.plain import PROFILES, SQLITE, rows
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Table, ratios, take_turns, timed
from semel.ports import Row
from semel.stores.migrate import migrate
from semel.stores.sqlite import open_sqlite
from semel.stores.sqlite_file import connect

__all__ = ["ENGINE_SQLITE"]

TASKS = 64
_OWN_TABLE = "CREATE TABLE profiles (id TEXT PRIMARY KEY, email TEXT, name TEXT)"
_DISK = Path(__file__).parent
"""A temporary directory may be in memory."""

Inserts = list[tuple[str, Sequence[object]]]
"""The statements of one sign-up, with their values."""


def _inserts() -> Inserts:
    return [(row.insert(SQLITE), row.values) for row in rows(SQLITE, sign_up())]


def _write_group(connection: sqlite3.Connection, group: list[Inserts]) -> None:
    """Insert the rows of several sign-ups in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for inserts in group:
        for insert, values in inserts:
            connection.execute(insert, values)
    connection.execute("COMMIT")


async def in_a_loop(path: Path, count: int) -> float:
    """Return the seconds that the sign-ups take in a plain loop."""
    ready = [_inserts() for _ in range(count)]
    with closing(connect(path)) as connection:
        gc.collect()
        gc.freeze()
        begin = time.perf_counter()
        for at in range(0, count, TASKS):
            _write_group(connection, ready[at : at + TASKS])
        seconds = time.perf_counter() - begin
        gc.unfreeze()
    return seconds


async def handed_over(path: Path, count: int) -> float:
    """Return the seconds that they take where tasks hand them to a thread, one by one."""
    loop, queue = asyncio.get_running_loop(), SimpleQueue[tuple[Inserts, asyncio.Future[None]] | None]()

    def serve() -> None:
        with closing(connect(path)) as connection:
            while (first := queue.get()) is not None:
                group = [first, *(queue.get() for _ in range(queue.qsize()))]
                work = [each for each in group if each is not None]
                _write_group(connection, [inserts for inserts, _ in work])
                for _, future in work:
                    loop.call_soon_threadsafe(future.set_result, None)

    async def submit(inserts: Inserts) -> None:
        future = loop.create_future()
        queue.put((inserts, future))
        await future

    ready = [_inserts() for _ in range(count)]
    with ThreadPoolExecutor(1) as thread:
        served = thread.submit(serve)
        seconds = await timed([submit] * TASKS, ready)
        queue.put(None)
        served.result()
    return seconds


async def by_store(path: Path, count: int) -> float:
    """Return the seconds that they take as commits of the store."""
    ready = [sign_up() for _ in range(count)]
    store = await open_sqlite(f"sqlite:///{path}")
    try:
        return await timed([lambda writes: store.commit(writes, IDS.token())] * TASKS, ready)
    finally:
        await store.close()


async def by_registrar(path: Path, count: int, *, also: Row | None = None) -> float:
    """Return the seconds that they take from what a caller gave to what the caller is told."""
    ready = [intent() for _ in range(count)]
    store = await open_sqlite(f"sqlite:///{path}", also)
    try:
        return await timed([registrar(store).register] * TASKS, ready)
    finally:
        await store.close()


def _clear(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()


async def run(bench: Bench) -> Table:
    """Measure; every turn has a new file."""
    with tempfile.TemporaryDirectory(dir=_DISK) as directory:
        path = Path(directory, "semel.db")

        async def new_file() -> None:
            _clear(Path(directory))
            await migrate(f"sqlite:///{path}")
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(_OWN_TABLE)

        base = "a loop"
        contenders = [
            Contender(base, base, partial(in_a_loop, path)),
            Contender("handed over", base, partial(handed_over, path)),
            Contender("the store", base, partial(by_store, path)),
            Contender("Registrar.register", base, partial(by_registrar, path)),
            Contender("Registrar.register, also=Row", base, partial(by_registrar, path, also=PROFILES)),
        ]
        found = await take_turns(bench, contenders, new_file)
    return ratios("The engine on SQLite: sign-ups", contenders, found)


ENGINE_SQLITE = Benchmark("engine-sqlite", Effort(count=6400, rounds=5, seconds=60), run)
