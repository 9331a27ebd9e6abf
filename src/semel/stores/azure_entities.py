"""What the Azure Tables store asks of a table: entities, changed by one condition each, atomic in one partition alone.

That is all that Table Storage gives [1]_. The protocol of a commit (``azure_commits``) stands on this and nothing else,
so that it runs unchanged over the service and over the model of it in ``semel.testing``, under the explorer.

.. [1] Performing entity group transactions, and Understanding the Table service data model, learn.microsoft.com.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["Bounds", "ConditionFailed", "Entities", "Entity", "NotAnswered", "Place", "Value", "Values"]

Value = str | int | bool
Values = Mapping[str, Value]
"""An entity's properties; what is not there is not set, since the service knows no null."""


class ConditionFailed(Exception):
    """The table refused a change for its condition: the place is taken, or empty, or holds another ETag.

    Nothing was changed.
    """


class NotAnswered(Exception):
    """No answer to a change, or one that says nothing: it happened, or not, or will, at most once."""


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an entity stands: its ``PartitionKey`` and its ``RowKey``. Pages follow the order of places."""

    partition: str
    row: str = ""


class Entity(msgspec.Struct, frozen=True):
    """An entity as it was read."""

    place: Place
    values: Values
    etag: str
    """Another one after every change, never one that was before."""
    written_at: datetime | None = None
    """The service's time of the last change (``Timestamp``), where it was read."""


class Bounds(msgspec.Struct, frozen=True):
    """The places between two, neither of which is meant."""

    after: Place
    before: Place


class Entities(Protocol):
    """One table. No request is ever sent again by what implements this: a request lands once, late, or never.

    Every method raises ``StoreUnavailable`` where nothing was changed, since nobody was there or the service was busy;
    a change also ``StoreRejected`` where the service refuses it for good (its size, a right), ``NotAnswered``, and
    ``ConditionFailed``. A read that is not answered is ``StoreUnavailable``.
    """

    async def get_many(self, places: Sequence[Place]) -> list[Entity | None]:
        """Return what stands at these places, in the order asked.

        Each as of one moment between call and answer; together no snapshot.
        """
        ...

    async def insert(self, partition: str, rows: Mapping[str, Values]) -> list[Entity]:
        """Put entities into one partition, all or none, and return them in the order given.

        ``ConditionFailed`` where a place is taken.
        """
        ...

    async def replace(self, entity: Entity, values: Values) -> Entity:
        """Write these values over the entity, if its ETag is still the one that was read; return what stands then."""
        ...

    async def delete(self, entity: Entity) -> None:
        """Delete the entity, if its ETag is still the one that was read."""
        ...

    async def discard(self, place: Place) -> None:
        """Delete what stands at this place, whatever it is; nothing there counts as done."""
        ...

    async def between(self, bounds: Bounds, limit: int) -> list[Entity]:
        """Return the first entities between two places, in their order; fewer than ``limit`` means that these are all.

        Within one partition, or over many where each has one row.
        """
        ...

    async def time(self) -> datetime:
        """Return the service's time."""
        ...

    async def close(self) -> None:
        """Give up connections. May be called twice."""
        ...
