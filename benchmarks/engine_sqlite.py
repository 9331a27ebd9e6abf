"""The SQLite store beside a bare group-commit writer: the same rows of the same sign-ups, on the same disk.

    python -m benchmarks.engine_sqlite [--count 6400] [--rounds 5] [--json]

*bare* is a loop in one thread without asyncio that inserts ready-made rows, 64 sign-ups a transaction. *handed over*
has 64 tasks that hand ready-made rows to such a thread one by one. *store* has 64 that call ``SqliteStore.commit``,
and *also* the same with an application's own row. They take turns; what counts is the ratio within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from semel.model import Account, Identifier, Identity, Name, OutboxEvent, Record, Registration
from semel.ports import Insert, Row
from semel.states import Door, IdentityState, RegistrationState
from semel.stores.codec import Codecs
from semel.stores.migrate import migrate
from semel.stores.schema import table_name
from semel.stores.sqlite import open_sqlite
from semel.stores.sqlite_file import connect
from semel.system import SystemClock, SystemIds

TASKS = 64
IDS = SystemIds()
DISK = Path(__file__).parent
"""A temporary directory may be in memory."""
CLOCK = SystemClock()
CODECS = Codecs(moments_as_text=True)
PROFILES = Row("profiles", {"id": "id", "email": "email", "name": "full_name"})

T = TypeVar("T")
Rows = list[tuple[str, list[object]]]


def sign_up() -> list[Record]:
    """Return what the one commit of a sign-up with the embedded provider writes."""
    identity, key, now = IDS.uuid(), IDS.secret(), CLOCK.now()
    email, username = f"{identity}@example.org", f"user-{identity}"
    names = (Name("email", email), Name("username", username))
    account = Account(
        id=identity,
        email=email,
        email_canonical=email,
        username=username,
        username_canonical=username,
        full_name="Ada Lovelace",
        role="Creator",
        roles=("Creator",),
        created_at=now,
        updated_at=now,
        identifiers=names,
        registration=key,
    )
    registration = Registration(
        id=key,
        state=RegistrationState.COMPLETED,
        door=Door.SIGNUP,
        keyed=True,
        account_id=identity,
        fingerprint=IDS.secret(),
        created_at=now,
        completed_at=now,
        due_at=now,
    )
    return [
        account,
        OutboxEvent(id=f"{identity}/account.created", kind="account.created", account_id=identity, created_at=now),
        *(
            Identifier(
                kind=name.kind,
                value=name.value,
                account_id=identity,
                attempt_id=identity,
                registration=key,
                canonical_version=1,
            )
            for name in names
        ),
        Identity(id=identity, state=IdentityState.OWNED, credential=IDS.secret()),
        registration,
    ]


def rows(records: list[Record]) -> Rows:
    """Return plain inserts of the records."""
    made = []
    for record in records:
        codec = CODECS[type(record)]
        columns, places = ", ".join(codec.columns), ", ".join("?" * len(codec.columns))
        insert = f"INSERT INTO {table_name(type(record), None)} ({columns}) VALUES ({places})"  # noqa: S608
        made.append((insert, codec.row(record, IDS.token())))
    return made


def write_group(connection: sqlite3.Connection, group: list[Rows]) -> None:
    """Insert the rows of several sign-ups in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for inserts in group:
        for insert, values in inserts:
            connection.execute(insert, values)
    connection.execute("COMMIT")


async def bare(path: Path, count: int) -> float:
    """Return the seconds that ``count`` sign-ups take in a plain loop."""
    ready = [rows(sign_up()) for _ in range(count)]
    with closing(connect(path)) as connection:
        gc.collect()
        gc.freeze()
        begin = time.perf_counter()
        for at in range(0, count, TASKS):
            write_group(connection, ready[at : at + TASKS])
        return time.perf_counter() - begin


async def handed_over(path: Path, count: int) -> float:
    """Return the seconds that they take where tasks hand them to a thread, one by one."""
    loop, queue = asyncio.get_running_loop(), SimpleQueue[tuple[Rows, asyncio.Future[None]] | None]()

    def serve() -> None:
        with closing(connect(path)) as connection:
            while (first := queue.get()) is not None:
                group = [first, *(queue.get() for _ in range(queue.qsize()))]
                work = [each for each in group if each is not None]
                write_group(connection, [inserts for inserts, _ in work])
                for _, future in work:
                    loop.call_soon_threadsafe(future.set_result, None)

    async def submit(inserts: Rows) -> None:
        future = loop.create_future()
        queue.put((inserts, future))
        await future

    ready = [rows(sign_up()) for _ in range(count)]
    with ThreadPoolExecutor(1) as thread:
        served = thread.submit(serve)
        seconds = await timed(submit, ready)
        queue.put(None)
        served.result()
    return seconds


async def store(path: Path, count: int, also: Row | None = None) -> float:
    """Return the seconds that they take through the store."""
    ready = [(IDS.token(), [Insert(record) for record in sign_up()]) for _ in range(count)]
    opened = await open_sqlite(f"sqlite:///{path}", also)
    try:
        return await timed(lambda commit: opened.commit(commit[1], commit[0]), ready)
    finally:
        await opened.close()


async def timed(do: Callable[[T], Awaitable[None]], ready: list[T]) -> float:
    """Return the seconds in which the tasks do all that is ready."""
    left = iter(ready)
    gc.collect()
    gc.freeze()  # what lies ready would be walked through again and again, as in no server

    async def task() -> None:
        for each in left:
            await do(each)

    begin = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    return time.perf_counter() - begin


CONTENDERS: dict[str, Callable[[Path, int], Awaitable[float]]] = {
    "bare": bare,
    "handed over": handed_over,
    "store": store,
    "store, also": partial(store, also=PROFILES),
}


async def measure(count: int, rounds: int) -> dict[str, list[float]]:
    """Return the sign-ups a second of each contender, a figure for each round; every turn has a new file."""
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, run in CONTENDERS.items():
            with tempfile.TemporaryDirectory(dir=DISK) as directory:
                path = Path(directory, "semel.db")
                await migrate(f"sqlite:///{path}")
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("CREATE TABLE profiles (id TEXT PRIMARY KEY, email TEXT, name TEXT)")
                found[name].append(count / await run(path, count))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The SQLite store beside a bare group-commit writer.")
    parser.add_argument("--count", type=int, default=6400, help="sign-ups a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.count, options.rounds))
    ratios = {
        name: statistics.median(one / other for one, other in zip(each, found["bare"], strict=True))
        for name, each in found.items()
    }
    if options.json:
        sys.stdout.write(json.dumps({"sign_ups_a_second": found, "ratio_to_bare": ratios}) + "\n")
        return
    for name, ratio in ratios.items():
        sys.stdout.write(f"{name:<12} {statistics.median(found[name]):>8.0f} sign-ups a second {ratio:>6.2f}\n")


if __name__ == "__main__":
    main()
