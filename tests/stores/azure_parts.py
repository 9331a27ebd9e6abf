"""What the tests of the store on Azure Tables share."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from semel.stores.azure_client import TableEntities
from semel.stores.azure_connect import open_azure_tables, open_entities
from semel.stores.azure_entities import Bounds, Entity, Place
from semel.stores.azure_tables import AzureTablesStore
from semel.stores.azure_url import parse_url
from semel.system import SystemClock, SystemIds
from semel.testing.azure_faults import AzureFaults

__all__ = ["EVERYTHING", "AzureTable", "hung_up"]

EVERYTHING = Bounds(Place(" "), Place("~"))


@dataclass(frozen=True)
class AzureTable:
    """A table of a test's own, and what there is in it."""

    url: str
    ids: SystemIds = field(default_factory=SystemIds)

    @asynccontextmanager
    async def store(self, faults: AzureFaults | None = None) -> AsyncIterator[AzureTablesStore]:
        """Open the store, with faults before it where they are given."""
        through = (faults or AzureFaults()).through
        store = await open_azure_tables(self.url, clock=SystemClock(), jitter=self.ids.jitter, through=through)
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def entities(self, faults: AzureFaults | None = None) -> AsyncIterator[TableEntities]:
        """Open the table as the store sees it."""
        entities = await open_entities(parse_url(self.url), self.ids.jitter, (faults or AzureFaults()).through)
        try:
            yield entities
        finally:
            await entities.close()

    async def everything(self) -> list[Entity]:
        """Return all entities: records with their marks, journals, due rows."""
        async with self.entities() as entities:
            return await entities.between(EVERYTHING, 10_000)


async def hung_up() -> None:
    """Return once no connection is on its way to its end.

    One that was closed with a part of a request unsent lives until its other end hangs up, and closing the client does
    not wait for that.
    """
    while any(map(_lingers, gc.get_objects())):  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0)


def _lingers(one: object) -> bool:
    # Not by isinstance, of which proxies think that they are asked.
    if not issubclass(type(one), asyncio.Transport):
        return False
    connection = cast("asyncio.Transport", one)
    return connection.is_closing() and connection.get_extra_info("socket").fileno() >= 0
