"""What the revisions are written with: one spelling for both databases.

Released revisions use these, so what they do never changes; a new need gets a new function.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import SchemaItem

from semel.stores.schema import quoted

__all__ = [
    "add_column",
    "boolean",
    "comment_column",
    "create_refuse",
    "create_table",
    "due_index",
    "index",
    "integer",
    "json",
    "moment",
    "primary_key",
    "reference",
    "text",
    "unique",
]


def _schema() -> str | None:
    return op.get_context().version_table_schema


def _named(table: str) -> str:
    """Return the table's name, with a prefix where there are no schemas (SQLite)."""
    return table if _schema() else f"semel_{table}"


def text(name: str, comment: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    """Text that is compared byte by byte."""
    kind = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=nullable, comment=comment, server_default=default)


def integer(name: str, comment: str, *, default: str | None = None) -> sa.Column[Any]:
    """A signed 64-bit number."""
    kind = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
    return sa.Column(name, kind, nullable=False, comment=comment, server_default=default)


def boolean(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A truth value; on SQLite 0 or 1."""
    kind = sa.Boolean().with_variant(sqlite.INTEGER(), "sqlite")
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def moment(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A moment; on SQLite ISO 8601 text."""
    kind = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def json(name: str, comment: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    """JSON that comes back to the letter."""
    kind = sa.Text().with_variant(postgresql.JSON(), "postgresql")
    return sa.Column(name, kind, nullable=nullable, comment=comment, server_default=default)


def primary_key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    """The table's key."""
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_semel_{table}")


def unique(table: str, column: str) -> sa.UniqueConstraint:
    """A value that one row has at most."""
    return sa.UniqueConstraint(column, name=f"uq_semel_{table}_{column}")


def reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    """A column that names a row of another table by its ``id``, from the end of the transaction on."""
    parts = (_schema(), _named(target), "id")
    return sa.ForeignKeyConstraint(
        [column],
        [".".join(filter(None, parts))],
        name=f"fk_semel_{table}_{column}",
        deferrable=True,
        initially="DEFERRED",
    )


def create_table(table: str, comment: str, *items: SchemaItem) -> None:
    """Create a table in our schema, or with our prefix."""
    op.create_table(
        _named(table),
        *items,
        schema=_schema(),
        comment=comment,
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table of ours: one that may be null, or that the database fills in."""
    op.add_column(_named(table), column, schema=_schema())


def comment_column(table: str, column: str, comment: str) -> None:
    """Say something else of a column, where columns are commented (not on SQLite)."""
    if _schema():
        op.alter_column(_named(table), column, comment=comment, schema=_schema())


def index(table: str, column: str) -> None:
    """Create an index on one column."""
    op.create_index(f"ix_semel_{table}_{column}", _named(table), [column], schema=_schema())


def due_index(table: str) -> None:
    """Create the index by which upkeep finds what is due; rows that never are cost nothing in it."""
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index(
        f"ix_semel_{table}_due_at",
        _named(table),
        ["due_at"],
        schema=_schema(),
        postgresql_where=is_due,
        sqlite_where=is_due,
    )


def create_refuse() -> None:
    """Create, on PostgreSQL, the function that undoes a commit: its detail names the writes that were not done.

    By place and never by value: what it says stands in the server's log.
    """
    schema = _schema()
    if schema is None:
        return
    refuse = quoted(schema, "refuse")
    op.execute(f"""
        CREATE FUNCTION {refuse}(done integer[], writes integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING ERRCODE = 'SEMEL', MESSAGE = 'commit refused', DETAIL = (
                SELECT string_agg(place::text, ',') FROM generate_series(0, writes - 1) AS place
                WHERE place <> ALL (coalesce(done, '{{}}'))
            );
        END $$
    """)  # noqa: S608 - quoted
    op.execute(f"COMMENT ON FUNCTION {refuse} IS 'Undoes a commit and names the writes that were not done.'")
