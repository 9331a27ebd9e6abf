"""A look into a server's database from outside, as its administrator would."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg


@dataclass(frozen=True)
class Rows:
    """The tables of a database, by their bare names."""

    url: str

    @property
    def postgres(self) -> bool:
        return self.url.startswith("postgresql:")

    def table(self, name: str) -> str:
        """Return the table's name in SQL: in a schema of its own on PostgreSQL, under a prefix on SQLite."""
        return f"semel.{name}" if self.postgres else f"semel_{name}"

    async def count(self, name: str, where: str = "true") -> int:
        (row,) = await self.select(f"SELECT count(*) FROM {self.table(name)} WHERE {where}")  # noqa: S608 - the test's own words
        count: int = row[0]
        return count

    async def rename(self, name: str, new: str) -> None:
        await self.select(f"ALTER TABLE {self.table(name)} RENAME TO {new if self.postgres else self.table(new)}")

    async def select(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in a connection of its own and return its rows."""
        if not self.postgres:
            return self._select_from_file(statement)
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    def _select_from_file(self, statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(urlsplit(self.url).path.removeprefix("/"), timeout=30)
        try:
            rows = connection.execute(statement).fetchall()
            connection.commit()
            return rows
        finally:
            connection.close()
