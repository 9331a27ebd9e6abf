"""The statements of the SQLite store: a few for each record type, made once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from semel.model import Account, Record
from semel.ports import Insert, Replace, Write
from semel.stores.codec import Codec
from semel.stores.schema import references, table_name

__all__ = ["Statements", "broken_reference", "searching"]

R = TypeVar("R", bound=Record)


_SEARCHED: Final = ("email_canonical", "username_canonical", "lower(full_name)")
"""SQLite's lower case is that of ASCII alone."""


class Statements(Generic[R]):
    """The statements on one record type's table."""

    def __init__(self, codec: Codec[R]) -> None:
        table, keys = table_name(codec.kind, None), codec.kind.KEY
        columns, rest = codec.columns, codec.columns[len(keys) :]
        select = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608
        named = " AND ".join(f"{column} = ?" for column in keys)
        order = f"ORDER BY {', '.join(keys)} LIMIT ?"
        self.codec: Final = codec
        self.insert: Final = (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({_places(columns)}) ON CONFLICT DO NOTHING"  # noqa: S608
        )
        self.replace: Final = (
            f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in rest)} WHERE {named} AND version = ?"  # noqa: S608
        )
        self.delete: Final = f"DELETE FROM {table} WHERE {named} AND version = ?"  # noqa: S608
        self.get: Final = f"{select} WHERE {named}"
        self.due: Final = f"{select} WHERE due_at <= ? ORDER BY due_at LIMIT ?"
        self.first_page: Final = f"{select} {order}"
        self.select: Final = select
        self.next_page: Final = f"{select} WHERE ({', '.join(keys)}) > ({_places(keys)}) {order}"

    def write(self, write: Write, row: Sequence[object]) -> tuple[str, Sequence[object]]:
        """Return what does the write, with its parameters; it changes no row if the write is refused.

        ``row`` is the record as it will stand.
        """
        end = len(write.record.KEY)
        if isinstance(write, Insert):
            return self.insert, row
        if isinstance(write, Replace):
            return self.replace, (*row[end:], *row[:end], write.record.version)
        return self.delete, (*row[:end], write.record.version)


def searching(accounts: Statements[Account]) -> str:
    """Return the query for accounts: the words three times, in lower case, the id to begin after, the limit."""
    contains = " OR ".join(f"instr({said}, ?) > 0" for said in _SEARCHED)
    return f"{accounts.select} WHERE ({contains}) AND id > ? ORDER BY id LIMIT ?"


def broken_reference(connection: sqlite3.Connection, writes: Sequence[Write]) -> str | None:
    """Return the name of a foreign key that the writes, done but not committed, break; ``None`` if none of ours."""
    for name, kind, column, target in references():
        child, parent, (key,) = table_name(kind, None), table_name(target, None), target.KEY
        dangling = (
            f"SELECT 1 FROM {child} WHERE {column} = ? "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {parent} WHERE {parent}.{key} = {child}.{column})"
        )
        records = [write.record for write in writes]
        named = [getattr(record, column) for record in records if isinstance(record, kind)]
        named += [record.key[0] for record in records if isinstance(record, target)]
        if any(connection.execute(dangling, (value,)).fetchone() for value in named):
            return name
    return None


def _places(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))
