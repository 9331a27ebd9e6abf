"""The store in a SQLite file: one writer with group commit, and reads beside it, each in a thread of its own.

Any number of processes may share the file, on one machine. What was acknowledged survives a power cut, and a read sees
all of it and nothing else: it begins after it was asked for, on the file's newest committed state.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec

from semel.model import RECORD_TYPES, Account, Key, Record
from semel.ports import Also, Insert, Page, Ref, Write, in_order
from semel.stores.codec import Codecs, ascii_lower, key_in, moment_text
from semel.stores.schema import require_revision, version_table
from semel.stores.sqlite_also import application
from semel.stores.sqlite_file import (
    BUSY_SECONDS,
    Place,
    connect,
    database_path,
    opening,
    stored_revision,
    translated,
    use_wal,
)
from semel.stores.sqlite_sql import Statements, searching
from semel.stores.sqlite_worker import Piece, Worker
from semel.stores.sqlite_writer import Commit, GroupWriter

__all__ = ["SqliteStore", "open_sqlite"]

R = TypeVar("R", bound=Record)
T = TypeVar("T")

_Read = Callable[[sqlite3.Connection], object]

_CODECS: Final = Codecs(moments_as_text=True)
_STATEMENTS: Final = {kind: Statements(_CODECS[kind]) for kind in RECORD_TYPES}
_SEARCH: Final = searching(Statements(_CODECS[Account]))
_LOOK_AT_US: Final = f"EXISTS (SELECT 1 FROM {version_table(None)})"  # noqa: S608 - a constant
_NOW: Final = f"SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now') || '+00:00', {_LOOK_AT_US}"
"""SQLite's clock has milliseconds. The table makes it a look at the file as well."""


async def open_sqlite(url: str, also: Also | None = None, *, busy_seconds: float = BUSY_SECONDS) -> SqliteStore:
    """Open the store of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, for the event loop that is running.

    ``also`` is a ``Row``, or a plain function called in the writer's thread with the ``sqlite3.Connection``; it neither
    commits nor rolls back, and what it returns is no awaitable. ``busy_seconds`` is how long to wait for another
    process that has the file locked. Raises ``ConfigurationInvalid``, naming ``semel migrate`` where the tables are
    missing or of another release, also where the file may not be opened, and a ``StoreError`` where it cannot be.
    """
    path = database_path(url)
    place, writer, reader = await asyncio.to_thread(_connect, path, busy_seconds)
    try:
        return SqliteStore(place, writer, reader, also)
    except BaseException:
        writer.close()
        reader.close()
        raise


class SqliteStore:
    """``ports.Store`` over two connections to one file; ``open_sqlite`` makes it."""

    def __init__(self, place: Place, writer: sqlite3.Connection, reader: sqlite3.Connection, also: Also | None) -> None:
        columns = _CODECS[Account].columns
        self._group: Final = GroupWriter(place, writer, application(also, writer, columns) if also else None)
        self._writer: Final[Worker[Commit]] = Worker("semel-sqlite-writer", self._group.work, writer.close)
        self._reader: Final[Worker[_Read]] = Worker(
            "semel-sqlite-reader", lambda reads: _read(place, reader, reads), reader.close
        )

    @property
    def groups(self) -> int:
        """How often the disk was waited for: many commits share one ``COMMIT``."""
        return self._group.groups

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        (record,) = await self.get_many([Ref(kind, key)])
        return cast("R | None", record)

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``."""
        return await self._ask(lambda connection: [_look(connection, ref) for ref in refs])

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``."""
        try:
            commit = _commit(writes, token)
        except UnicodeError as error:
            raise translated(error) from error
        await self._writer.do(commit)

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``."""
        return await self._records(kind, _STATEMENTS[kind].due, moment_text(before), limit)

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``. Raises ``InvalidInput`` for a cursor that no page has given."""
        statements = _STATEMENTS[kind]
        if cursor is None:
            found = await self._records(kind, statements.first_page, limit + 1)
        else:
            found = await self._records(kind, statements.next_page, *key_in(kind, cursor), limit + 1)
        return Page(tuple(found[:limit]), msgspec.json.encode(found[limit - 1].key).decode() if found[limit:] else None)

    async def search(self, words: str, cursor: str | None, limit: int) -> Page:
        """See ``Search.search``. It reads the whole table."""
        said = ascii_lower(words)
        (after,) = key_in(Account, cursor) if cursor is not None else ("",)
        found = await self._records(Account, _SEARCH, said, said, said, after, limit + 1)
        return Page(tuple(found[:limit]), msgspec.json.encode(found[limit - 1].key).decode() if found[limit:] else None)

    async def ping(self) -> datetime:
        """See ``Store.ping``: the clock of this machine, as SQLite reads it."""
        now, _ = await self._ask(lambda connection: connection.execute(_NOW).fetchone())
        return datetime.fromisoformat(now)

    async def close(self) -> None:
        """See ``Store.close``. What was asked for before is finished."""
        await self._reader.close()
        await self._writer.close()

    async def _records(self, kind: type[R], sql: str, *values: object) -> list[R]:
        return await self._ask(
            lambda connection: [_CODECS[kind].record(row) for row in connection.execute(sql, values)]
        )

    async def _ask(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return cast("T", await self._reader.do(read))


def _connect(path: Path, busy_seconds: float) -> tuple[Place, sqlite3.Connection, sqlite3.Connection]:
    with opening(), ExitStack() as opened:
        if not path.exists():
            require_revision(None)
        writer = opened.enter_context(closing(connect(path, busy_seconds=busy_seconds)))
        reader = opened.enter_context(closing(connect(path, busy_seconds=busy_seconds)))
        require_revision(stored_revision(reader))
        use_wal(writer)
        reader.execute("PRAGMA query_only = ON")
        place = Place(path)
        opened.pop_all()
        return place, writer, reader


def _commit(writes: Sequence[Write], token: int) -> Commit:
    statements, inserted = [], []
    for position in in_order(writes):
        write = writes[position]
        kind = type(write.record)
        row = _CODECS[kind].row(write.record, token)
        statements.append((position, *_STATEMENTS[kind].write(write, row)))
        if isinstance(write, Insert) and isinstance(write.record, Account):
            inserted.append((write.record.but(version=token), row))
    return Commit(writes, statements, inserted)


def _read(place: Place, connection: sqlite3.Connection, reads: Sequence[Piece[_Read]]) -> None:
    place.check()
    for piece in reads:
        try:
            piece.result = piece.job(connection)
        except Exception as error:  # noqa: BLE001 - the piece carries it to its caller
            piece.error = translated(error)


def _look(connection: sqlite3.Connection, ref: Ref) -> Record | None:
    row = connection.execute(_STATEMENTS[ref.type].get, ref.key).fetchone()
    return None if row is None else _CODECS[ref.type].record(row)
