"""A way to the table that a URL names: the SDK's client with its credential, and without what we do not want of it.

Its own repetitions are switched off, and those of the HTTP library below it, since a change is sent once. Its log of
requests is switched off as well: their addresses have emails in them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables.aio import TableClient
from azure.identity.aio import DefaultAzureCredential

from semel.errors import ConfigurationInvalid
from semel.ports import Clock
from semel.stores.azure_client import AT_ONCE, TableEntities
from semel.stores.azure_errors import SDK_ERRORS, credential_error, start_error, table_exists
from semel.stores.azure_tables import AzureTablesStore
from semel.stores.azure_url import CONNECTION_STRING, AzureTarget, connection_string, parse_url, require_storage
from semel.stores.schema import Migrated

__all__ = ["Through", "Transport", "make_table", "open_azure_tables", "open_entities"]

Transport = AsyncHttpTransport[HttpRequest, AsyncHttpResponse]
Through = Callable[[Transport], Transport]
"""What stands between the client and the network: see ``semel.testing.azure_faults``."""

_CONNECT_SECONDS: Final = 2
_REVISION: Final = "1"
"""Of what entities say. A table has no schema."""
_ANSWER_SECONDS: Final = 6
"""How long the network may be silent."""
_log: Final = logging.getLogger(__name__)
_log.setLevel(logging.CRITICAL)  # the SDK logs addresses as information, unless it is given another log than its own
_OFF: Final[dict[str, Any]] = {"retry_total": 0, "permit_redirects": False, "logger": _log}


async def open_azure_tables(
    url: str, *, clock: Clock, jitter: Callable[[], float], through: Through = lambda transport: transport
) -> AzureTablesStore:
    """Open the store at the URL (see ``semel.stores.azure_url``).

    ``jitter`` gives numbers from 0 to 1 that spread tries which met each other. Raises ``ConfigurationInvalid`` where
    the URL or the credential is wrong, or ``semel migrate`` has not been run; ``StoreUnavailable`` where the service
    does not answer.
    """
    target = parse_url(url)
    entities = await open_entities(target, jitter, through)
    try:
        await entities.check(target)
    except BaseException:
        await entities.close()
        raise
    return AzureTablesStore(entities, clock, jitter)


async def open_entities(
    target: AzureTarget, jitter: Callable[[], float], through: Through = lambda transport: transport
) -> TableEntities:
    """Return the entities of a table, which need not be there. Raises ``ConfigurationInvalid``."""
    client, close = _client(target, through)
    return TableEntities(client, jitter, close)


async def make_table(url: str) -> Migrated:
    """See ``semel.stores.migrate.migrate``: there is nothing but the table to make."""
    target = parse_url(url)
    client, close = _client(target, lambda transport: transport)
    try:
        await client.create_table()
    except SDK_ERRORS as error:
        if table_exists(error):
            return Migrated(_REVISION, _REVISION)
        raise start_error(target, error) from None
    finally:
        await client.close()
        await close()
    return Migrated(None, _REVISION)


def _client(target: AzureTarget, through: Through) -> tuple[TableClient, Callable[[], Awaitable[None]]]:
    """Return a client, and what gives up its credential."""
    if target.host is None:
        return _by_connection_string(target, through), _nothing
    try:
        credential = DefaultAzureCredential()
    except (ValueError, OSError) as error:
        raise credential_error(error) from None
    return (
        TableClient(
            f"https://{target.host}",
            target.table,
            credential=credential,
            transport=through(_transport()),
            **_OFF,
        ),
        credential.close,
    )


def _by_connection_string(target: AzureTarget, through: Through) -> TableClient:
    try:
        secret = connection_string().reveal()
        checked = TableClient.from_connection_string(secret, target.table)  # opens nothing
    except ValueError:
        remedy = "copy it again from the account's access keys"
        raise ConfigurationInvalid(f"{CONNECTION_STRING} is malformed: {remedy}") from None
    require_storage(checked.url)
    return TableClient.from_connection_string(secret, target.table, transport=through(_transport()), **_OFF)


def _transport() -> Transport:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
        middlewares=(_once,),
    )
    transport = AioHttpTransport(session=session, connection_timeout=_CONNECT_SECONDS, read_timeout=_ANSWER_SECONDS)
    return cast("Transport", transport)


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once. Where a kept connection breaks, aiohttp would send PUT and DELETE again over another."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError("the connection broke") from error


async def _nothing() -> None:
    """Do nothing: a key holds no connections."""
