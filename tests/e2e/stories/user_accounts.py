"""A specimen: the sign-in of Azure Functions over Table Storage, before and after its repair, in the SDK's calls.

Before it, a function takes the lock of ``provider:userId``, gets the person's account, and where there is none creates
it under an id of its own. The lock lives in the memory of one instance; there are as many instances as the load asks
for. The repair is for the middleware, which has no lock: add the person's row under the key of provider and user; where
it is there, get it, and write the time of the sign-in by its ETag. What to do when that is refused it does not say.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

__all__ = ["UserAccounts"]

_PARTITION = "users"

Between = Callable[[], Awaitable[object]]
"""What happens to a request between its look and its write: here a test lets the other instance come up."""


class UserAccounts:
    """One instance."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def sign_in(self, provider: str, user_id: str, between: Between) -> str:
        """Return the row of the person's account, made if the person has none."""
        async with self._locks[f"{provider}:{user_id}"]:
            found = await self.rows(provider, user_id)
            await between()
            if found:
                seen = {"PartitionKey": _PARTITION, "RowKey": found[0], "seen": True}
                await self._table.update_entity(seen, mode=UpdateMode.MERGE)
                return found[0]
            row = str(uuid4())
            new = {"PartitionKey": _PARTITION, "RowKey": row, "provider": provider, "userId": user_id}
            await self._table.create_entity(new)
            return row

    async def create_user_if_not_exists(self, provider: str, user_id: str, between: Between) -> None:
        """The repair. Raises ``ResourceModifiedError`` where another sign-in writes between its look and its write."""
        try:
            await self._table.create_entity({"PartitionKey": provider, "RowKey": user_id, "sign_ins": 1})
        except ResourceExistsError:
            found = await self._table.get_entity(provider, user_id)
            etag = found.metadata["etag"]
            await between()
            found["sign_ins"] += 1
            await self._table.update_entity(
                found, mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )

    async def rows(self, provider: str, user_id: str) -> list[str]:
        """Return the rows that are the person's."""
        asked = {"provider": provider, "user_id": user_id}
        found = self._table.query_entities("provider eq @provider and userId eq @user_id", parameters=asked)
        return [str(entity["RowKey"]) async for entity in found]
