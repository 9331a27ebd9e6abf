"""The SDK's client for DynamoDB: one for each store, with bounds of our own in place of its retries.

The SDK would send a request again whose answer was lost. A commit sent again would be refused because of itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from semel.errors import ConfigurationInvalid, StoreUnavailable
from semel.stores.dynamodb_errors import DRIVER_ERRORS, UnforeseenError, code, sdk_errors_alone, start_error
from semel.stores.dynamodb_url import DynamoUrl

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

__all__ = ["Bounded", "connected"]

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTIONS: Final = 50
_WAIT_SECONDS: Final = 3.0
"""How long a request waits for a connection to come free."""
_CONFIG: Final = AioConfig(
    connect_timeout=3,
    read_timeout=5,
    max_pool_connections=_CONNECTIONS,
    retries={"total_max_attempts": 1},
)


@asynccontextmanager
async def connected(url: DynamoUrl, session: AioSession | None) -> AsyncIterator[DynamoDBClient]:
    """Yield a client. Raises ``ConfigurationInvalid`` where the SDK finds no region, endpoint or credentials."""
    session = session or AioSession()
    # Of the two variables the SDK for Python knows the second alone. What an application said in its code comes before.
    region = url.region or session.instance_variables().get("region") or os.environ.get("AWS_REGION")
    async with AsyncExitStack() as closing:
        opening = session.create_client("dynamodb", region_name=region, config=_CONFIG)
        try:
            with sdk_errors_alone():
                client = await closing.enter_async_context(opening)
        except DRIVER_ERRORS as error:
            if isinstance(error, UnforeseenError) and code(error) == ValueError.__name__:
                raise ConfigurationInvalid("AWS_ENDPOINT_URL_DYNAMODB is no URL of an endpoint.") from None
            raise start_error(error) from None
        yield client


class Bounded:
    """Lets as many requests run at once as there are connections, and the others wait their turn, not for ever."""

    def __init__(self) -> None:
        self._free: Final = asyncio.Semaphore(_CONNECTIONS)

    async def __call__(self, send: Callable[P, Awaitable[T]], *args: P.args, **parameters: P.kwargs) -> T:
        """Send a request. Raises what the SDK raises, or ``StoreUnavailable`` where no connection comes free."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable("All connections to DynamoDB are in use.") from None
        try:
            with sdk_errors_alone():
                return await send(*args, **parameters)
        finally:
            self._free.release()
