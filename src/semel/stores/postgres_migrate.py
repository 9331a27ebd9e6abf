"""Migrates a PostgreSQL database, through a pooler as well."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import replace
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from semel.errors import SemelError
from semel.stores.migrations.steps import LOCK_SECONDS, upgrade
from semel.stores.postgres_connect import Connection, connect
from semel.stores.postgres_errors import DRIVER_ERRORS, read_error, start_error
from semel.stores.postgres_identity import NO_TABLE, check_fits, follow, look
from semel.stores.postgres_url import PostgresUrl
from semel.stores.schema import Migrated

__all__ = ["LOCK", "engine", "migrate_server"]

LOCK: Final = int.from_bytes(b"semel", "big")
"""The number of the advisory lock, one for each database."""


def engine(url: PostgresUrl) -> AsyncEngine:
    """Return an engine that keeps no connection and prepares nothing by name, so that a pooler may stand between."""
    unnamed = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
    arguments = {**unnamed, "async_creator_fn": partial(_opened, url)}
    return create_async_engine("postgresql+asyncpg://", connect_args=arguments, poolclass=NullPool)


async def migrate_server(
    url: PostgresUrl, identity_table: str | None = None, lock_seconds: float = LOCK_SECONDS
) -> Migrated:
    """See ``semel.stores.migrate.migrate``. ``lock_seconds`` bounds the wait for others that migrate as well."""
    server = engine(url)
    try:
        async with server.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = {lock_seconds * 1000:.0f}"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            if not await connection.run_sync(lambda sync: inspect(sync).has_schema(url.schema)):
                await connection.execute(CreateSchema(url.schema))
            migrated = await connection.run_sync(upgrade, url.schema)
            follows = (await look(connection, url.schema)).table
            if identity_table not in (None, NO_TABLE, follows):
                await check_fits(connection, url.schema, identity_table)
        if identity_table is not None:
            await follow(server, url, identity_table, lock_seconds)
            follows = None if identity_table == NO_TABLE else identity_table
        return migrated._replace(follows=follows)
    except DBAPIError as error:
        raise _met(error) from error
    except DRIVER_ERRORS as error:
        raise read_error(error) from error


async def _opened(url: PostgresUrl, **_: object) -> Connection:
    """Open a connection for SQLAlchemy, whose own arguments would name what the URL names."""
    try:
        return await connect(replace(url, pooled=True))  # as behind a pooler, whether one is there or not
    except DRIVER_ERRORS as error:
        raise start_error(error) from None


def _met(error: DBAPIError) -> SemelError:
    cause = error.orig and error.orig.__cause__
    return read_error(cause if isinstance(cause, Exception) else error)
