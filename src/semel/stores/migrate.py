"""Brings a store to this release's revision. Nothing else changes the tables, and ``semel migrate`` alone calls it.

Safe with any number of processes at once. In a database one holds the lock and takes all of the steps in one
transaction, the others wait for it and find nothing left to do. That accounts follow a provider's table comes after it,
in steps of their own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from semel.errors import ConfigurationInvalid
from semel.stores.drivers import driver
from semel.stores.migrations.steps import LOCK_SECONDS, upgrade
from semel.stores.postgres_url import parse_url
from semel.stores.schema import REVISION, Migrated
from semel.stores.sqlite_file import as_store_error, connect, database_path, opening, stored_revision, use_wal

__all__ = ["Migrated", "migrate"]

_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps the migration that it runs in global variables."""


async def migrate(url: str, identity_table: str | None = None) -> Migrated:
    """Migrate the store of the URL; one that is up to date is left as it is.

    On PostgreSQL accounts follow the ``identity_table`` (``schema.table``) from then on, and no other; ``none`` lets
    them follow none, and ``None`` leaves that as it is.

    Raises ``ConfigurationInvalid`` for a URL that is wrong or a store that is newer than this release,
    ``StoreUnavailable`` or ``StoreRejected`` where the store does not let it happen; no database is changed then.
    """
    match url.partition(":")[0].lower():
        case "sqlite":
            return await _apart(lambda: _migrate_file(database_path(url)))
        case "dynamodb":
            with driver("DynamoDB", "dynamodb"):
                from semel.stores.dynamodb_migrate import migrate_table  # noqa: PLC0415 - of an extra
            return await migrate_table(url)
        case "azure-tables":
            with driver("Azure Tables", "azure"):
                from semel.stores.azure_connect import make_table  # noqa: PLC0415 - of an extra
            return await make_table(url)
        case _:
            place = parse_url(url)
            with driver("PostgreSQL", "postgres"):
                from semel.stores.postgres_migrate import migrate_server  # noqa: PLC0415 - of an extra
            return await _apart(lambda: asyncio.run(migrate_server(place, identity_table)))


async def _apart(work: Callable[[], Migrated]) -> Migrated:
    """Do what runs Alembic: in a thread, since it blocks, and alone."""

    def alone() -> Migrated:
        with _ONE_AT_A_TIME:
            return work()

    return await asyncio.to_thread(alone)


def _migrate_file(path: Path) -> Migrated:
    try:
        with opening():
            if not path.parent.is_dir():
                raise ConfigurationInvalid(
                    "The SQLite file's directory does not exist: make it, then run `semel migrate`."
                )
            return _upgraded(path)
    except DBAPIError as error:
        raise as_store_error(error.orig or error) from error


def _upgraded(path: Path) -> Migrated:
    with closing(connect(path, create=True, busy_seconds=LOCK_SECONDS)) as file:
        if stored_revision(file) == REVISION:
            return Migrated(REVISION, REVISION)
        use_wal(file)
        engine = create_engine("sqlite://", creator=lambda: file, poolclass=StaticPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return upgrade(connection, None)
