"""Databases for scenes, each with Semel's tables and nothing in them."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from uuid import uuid4

from typing_extensions import override

from semel.stores.migrate import migrate


class Ground(ABC):
    """One kind of database."""

    @abstractmethod
    async def new(self) -> str:
        """Return the URL of new tables."""


class SqliteGround(Ground):
    """A file for each scene, copied."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template = directory / "template.db"

    @override
    async def new(self) -> str:
        if not self._template.exists():
            await migrate(f"sqlite:///{self._template}")
        path = self._directory / f"{uuid4().hex}.db"
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"


class PostgresGround(Ground):
    """A schema for each scene, in one database: it is made faster than a database, and goes with that."""

    def __init__(self, url: str) -> None:
        self._url = url

    @override
    async def new(self) -> str:
        url = f"{self._url}?schema=scene_{uuid4().hex}&pool_size=2"
        await migrate(url)
        return url
