"""Migrates a PostgreSQL database, through a pooler as well."""

from __future__ import annotations

from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from semel.errors import SemelError
from semel.stores.migrations.steps import LOCK_SECONDS, Migrated, upgrade
from semel.stores.postgres_errors import DRIVER_ERRORS, read_error, start_error
from semel.stores.postgres_url import PostgresUrl

__all__ = ["engine", "migrate_server"]

_LOCK: Final = int.from_bytes(b"semel", "big")
"""The number of the advisory lock, one for each database."""


def engine(url: PostgresUrl) -> AsyncEngine:
    """Return an engine that keeps no connection and prepares nothing by name, so that a pooler may stand between."""
    unnamed = {"statement_cache_size": 0, "prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
    arguments = {**url.connect_arguments(), **unnamed}
    return create_async_engine("postgresql+asyncpg://", connect_args=arguments, poolclass=NullPool)


async def migrate_server(url: PostgresUrl) -> Migrated:
    """See ``semel.stores.migrate.migrate``."""
    try:
        async with engine(url).begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            if not await connection.run_sync(lambda sync: inspect(sync).has_schema(url.schema)):
                await connection.execute(CreateSchema(url.schema))
            return await connection.run_sync(upgrade, url.schema)
    except DBAPIError as error:
        raise _met(error) from error
    except DRIVER_ERRORS as error:
        raise start_error(error) from error


def _met(error: DBAPIError) -> SemelError:
    cause = error.orig and error.orig.__cause__
    return read_error(cause if isinstance(cause, Exception) else error)
