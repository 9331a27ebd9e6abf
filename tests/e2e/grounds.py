"""Databases for scenes, each with Semel's tables and nobody else in it."""

from __future__ import annotations

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

from typing_extensions import override

from semel.model import KeyRecord
from semel.ports import Delete
from semel.stores.migrate import migrate
from semel.system import SystemIds
from semel.testing.invariants import records_of
from tests.e2e.killing import open_store
from tests.services import PostgresServer, run_apart


class Ground(ABC):
    """One kind of database."""

    @abstractmethod
    def database(self) -> AbstractAsyncContextManager[str]:
        """Yield the URL of a database that has nothing in it but, perhaps, keys."""


class SqliteGround(Ground):
    """A new file for each scene."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template = directory / "template.db"
        run_apart(migrate(f"sqlite:///{self._template}"))

    @override
    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        path = self._directory / f"{uuid4().hex}.db"
        shutil.copy(self._template, path)
        yield f"sqlite:///{path}"


class PostgresGround(Ground):
    """Databases that are emptied and used again, since making one takes longer than most scenes."""

    def __init__(self, server: PostgresServer, closing: ExitStack) -> None:
        self._server = server
        self._closing = closing
        self._template = closing.enter_context(server.database())
        self._free: list[str] = []
        run_apart(migrate(self._template))

    @override
    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        url = self._free.pop() if self._free else await self._made()
        yield url
        await _empty(url)
        self._free.append(url)

    async def _made(self) -> str:
        making = self._server.database(like=self._template)
        url = await asyncio.to_thread(making.__enter__)
        self._closing.push(making)
        return f"{url}?pool_size=2"


async def _empty(url: str) -> None:
    async with open_store(url) as store:
        records = [record for record in await records_of(store) if not isinstance(record, KeyRecord)]
        if records:
            await store.commit([Delete(record) for record in records], SystemIds().token())


@contextmanager
def sqlite_ground(directory: Path) -> Iterator[Ground]:
    yield SqliteGround(directory)


@contextmanager
def postgres_ground(server: PostgresServer) -> Iterator[Ground]:
    with ExitStack() as closing:
        yield PostgresGround(server, closing)
