"""Stores of each kind, each with Semel's tables and nothing in them."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from typing_extensions import override

from semel.stores.migrate import migrate
from tests.emulators import Emulator
from tests.servers import Servers
from tests.services import PostgresServer

__all__ = ["KINDS", "SQL", "Ground", "ground"]

SQL = ["sqlite", "postgres"]
KINDS = [*SQL, "dynamodb", "azure_tables"]
"""Every kind of store; but for the first, which needs none, each is the name of the fixture that runs its server."""


class Ground(ABC):
    """One kind of store."""

    @abstractmethod
    def empty(self) -> str:
        """Return the URL of the one store here that is as people have it; its tables are still to be made."""

    @abstractmethod
    async def new(self) -> str:
        """Return the URL of new tables, made as fast as can be."""


class SqliteGround(Ground):
    """A file for each scene, copied."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template = directory / "template.db"

    @override
    def empty(self) -> str:
        return f"sqlite:///{self._directory / 'semel.db'}"

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
    def empty(self) -> str:
        return self._url

    @override
    async def new(self) -> str:
        url = f"{self._url}?schema=scene_{uuid4().hex}&pool_size=2"
        await migrate(url)
        return url


class EmulatorGround(Ground):
    """A table for each scene, at a server that others use as well."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @override
    def empty(self) -> str:
        return self._emulator.new_url()

    @override
    async def new(self) -> str:
        url = self.empty()
        await migrate(url)
        return url


@contextmanager
def ground(kind: str, request: pytest.FixtureRequest, servers: Servers, directory: Path) -> Iterator[Ground]:
    """Yield the ground of a kind.

    Meanwhile this process and all that it starts know where the server is, and none may print how it is let in.
    """
    if kind == "sqlite":
        yield SqliteGround(directory)
        return
    server: PostgresServer | Emulator = request.getfixturevalue(kind)
    if isinstance(server, Emulator):
        with reachable(server, servers):
            yield EmulatorGround(server)
        return
    with server.database() as url:
        yield PostgresGround(url)
    if server.log is not None:
        servers.look_through(server.log)


@contextmanager
def reachable(emulator: Emulator, servers: Servers) -> Iterator[None]:
    """Put into the environment of this process, and of all that it starts, how the emulator is reached."""
    servers.hide(emulator.secret)
    with pytest.MonkeyPatch.context() as patch:
        for name, text in emulator.variables.items():
            patch.setenv(name, text)
        yield
