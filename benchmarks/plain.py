"""The rows of a sign-up as plain inserts: what an application would write that checks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.people import IDS
from semel.model import Account
from semel.ports import Row, Write
from semel.stores.codec import Codecs
from semel.stores.schema import SCHEMA, quoted, table_name

__all__ = ["PROFILES", "PlainRow", "SqlStyle", "in_one", "one_statement", "rows"]

PROFILES = Row("profiles", {"id": "id", "email": "email", "name": "full_name"})
"""The application's own row."""


class SqlStyle(NamedTuple):
    """How a database wants it."""

    schema: str | None
    codecs: Codecs

    def place(self, number: int) -> str:
        """Return the name of a statement's parameter, counted from 1."""
        return f"${number}" if self.schema else "?"


POSTGRES = SqlStyle(SCHEMA, Codecs(moments_as_text=False))
SQLITE = SqlStyle(None, Codecs(moments_as_text=True))


class PlainRow(NamedTuple):
    """A row that is to be inserted."""

    table: str
    columns: tuple[str, ...]
    values: Sequence[Any]

    def insert(self, style: SqlStyle, first: int = 1) -> str:
        """Return the insert, its parameters numbered from ``first``."""
        places = ", ".join(style.place(number) for number in range(first, first + len(self.columns)))
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES ({places})"


def rows(style: SqlStyle, writes: Sequence[Write], *, also: bool = False) -> list[PlainRow]:
    """Return the rows of one commit's inserts, in its order; ``also`` adds the application's own."""
    made, token = [], IDS.token()
    for record in (write.record for write in writes):
        codec = style.codecs[type(record)]
        table = quoted(*filter(None, [style.schema, table_name(type(record), style.schema)]))
        made.append(PlainRow(table, codec.columns, codec.row(record, token)))
        if also and isinstance(record, Account):
            own = [getattr(record, field) for field in PROFILES.columns.values()]
            made.append(PlainRow(PROFILES.table, tuple(PROFILES.columns), own))
    return made


def one_statement(style: SqlStyle, made: Sequence[PlainRow]) -> str:
    """Return the statement that inserts all rows at once (PostgreSQL)."""
    texts, first = [], 1
    for row in made:
        texts.append(row.insert(style, first))
        first += len(row.columns)
    return in_one(texts)


def in_one(texts: Sequence[str]) -> str:
    """Return one statement of several that write."""
    *others, last = texts
    return f"WITH {', '.join(f'w{at} AS ({text})' for at, text in enumerate(others))} {last}"
