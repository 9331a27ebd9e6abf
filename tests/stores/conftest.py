"""Databases that are ready for a store."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from semel.stores.migrate import migrate
from tests.emulators import Emulator
from tests.services import PostgresServer, pgbouncer
from tests.stores.azure_parts import AzureTable


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


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a PostgreSQL database that has our tables and nothing in them, to be copied."""
    with postgres.database() as url:
        asyncio.run(migrate(url))
        yield url


@pytest.fixture
def postgres_url(postgres: PostgresServer, migrated_database: str) -> Iterator[str]:
    """The URL of a PostgreSQL database that has our tables, of the test's own."""
    with postgres.database(like=migrated_database) as url:
        yield url


@pytest.fixture
def pgbouncer_url(postgres_url: str) -> Iterator[str]:
    """The URL of the same database through PgBouncer in transaction mode."""
    with pgbouncer(postgres_url) as url:
        yield url


@pytest.fixture(params=["postgres_url", "pgbouncer_url"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The URL of the server itself, and that of PgBouncer before it."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def azure_environment(azure_tables: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The server of Azure Tables, named to the SDK by the environment."""
    for name, value in azure_tables.variables.items():
        monkeypatch.setenv(name, value)
    return azure_tables


@pytest.fixture
def azure_table(azure_environment: Emulator) -> AzureTable:
    """An Azure table of the test's own, with nothing in it."""
    url = azure_environment.new_url()
    asyncio.run(migrate(url))
    return AzureTable(url)


@pytest.fixture
def new_dynamodb_url(dynamodb: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a DynamoDB table that is still to be made; the SDK's variables lead there."""
    for name, value in dynamodb.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return dynamodb.new_url()


@pytest.fixture
async def dynamodb_url(new_dynamodb_url: str) -> str:
    """The URL of a DynamoDB table of the test's own."""
    await migrate(new_dynamodb_url)
    return new_dynamodb_url
