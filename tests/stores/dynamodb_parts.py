"""What the tests of the DynamoDB store share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiobotocore.session import AioSession

from semel.stores.dynamodb import DynamoStore, open_dynamodb
from semel.stores.dynamodb_connect import connected
from semel.stores.dynamodb_url import parse_url
from semel.testing.clock import SequentialIds

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

__all__ = ["opened", "sdk", "table"]


@asynccontextmanager
async def opened(url: str, session: AioSession | None = None) -> AsyncIterator[DynamoStore]:
    """Open a store."""
    store = await open_dynamodb(url, jitter=SequentialIds(url).jitter, session=session)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def sdk(url: str, session: AioSession | None = None) -> AsyncIterator["DynamoDBClient"]:
    """Open a client of somebody else's."""
    async with connected(parse_url(url), session) as client:
        yield client


def table(url: str) -> str:
    """Return the name of the URL's table."""
    return parse_url(url).table
