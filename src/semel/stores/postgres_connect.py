"""Opens connections: to the first host of a URL that will have us, each given ``connect_timeout`` to itself.

So does libpq. asyncpg alone has one time-out for all hosts together, which a first host that never answers uses up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg

from semel.stores.postgres_url import Address, PostgresUrl

__all__ = ["Connection", "connect"]

_PASSED_OVER: Final = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""What the next host may do better: out of reach, silent, starting up, hanging up, taking no writes."""
_STATEMENTS_KEPT: Final = 100


class Connection(asyncpg.Connection):
    """The driver's connection, whose outermost transaction may be ended by statements that do more than end it."""

    async def end(self, statements: str) -> None:
        """Run statements of which one ends the transaction, in one round trip."""
        try:
            await self.execute(statements)
        finally:
            # The driver would take the next transaction for one inside this.
            self._top_xact = None


async def connect(url: PostgresUrl, settings: Mapping[str, str] | None = None) -> Connection:
    """Return a connection with these settings of its session. Raises what the driver raises, for the last host."""
    *others, last = url.addresses()
    for address in others:
        try:
            return await _connect(url, address, settings or {})
        except _PASSED_OVER:
            continue
    return await _connect(url, last, settings or {})


async def _connect(url: PostgresUrl, address: Address, settings: Mapping[str, str]) -> Connection:
    connection: Connection = await asyncpg.connect(
        **url.connect_arguments(address),
        connection_class=Connection,
        server_settings={"application_name": "semel", "timezone": "UTC", **url.startup, **settings},
        statement_cache_size=0 if url.pooled else _STATEMENTS_KEPT,
        max_cached_statement_lifetime=0,
    )
    return connection
