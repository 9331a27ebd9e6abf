"""A table of Azure Table Storage that is none: in memory, and atomic in one partition alone, as the service is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from semel.stores.azure_entities import Bounds, ConditionFailed, Entity, Place, Value, Values
from semel.testing.clock import START

__all__ = ["FakeEntities", "Kept", "Shelves"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a place: its entity's values, sorted by name, when they were written, and how often it changed.

    A place whose entity was deleted keeps its number of changes, so that no ETag ever comes again.
    """

    values: tuple[tuple[str, Value], ...] | None
    written_at: datetime
    changes: int


Shelves = Mapping[Place, Kept]
"""The whole content of a table. It is replaced by each change, and never changed."""

_NEVER: Final = Kept(None, START, 0)


class FakeEntities:
    """One table (``azure_entities.Entities``) in memory; ``now`` gives the service's own time.

    Nothing suspends inside a method, so each is atomic in an event loop: kinder than the service, whose ``get_many``
    and ``between`` are no snapshots. Under the explorer ``EntitiesService`` reads each place by itself.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: START) -> None:
        self.state: Shelves = {}
        self._now = now

    async def get(self, place: Place) -> Entity | None:
        """Return what stands at one place."""
        return _entity(place, self.state.get(place, _NEVER))

    async def get_many(self, places: Sequence[Place]) -> list[Entity | None]:
        """See ``Entities.get_many``."""
        return [_entity(place, self.state.get(place, _NEVER)) for place in places]

    async def insert(self, partition: str, rows: Mapping[str, Values]) -> list[Entity]:
        """See ``Entities.insert``."""
        places = [Place(partition, row) for row in rows]
        if any(self.state.get(place, _NEVER).values is not None for place in places):
            raise ConditionFailed
        return [self._put(place, values) for place, values in zip(places, rows.values(), strict=True)]

    async def replace(self, entity: Entity, values: Values) -> Entity:
        """See ``Entities.replace``."""
        self._check(entity)
        return self._put(entity.place, values)

    async def delete(self, entity: Entity) -> None:
        """See ``Entities.delete``."""
        self._check(entity)
        self._put(entity.place, None)

    async def discard(self, place: Place) -> None:
        """See ``Entities.discard``."""
        if self.state.get(place, _NEVER).values is not None:
            self._put(place, None)

    async def between(self, bounds: Bounds, limit: int) -> list[Entity]:
        """See ``Entities.between``."""
        places = sorted(place for place in self.state if bounds.after < place < bounds.before)
        there = [found for place in places if (found := _entity(place, self.state[place])) is not None]
        return there[:limit]

    async def time(self) -> datetime:
        """See ``Entities.time``."""
        return self._now()

    async def close(self) -> None:
        """See ``Entities.close``; there is nothing to give up."""

    def _check(self, entity: Entity) -> None:
        stands = _entity(entity.place, self.state.get(entity.place, _NEVER))
        if stands is None or stands.etag != entity.etag:
            raise ConditionFailed

    def _put(self, place: Place, values: Values | None) -> Entity:
        sorted_values = None if values is None else tuple(sorted(values.items()))
        kept = Kept(sorted_values, self._now(), self.state.get(place, _NEVER).changes + 1)
        self.state = {**self.state, place: kept}
        return Entity(place, MappingProxyType(dict(values or {})), _etag(kept))


def _entity(place: Place, kept: Kept) -> Entity | None:
    if kept.values is None:
        return None
    return Entity(place, MappingProxyType(dict(kept.values)), _etag(kept), kept.written_at)


def _etag(kept: Kept) -> str:
    return f'W/"{kept.changes}"'
