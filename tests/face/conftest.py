"""Semel as an application opens it, over each store, with the cheapest hash that argon2 takes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from semel import Semel, Settings
from semel.stores.migrate import migrate

EMAIL = "ada@gmail.com"
PASSWORD = "correct horse battery"


def settings(database_url: str = "memory:", **others: object) -> Settings:
    """Return settings without upkeep, unless they ask for it."""
    cheap: dict[str, Any] = {"argon2_memory_kib": 8, "argon2_iterations": 1, "upkeep": False}
    return Settings(_env_file=None, database_url=database_url, **cheap | others)


@pytest.fixture
async def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file with our tables."""
    url = f"sqlite:///{tmp_path}/semel.db"
    await migrate(url)
    return url


@pytest.fixture
async def postgres_url(postgres_database: str) -> str:
    """The URL of a PostgreSQL database with our tables."""
    await migrate(postgres_database)
    return postgres_database


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each store that several processes can share."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def semel(url: str) -> AsyncIterator[Semel]:
    async with Semel(settings(url)) as semel:
        yield semel
