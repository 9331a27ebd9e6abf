"""The servers that other tests stand on are what they say."""

import os

import asyncpg
import pytest
from aiobotocore.session import get_session
from azure.data.tables.aio import TableServiceClient

from tests.emulators import Emulator
from tests.services import PostgresServer, pgbouncer


async def test_the_database_is_empty_and_holds_what_it_is_given(postgres_database: str) -> None:
    """A test has a database of its own, on a server that syncs its disk."""
    connection = await asyncpg.connect(postgres_database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_stat_user_tables") == 0
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
    finally:
        await connection.close()


async def test_a_connection_left_open_is_an_error(postgres: PostgresServer) -> None:
    """Whoever forgets a connection hears of it, and the database is gone all the same."""
    with pytest.raises(AssertionError, match="left open"), postgres.database() as url:
        connection = await asyncpg.connect(url)
    connection.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)


async def test_pgbouncer_gives_a_connection_for_a_transaction_alone(postgres_database: str) -> None:
    """Two clients take turns at one server connection: the mode that session state does not survive."""
    with pgbouncer(postgres_database, pool_size=1) as url:
        plain, _, mode = url.partition("?pooler=")
        assert mode == "transaction"
        first, second = await asyncpg.connect(plain), await asyncpg.connect(plain)
        try:
            await first.execute("SET application_name = 'left behind by the first'")
            await second.execute("DO $$ BEGIN ASSERT current_setting('application_name') LIKE 'left behind%'; END $$")
        finally:
            await first.close()
            await second.close()


async def test_the_emulators_answer_their_sdks(
    dynamodb: Emulator, azure_tables: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found and let in by what the SDKs themselves read. Other tests may have made tables there."""
    for name, value in {**dynamodb.variables, **azure_tables.variables}.items():
        monkeypatch.setenv(name, value)
    async with get_session().create_client("dynamodb") as client:
        assert "TableNames" in await client.list_tables()
    connection = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    async with TableServiceClient.from_connection_string(connection) as service:
        assert all([table.name async for table in service.list_tables()])
