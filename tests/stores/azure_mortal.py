"""A process that commits to Azure Tables and kills itself before or after one of its requests."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from typing_extensions import override

from semel.ports import Write
from semel.stores.azure_client import TableEntities
from semel.stores.azure_connect import open_entities
from semel.stores.azure_entities import Bounds, Entity, Place, Values
from semel.stores.azure_tables import AzureTablesStore
from semel.stores.azure_url import parse_url
from semel.system import SystemClock, SystemIds

__all__ = ["Job", "LaterEntities", "perish"]

T = TypeVar("T")

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Job:
    """What a process is to commit, and at which point it dies: twice the request's number, one less for before it."""

    url: str
    variables: Mapping[str, str]
    writes: Sequence[Write]
    token: int
    point: int


class LaterEntities:
    """A table as seen so much later: by the service's time, which is all that upkeep goes by."""

    def __init__(self, entities: TableEntities, later: timedelta = timedelta()) -> None:
        self._entities = entities
        self._later = later

    async def get_many(self, places: Sequence[Place]) -> list[Entity | None]:
        return [await self.sent(self._get(place)) for place in places]

    async def insert(self, partition: str, rows: Mapping[str, Values]) -> list[Entity]:
        return await self.sent(self._entities.insert(partition, rows))

    async def replace(self, entity: Entity, values: Values) -> Entity:
        return await self.sent(self._entities.replace(entity, values))

    async def delete(self, entity: Entity) -> None:
        await self.sent(self._entities.delete(entity))

    async def discard(self, place: Place) -> None:
        await self.sent(self._entities.discard(place))

    async def between(self, bounds: Bounds, limit: int) -> list[Entity]:
        return await self.sent(self._entities.between(bounds, limit))

    async def time(self) -> datetime:
        return await self.sent(self._entities.time()) + self._later

    async def close(self) -> None:
        await self._entities.close()

    async def sent(self, request: Awaitable[T]) -> T:
        """Send a request."""
        return await request

    async def _get(self, place: Place) -> Entity | None:
        (found,) = await self._entities.get_many([place])
        return found


class MortalEntities(LaterEntities):
    """Entities whose process dies at a point."""

    def __init__(self, entities: TableEntities, point: int) -> None:
        super().__init__(entities)
        self._point = point

    @override
    async def sent(self, request: Awaitable[T]) -> T:
        """Send a request, or die before or after it."""
        self._pass()
        answer = await request
        self._pass()
        return answer

    def _pass(self) -> None:
        self._point -= 1
        if self._point == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def perish(job: Job) -> bool:
    """Run the job in a process of its own, and tell whether it died; one that passes no such point ends by itself."""
    process = _FORKING.Process(target=_run, args=(job,), daemon=True)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _run(job: Job) -> None:
    os.environ.update(job.variables)
    asyncio.run(_commit(job))


async def _commit(job: Job) -> None:
    jitter = SystemIds().jitter
    entities = MortalEntities(await open_entities(parse_url(job.url), jitter), job.point)
    store = AzureTablesStore(entities, SystemClock(), jitter)
    await store.commit(job.writes, job.token)
    await store.close()
