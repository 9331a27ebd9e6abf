"""Databases that are ready for a store."""

import asyncio
import shutil
from pathlib import Path

import pytest

from semel.stores.migrate import migrate


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that has our tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "semel.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_path(migrated_file: Path, tmp_path: Path) -> Path:
    """A SQLite file that has our tables, of the test's own."""
    return Path(shutil.copy(migrated_file, tmp_path / "semel.db"))


@pytest.fixture
async def postgres_url(postgres_database: str) -> str:
    """The URL of a PostgreSQL database that has our tables."""
    await migrate(postgres_database)
    return postgres_database


@pytest.fixture
def pgbouncer_url(postgres_url: str, pgbouncer_database: str) -> str:
    """The URL of the same database through PgBouncer in transaction mode."""
    assert postgres_url.rpartition("/")[2] in pgbouncer_database
    return pgbouncer_database


@pytest.fixture(params=["postgres_url", "pgbouncer_url"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The URL of the server itself, and that of PgBouncer before it."""
    url: str = request.getfixturevalue(request.param)
    return url
