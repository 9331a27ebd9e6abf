"""Takes the steps that a database lacks; its connection, transaction and lock are the caller's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from semel.stores.schema import REVISION, Migrated, require_revision, version_table

__all__ = ["LOCK_SECONDS", "config_of", "upgrade"]

LOCK_SECONDS: Final = 30
"""How long a step waits for a table that others use. Whoever comes after a waiting step waits with it, so a step then
gives up and leaves all as it was."""


def upgrade(connection: Connection, schema: str | None) -> Migrated:
    """Take all steps inside the open transaction. Raises ``ConfigurationInvalid`` where a newer release took more."""
    options = {"version_table": version_table(schema), "version_table_schema": schema}
    before = MigrationContext.configure(connection, opts=options).get_current_revision()
    if before is not None and before > REVISION:
        require_revision(before)
    command.upgrade(config_of(connection, schema), "head")
    return Migrated(before, REVISION)


def config_of(connection: Connection | None = None, schema: str | None = None) -> Config:
    """Return Alembic's configuration: our scripts, and what they work on."""
    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
