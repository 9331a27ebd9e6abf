"""Brings a database to this release's revision. Nothing else changes the tables, and ``semel migrate`` alone calls it.

Safe with any number of processes at once: one holds the lock and takes all of the steps in one transaction, the others
wait for it and find nothing left to do.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.schema import CreateSchema

from semel.errors import ConfigurationInvalid
from semel.stores.postgres_url import PostgresUrl, parse_url
from semel.stores.schema import REVISION, require_revision, version_table
from semel.stores.sqlite_file import as_store_error, connect, database_path, stored_revision, use_wal

__all__ = ["Migrated", "migrate"]

LOCK_SECONDS: Final = 30
"""How long a step waits for a table that others use, before it gives up and leaves all as it was: whoever comes after a
waiting step waits with it."""

_SCRIPTS: Final = Path(__file__).with_name("migrations")
_LOCK: Final = int.from_bytes(b"semel", "big")
"""The number of the advisory lock, one for each PostgreSQL database."""
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps the migration that it runs in global variables."""


class Migrated(NamedTuple):
    """The revision found and the revision left; ``None`` for a database without our tables."""

    before: str | None
    after: str


async def migrate(url: str) -> Migrated:
    """Migrate the database of the URL; one that is up to date is left as it is.

    Raises ``ConfigurationInvalid`` for a URL that is wrong or a database that is newer than this release,
    ``StoreUnavailable`` or ``StoreRejected`` where the database does not let it happen; nothing was changed then.
    """
    return await asyncio.to_thread(_migrate, url)


def _migrate(url: str) -> Migrated:
    with _ONE_AT_A_TIME:
        if url.startswith("sqlite:"):
            return _migrate_file(database_path(url))
        return asyncio.run(_migrate_server(parse_url(url)))


def _migrate_file(path: Path) -> Migrated:
    if not path.parent.is_dir():
        raise ConfigurationInvalid(
            "The directory of the SQLite file does not exist: make it, then run `semel migrate`."
        )
    try:
        with closing(connect(path, create=True, busy_seconds=LOCK_SECONDS)) as file:
            if stored_revision(file) == REVISION:
                return Migrated(REVISION, REVISION)
            use_wal(file)
            engine = create_engine("sqlite://", creator=lambda: file, poolclass=StaticPool)
            with engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return _upgrade(connection, None)
    except DBAPIError as error:
        raise as_store_error(error.orig or error) from error
    except sqlite3.Error as error:
        raise as_store_error(error) from error


async def _migrate_server(url: PostgresUrl) -> Migrated:
    # Nothing is prepared under a name, so that a pooler may stand between.
    unnamed = {"statement_cache_size": 0, "prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
    engine = create_async_engine(
        "postgresql+asyncpg://", connect_args={**url.connect_arguments(), **unnamed}, poolclass=NullPool
    )
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        if not await connection.run_sync(lambda sync: inspect(sync).has_schema(url.schema)):
            await connection.execute(CreateSchema(url.schema))
        return await connection.run_sync(_upgrade, url.schema)


def _upgrade(connection: Connection, schema: str | None) -> Migrated:
    """Take all steps inside the connection's open transaction, under the lock."""
    options = {"version_table": version_table(schema), "version_table_schema": schema}
    before = MigrationContext.configure(connection, opts=options).get_current_revision()
    if before is not None and before > REVISION:
        require_revision(before)
    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    command.upgrade(config, "head")
    return Migrated(before, REVISION)
