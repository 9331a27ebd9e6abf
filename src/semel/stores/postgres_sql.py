"""The statements of the PostgreSQL store: few, of fixed shapes, made once for each sequence of writes or references.

A commit is one statement. Each write is a common table expression that yields its place in the order if it took
effect; the top-level query reads all of them once, in order, and has the database raise an error where one is missing.
That error undoes the whole statement and names the places, never a value. Three things in it are no matter of taste:

- ``ON CONFLICT DO NOTHING`` names no target, so that a conflict on a secondary unique constraint is a refusal as well.
- ``UNION ALL`` reads its arms one after the other, and an expression runs when it is first read: this, and nothing
  else, makes the order of the writes the same for all. Without it commits deadlock.
- The top-level query is a ``SELECT``: a writing one would run before the expressions that nothing has read yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from semel.errors import ConfigurationInvalid
from semel.model import RECORD_TYPES, Account, Record
from semel.ports import Delete, Insert, Row, Write
from semel.stores.codec import Codec, Codecs
from semel.stores.schema import Shape, fields, quoted, table_name

__all__ = ["REFUSED", "ApplicationRow", "Statements", "inserted_accounts"]

REFUSED: Final = "SEMEL"
"""The SQLSTATE of the error by which the function ``refuse`` names, in its detail, the places of refused writes."""
_SHAPES_KEPT: Final = 1024

_SEARCHED: Final = ("email_canonical", "username_canonical", "lower(full_name)")
"""In the collation of these columns (C) the lower case is that of ASCII alone."""

_Verbs = tuple[tuple[type[Write], type[Record]], ...]
"""What each write of a commit does, and to which type: all that the statement's text depends on."""


def inserted_accounts(writes: Sequence[Write], token: int) -> list[Account]:
    """Return the accounts that a commit inserts, as they will stand."""
    inserts = (write.record for write in writes if isinstance(write, Insert))
    return [record.but(version=token) for record in inserts if isinstance(record, Account)]


class ApplicationRow:
    """The application's own row as SQL: an insert, and the values that an account gives it."""

    def __init__(self, row: Row) -> None:
        """Raise ``ConfigurationInvalid`` where a column asks for a field that accounts do not have."""
        self._codec = Codecs(moments_as_text=False)[Account]
        if unknown := sorted(set(row.columns.values()) - set(self._codec.columns)):
            raise ConfigurationInvalid(f"also=Row(…) asks for {unknown[0]!r}, which is no field of an account.")
        self._table = quoted(*row.table.split("."))
        self._columns = [quoted(column) for column in row.columns]
        self._places = [self._codec.columns.index(field) for field in row.columns.values()]

    def insert(self, first: int) -> tuple[str, int]:
        """Return the insert with its parameters numbered from ``first``, and the number of the next."""
        return _insert(self._table, self._columns, first), first + len(self._columns)

    def values(self, account: Account) -> list[object]:
        """Return the parameters: the account's values as our own table has them, structured ones as JSON."""
        row = self._codec.row(account, account.version)
        return [row[place] for place in self._places]

    async def write(self, connection: Any, account: Account) -> None:  # noqa: ANN401 - as ports.ApplicationCallback
        """Insert the row by a statement of its own."""
        await connection.execute(self.insert(1)[0], *self.values(account))


class Statements:
    """The statements for our tables in one schema; with ``row``, each account that is inserted brings it along."""

    def __init__(self, schema: str, row: ApplicationRow | None = None) -> None:
        codecs = Codecs(moments_as_text=False)
        self._row: Final = row
        self._refuse: Final = quoted(schema, "refuse")
        self._tables: Final = {kind: _Table(schema, kind, codecs[kind]) for kind in RECORD_TYPES}
        self._commit_text: Final = lru_cache(_SHAPES_KEPT)(self._make_commit)
        self.look: Final = lru_cache(_SHAPES_KEPT)(self._make_look)
        """The query for one record of each of some types: rows of place and values for those that are there."""

    def commit(self, writes: Sequence[Write], token: int) -> tuple[str, list[object]]:
        """Return text and parameters of the statement that does these writes, which are in order."""
        verbs: list[tuple[type[Write], type[Record]]] = []
        parameters: list[object] = []
        for write in writes:
            kind = type(write.record)
            verbs.append((type(write), kind))
            parameters += self._tables[kind].parameters(write, token)
        if self._row is not None:
            for account in inserted_accounts(writes, token):
                parameters += self._row.values(account)
        return self._commit_text(tuple(verbs)), parameters

    def due(self, kind: type[Record]) -> str:
        """Return the query for what is due at a moment, oldest first, up to a limit."""
        return f"{self._tables[kind].select} WHERE due_at <= $1 ORDER BY due_at LIMIT $2"

    def page(self, kind: type[Record], *, further: bool) -> str:
        """Return the query for rows by key up to a limit: the first ones, or those further than a key."""
        keys, end = ", ".join(kind.KEY), len(kind.KEY)
        if not further:
            return f"{self._tables[kind].select} ORDER BY {keys} LIMIT $1"
        return f"{self._tables[kind].select} WHERE ({keys}) > ({_numbers(1, end)}) ORDER BY {keys} LIMIT ${end + 1}"

    def search(self, *, further: bool) -> str:
        """Return the query for accounts that contain words, up to a limit: the first ones, or those further than an id.

        The words are the first parameter, in lower case, the limit the second, the id the third.
        """
        after = "AND id > $3 " if further else ""
        contains = " OR ".join(f"strpos({said}, $1) > 0" for said in _SEARCHED)
        return f"{self._tables[Account].select} WHERE ({contains}) {after}ORDER BY id LIMIT $2"

    def _make_commit(self, verbs: _Verbs) -> str:
        texts, first = [], 1
        for verb, kind in verbs:
            text, first = self._tables[kind].write(verb, first)
            texts.append(text)
        if self._row is not None:
            for _ in range(verbs.count((Insert, Account))):
                text, first = self._row.insert(first)
                texts.append(text)
        parts = ", ".join(f"w{place} AS ({text} RETURNING {place} AS place)" for place, text in enumerate(texts))
        reads = " UNION ALL ".join(f"SELECT place FROM w{place}" for place in range(len(texts)))  # noqa: S608
        check = f"CASE WHEN count(*) < {len(texts)} THEN {self._refuse}(array_agg(place), {len(texts)}) END"
        return f"WITH {parts} SELECT {check} FROM ({reads}) AS done"  # noqa: S608

    def _make_look(self, kinds: tuple[type[Record], ...]) -> str:
        arms, first = [], 1
        for place, kind in enumerate(kinds):
            table = self._tables[kind]
            arms.append(f"SELECT {place}, {table.values} FROM {table.name} WHERE {table.is_key(first)}")  # noqa: S608
            first += len(kind.KEY)
        return " UNION ALL ".join(arms)


class _Table:
    """One record type's part of the statements.

    A row is read as one JSON array of its columns, which alone lets a query return any mixture of types, and be planned
    in no time however many it is.
    """

    def __init__(self, schema: str, kind: type[Record], codec: Codec[Record]) -> None:
        self._codec = codec
        self._key = kind.KEY
        columns = (f"{name}::text" if shape in _JSON else name for name, shape, _ in fields(kind))
        self.name = quoted(schema, table_name(kind, schema))
        self.values = f"json_build_array({', '.join(columns)})::text"
        self.select = f"SELECT {self.values} FROM {self.name}"  # noqa: S608 - names of ours, and quoted

    def write(self, verb: type[Write], first: int) -> tuple[str, int]:
        """Return the text of one write, its parameters numbered from ``first``, and the number of the next."""
        columns = self._codec.columns
        if verb is Delete:
            end = first + len(self._key)
            return f"DELETE FROM {self.name} WHERE {self.is_key(first)} AND version = ${end}", end + 1  # noqa: S608
        end = first + len(columns)
        if verb is Insert:
            return f"{_insert(self.name, columns, first)} ON CONFLICT DO NOTHING", end
        changes = [f"{column} = ${at}" for at, column in enumerate(columns, first) if column not in self._key]
        keys = [f"{column} = ${at}" for at, column in enumerate(columns, first) if column in self._key]
        where = f"{' AND '.join(keys)} AND version = ${end}"
        return f"UPDATE {self.name} SET {', '.join(changes)} WHERE {where}", end + 1  # noqa: S608

    def parameters(self, write: Write, token: int) -> list[object]:
        """Return the parameters of one write."""
        if isinstance(write, Delete):
            return [*write.record.key, write.record.version]
        row = self._codec.row(write.record, token)
        return row if isinstance(write, Insert) else [*row, write.record.version]

    def is_key(self, first: int) -> str:
        """Return the condition that a row has the key whose values are the parameters from ``first`` on."""
        return " AND ".join(f"{column} = ${at}" for at, column in enumerate(self._key, first))


_JSON: Final = frozenset({Shape.JSON, Shape.STRUCTURE})


def _insert(table: str, columns: Sequence[str], first: int) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({_numbers(first, len(columns))})"  # noqa: S608


def _numbers(first: int, count: int) -> str:
    return ", ".join(f"${number}" for number in range(first, first + count))
