"""DynamoDB and Azure Tables for the benchmarks: a server of the tests, its SDK alone, and the store on it.

What the SDK alone does is the least that could write the same records: on DynamoDB one ``TransactWriteItems`` without a
condition; on Azure Tables one entity after the other, which is neither atomic nor safe.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from azure.data.tables import EdmType, EntityProperty
from azure.data.tables.aio import TableClient

from benchmarks.people import CLOCK, IDS
from semel.ports import Store, Write
from semel.stores.azure_connect import open_azure_tables
from semel.stores.azure_places import change_of
from semel.stores.dynamodb import open_dynamodb
from semel.stores.dynamodb_items import as_item
from tests.emulators import Emulator, azurite, dynoxide

__all__ = ["AZURE_TABLES", "DYNAMODB", "TASKS", "Cloud", "Plain", "Row"]

TASKS = 16
"""How many sign up at once."""

Row = dict[str, Any]
Plain = Callable[[list[Row]], Awaitable[Any]]
"""Writes the rows of one sign-up with the SDK alone."""


class Cloud(NamedTuple):
    """A service: its emulator, ready-made rows, a writer without Semel, and the store at a URL."""

    name: str
    emulator: Callable[[], AbstractContextManager[Emulator]]
    row: Callable[[Write], Row]
    plain: Callable[[str], AbstractAsyncContextManager[Plain]]
    store: Callable[[str], Awaitable[Store]]

    @contextmanager
    def running(self) -> Iterator[Emulator]:
        """Run the emulator; the environment names it to the SDK."""
        before = dict(os.environ)
        with self.emulator() as server:
            os.environ.update(server.variables)
            try:
                yield server
            finally:
                os.environ.clear()
                os.environ.update(before)


def _table(url: str) -> str:
    return url.rpartition("/")[2]


def _item(write: Write) -> Row:
    return as_item(write.record, IDS.token())


@asynccontextmanager
async def _one_transaction(url: str) -> AsyncIterator[Plain]:
    config = AioConfig(max_pool_connections=TASKS)
    async with get_session().create_client("dynamodb", config=config) as client:

        async def write(rows: list[Row]) -> None:
            await client.transact_write_items(
                TransactItems=[{"Put": {"TableName": _table(url), "Item": row}} for row in rows]
            )

        yield write


def _entity(write: Write) -> Row:
    change = change_of(write, IDS.token())
    values = {
        name: EntityProperty(value, EdmType.INT64) if type(value) is int else value
        for name, value in (change.after or {}).items()
    }
    return {"PartitionKey": change.place.partition, "RowKey": change.place.row, **values}


@asynccontextmanager
async def _one_by_one(url: str) -> AsyncIterator[Plain]:
    connection = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    async with TableClient.from_connection_string(connection, _table(url)) as client:

        async def write(rows: list[Row]) -> None:
            for row in rows:
                await client.create_entity(row)

        yield write


async def _dynamodb(url: str) -> Store:
    return await open_dynamodb(url, jitter=IDS.jitter)


async def _azure_tables(url: str) -> Store:
    return await open_azure_tables(url, clock=CLOCK, jitter=IDS.jitter)


DYNAMODB = Cloud("DynamoDB", dynoxide, _item, _one_transaction, _dynamodb)
AZURE_TABLES = Cloud("Azure Tables", azurite, _entity, _one_by_one, _azure_tables)
