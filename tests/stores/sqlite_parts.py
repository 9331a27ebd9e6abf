"""What the tests of the SQLite store share."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from semel.model import Record
from semel.ports import Also, Store, Write
from semel.stores.sqlite import SqliteStore, open_sqlite
from semel.stores.sqlite_file import connect
from semel.testing.clock import SequentialIds

__all__ = ["altered", "files_in", "files_open", "missing", "opened", "together"]

IDS = SequentialIds("together")


@asynccontextmanager
async def opened(path: Path, also: Also | None = None, busy_seconds: float = 5.0) -> AsyncIterator[SqliteStore]:
    """Open a store on the file."""
    store = await open_sqlite(f"sqlite:///{path}", also, busy_seconds=busy_seconds)
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def altered(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection of somebody else's."""
    with closing(connect(path)) as connection:
        yield connection


async def together(store: Store, *commits: Sequence[Write]) -> list[BaseException | None]:
    """Commit all of them in one pass of the loop, so in one group; return what each came to."""
    return await asyncio.gather(*(store.commit(writes, IDS.token()) for writes in commits), return_exceptions=True)


async def missing(store: Store, *commits: Sequence[Write]) -> list[Record]:
    """Return the records of these commits that are not there."""
    records = [write.record for writes in commits for write in writes]
    return [record for record in records if await store.get(type(record), record.key) is None]


def files_in(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


def files_open(directory: Path) -> list[Path]:
    """Return the files in the directory that this process has open."""
    descriptors = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    return [each for each in descriptors if each.is_relative_to(directory)]
