"""Connections to PostgreSQL: a bounded number of them, lent for one piece of work each.

asyncpg's own pool is not used, for two reasons. What it does at each loan (a proxy, a task, timers, a reset) costs four
tenths of the client's time in a commit. And it forgets prepared statements when a connection comes back, which behind a
pooler in transaction mode makes every statement two round trips: there a statement has no name and is parsed anew each
time, but in the same round trip as it runs if only its parameter types are remembered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from semel.errors import SemelError, StoreUnavailable
from semel.stores.postgres_connect import Connection
from semel.stores.postgres_errors import DRIVER_ERRORS, connect_error

__all__ = ["Pool", "Session"]

T = TypeVar("T")

_STATEMENTS_KEPT: Final = 128
_FRESH_SECONDS: Final = 60.0
"""How long an idle connection is trusted: longer, and something on the way may have forgotten it without a word."""
_CLOSE_SECONDS: Final = 5.0


class Session:
    """An open connection and the statements prepared on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection
        self.idle_since = 0.0
        self._prepared: Final[dict[str, PreparedStatement[Any]]] = {}

    async def fetch(self, text: str, parameters: Sequence[object], seconds: float) -> list[asyncpg.Record]:
        """Run a statement, in one round trip unless it is new here."""
        statement = self._prepared.get(text)
        if statement is None:
            if len(self._prepared) == _STATEMENTS_KEPT:
                del self._prepared[next(iter(self._prepared))]
            statement = self._prepared[text] = await self.connection.prepare(text, timeout=seconds)
        return await statement.fetch(*parameters, timeout=seconds)


class Pool:
    """At most ``size`` connections, opened when they are needed; the one used last is lent first."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, wait_seconds: float) -> None:
        self._connect: Final = connect
        self._wait_seconds: Final = wait_seconds
        self._places: Final = asyncio.Semaphore(size)
        self._idle: Final[list[Session]] = []
        self._closed = False

    async def run(self, work: Callable[[Session], Awaitable[T]], *, fresh: bool = False) -> T:
        """Lend a connection to the work; with ``fresh`` one that is opened for it.

        Raises ``StoreUnavailable`` where none comes free in time or none can be opened; else whatever the work raises.
        """
        await self._take_place()
        try:
            session = (None if fresh else self._idle_session()) or await self._open()
            try:
                return await work(session)
            except (asyncpg.PostgresError, SemelError):
                raise
            except BaseException:
                # Cancelled, timed out, broken: what is still under way on it is nobody's any more.
                session.connection.terminate()
                raise
            finally:
                self._take_back(session)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close the idle connections now, and those lent as they come back."""
        self._closed = True
        while self._idle:
            session = self._idle.pop()
            try:
                await session.connection.close(timeout=_CLOSE_SECONDS)
            except DRIVER_ERRORS:
                session.connection.terminate()

    async def _take_place(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store has been closed.")
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise StoreUnavailable("Every connection to the database is in use.", retry_after=1.0) from None

    def _idle_session(self) -> Session | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            session = self._idle.pop()
            if now - session.idle_since < _FRESH_SECONDS and not session.connection.is_closed():
                return session
            session.connection.terminate()
        return None

    async def _open(self) -> Session:
        try:
            return Session(await self._connect())
        except DRIVER_ERRORS as error:
            raise connect_error(error) from None

    def _take_back(self, session: Session) -> None:
        if self._closed or session.connection.is_closed():
            session.connection.terminate()
            return
        session.idle_since = asyncio.get_running_loop().time()
        self._idle.append(session)
