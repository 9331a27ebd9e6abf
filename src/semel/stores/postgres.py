"""The store on PostgreSQL: a commit is one statement and one round trip.

It keeps no state in a session and takes no lock but those of the rows it writes. ``statement_timeout`` and
``lock_timeout`` bound how late a commit can land whose answer was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar, cast

import asyncpg
import msgspec

from semel.errors import ConfigurationInvalid, StoreRejected
from semel.model import Account, Key, Record
from semel.ports import Also, ApplicationCallback, Page, Ref, Row, Write, in_order
from semel.stores.codec import Codecs, ascii_lower, key_in
from semel.stores.postgres_connect import Connection, connect
from semel.stores.postgres_errors import (
    DRIVER_ERRORS,
    UNDECLARED_POOLER,
    commit_error,
    is_lost,
    is_retried,
    read_error,
    start_error,
)
from semel.stores.postgres_identity import NO_TABLE, followed, not_followed
from semel.stores.postgres_pool import Pool, Session
from semel.stores.postgres_sql import ApplicationRow, Statements, inserted_accounts
from semel.stores.postgres_steps import Steps
from semel.stores.postgres_url import PostgresUrl, parse_url
from semel.stores.schema import VERSION_TABLE, quoted, require_revision

__all__ = ["PostgresStore", "open_postgres"]

R = TypeVar("R", bound=Record)

_TRIES: Final = 6
_PAUSE_SECONDS: Final = 0.02
"""Half of the longest pause before the second try; each further one is twice as long."""
_WAIT_SECONDS: Final = 3.0
"""How long a request waits for a connection to come free."""
_MARGIN_SECONDS: Final = 2.0
"""How long beyond the server's own time-out an answer is waited for."""

_ABOUT: Final = "SELECT pg_backend_pid(), setting::int FROM pg_settings WHERE name = 'statement_timeout'"
_UNBOUNDED: Final = (
    "Behind a pooler the database itself must bound its statements, and it does not: "
    "run ALTER ROLE … SET statement_timeout = '5s' for the URL's role, and let the pooler reconnect."
)

_values: Final = msgspec.json.Decoder(list[Any]).decode


async def open_postgres(
    url: str, *, also: Also | None = None, jitter: Callable[[], float], identity_table: str | None = None
) -> PostgresStore:
    """Open the store at the URL (see ``semel.stores.postgres_url``).

    ``jitter`` gives numbers from 0 to 1 that spread tries which met each other; ``identity_table`` is the one that
    accounts must follow, if any. Raises ``ConfigurationInvalid`` where the URL is wrong, ``semel migrate`` has not been
    run, or a pooler stands there that the URL does not mention; ``StoreUnavailable`` where the database does not
    answer.
    """
    store = PostgresStore(parse_url(url), also=also, jitter=jitter)
    await store.check(identity_table)
    return store


class PostgresStore:
    """See ``ports.Store``. Connections are opened when they are needed; one event loop uses the store."""

    def __init__(self, target: PostgresUrl, *, also: Also | None, jitter: Callable[[], float]) -> None:
        row = ApplicationRow(also) if isinstance(also, Row) else None
        callback = row.write if row else cast("ApplicationCallback | None", also)
        self._target: Final = target
        self._jitter: Final = jitter
        self._seconds: Final = target.statement_timeout / 1000 + _MARGIN_SECONDS
        self._plain: Final = Statements(target.schema)
        self._whole: Final = Statements(target.schema, row) if row else None
        self._steps: Final = Steps(callback, self._seconds, pooled=target.pooled) if callback else None
        self._codecs: Final = Codecs(moments_as_text=False)
        # The table makes it a look at what is ours as well.
        table = quoted(target.schema, VERSION_TABLE)
        self._now: Final = f"SELECT clock_timestamp(), EXISTS (SELECT FROM {table})"  # noqa: S608 - quoted
        self._pool: Final = Pool(self._connect, target.pool_size, _WAIT_SECONDS)

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        (record,) = await self.get_many([Ref(kind, key)])
        return cast("R | None", record)

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``."""
        found: list[Record | None] = [None] * len(refs)
        if refs:
            look = self._plain.look(tuple(ref.type for ref in refs))
            for place, values in await self._read(look, *(part for ref in refs for part in ref.key)):
                found[place] = self._record(refs[place].type, values)
        return found

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``."""
        order = in_order(writes)
        if not order:
            return
        work = partial(self._commit, [writes[position] for position in order], token)
        for attempt in count(1):
            try:
                await self._pool.run(work)
                return
            except DRIVER_ERRORS as error:
                if not is_retried(error) or attempt == _TRIES:
                    raise commit_error(error, order) from None
            await asyncio.sleep(self._jitter() * _PAUSE_SECONDS * 2**attempt)

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``."""
        return [self._record(kind, values) for (values,) in await self._read(self._plain.due(kind), before, limit)]

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``. Raises ``InvalidInput`` for a cursor that no page of this kind gave."""
        key = key_in(kind, cursor) if cursor else ()
        rows = await self._read(self._plain.page(kind, further=bool(key)), *key, limit + 1)
        records = tuple(self._record(kind, values) for (values,) in rows[:limit])
        return Page(records, msgspec.json.encode(records[-1].key).decode() if len(rows) > limit else None)

    async def search(self, words: str, cursor: str | None, limit: int) -> Page:
        """See ``Search.search``. It reads the whole table where the database has no index for that (``pg_trgm``)."""
        key = key_in(Account, cursor) if cursor else ()
        if "\0" in words:  # no text here has one, and the database cannot be asked for it
            return Page((), None)
        rows = await self._read(self._plain.search(further=bool(key)), ascii_lower(words), limit + 1, *key)
        records = tuple(self._record(Account, values) for (values,) in rows[:limit])
        return Page(records, msgspec.json.encode(records[-1].key).decode() if len(rows) > limit else None)

    async def ping(self) -> datetime:
        """See ``Store.ping``."""
        return cast("datetime", (await self._read(self._now))[0][0])

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._pool.close()

    async def check(self, identity_table: str | None = None) -> None:
        """Raise ``ConfigurationInvalid`` where the database is not as this store needs it."""
        try:
            connection = await self._connect()
        except DRIVER_ERRORS as error:
            raise start_error(error) from None
        try:
            session = Session(connection)
            await self._check(session)
            if identity_table is not None:
                await self._check_followed(session, identity_table)
        except DRIVER_ERRORS as error:
            raise read_error(error) from None
        finally:
            connection.terminate()

    def _record(self, kind: type[R], values: str) -> R:
        return self._codecs[kind].record(_values(values))

    async def _connect(self) -> Connection:
        target = self._target
        bounds = {"statement_timeout": str(target.statement_timeout), "lock_timeout": str(target.lock_timeout)}
        return await connect(target, {} if target.pooled else bounds)

    async def _check(self, session: Session) -> None:
        ((process, bound),) = await session.fetch(_ABOUT, (), self._seconds)
        if self._target.pooled:
            if bound == 0:
                raise ConfigurationInvalid(_UNBOUNDED)
        elif process != session.connection.get_server_pid() or bound != self._target.statement_timeout:
            raise ConfigurationInvalid(UNDECLARED_POOLER)
        table = quoted(self._target.schema, VERSION_TABLE)
        try:
            rows = await session.fetch(f"SELECT version_num FROM {table}", (), self._seconds)  # noqa: S608 - quoted
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            rows = []
        require_revision(rows[0][0] if rows else None)

    async def _check_followed(self, session: Session, table: str) -> None:
        rows = await session.fetch(followed(self._target.schema), (), self._seconds)
        found = rows[0][0] if rows else None
        if found != (None if table == NO_TABLE else table):
            raise not_followed(found, table)

    async def _read(self, text: str, *parameters: object) -> list[asyncpg.Record]:
        async def query(session: Session) -> list[asyncpg.Record]:
            return await session.fetch(text, parameters, self._seconds)

        try:
            return await self._pool.run(query)
        except DRIVER_ERRORS as error:
            if not is_lost(error) or isinstance(error, TimeoutError):
                raise read_error(error) from None
        try:
            return await self._pool.run(query, fresh=True)
        except DRIVER_ERRORS as error:
            raise read_error(error) from None

    async def _commit(self, writes: Sequence[Write], token: int, session: Session) -> None:
        accounts = inserted_accounts(writes, token) if self._steps is not None else []
        if self._steps is None or not accounts:
            await session.fetch(*self._plain.commit(writes, token), self._seconds)
            return
        if self._whole is not None:
            try:
                await session.fetch(*self._whole.commit(writes, token), self._seconds)
                return
            except DRIVER_ERRORS as error:
                # Undone, but not said for whose sake. In steps it is.
                if not isinstance(commit_error(error, range(len(writes))), StoreRejected):
                    raise
        await self._steps.commit(session, self._plain.commit(writes, token), accounts)
