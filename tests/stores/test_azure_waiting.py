"""A writer that meets another's commit in its way: how long it waits for it, and how often it asks."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from semel.errors import CommitUnknown
from semel.model import KeyRecord
from semel.ports import Insert
from semel.stores.azure_entities import Entity, NotAnswered, Place, Values
from semel.stores.azure_tables import AzureTablesStore
from semel.testing.clock import SequentialIds, VirtualClock
from semel.testing.fake_entities import FakeEntities
from semel.testing.store_contract.samples import key

_PATIENCE = 3
_FEW = 40
"""Requests of one who waits as long as it can. Every 20 ms it would be 300."""


class Counted(FakeEntities):
    """A table that counts readings, and whose worker dies when it is to decide."""

    def __init__(self) -> None:
        super().__init__()
        self.readings = 0
        self.dies = True

    @override
    async def get_many(self, places: Sequence[Place]) -> list[Entity | None]:
        self.readings += 1
        return await super().get_many(places)

    @override
    async def replace(self, entity: Entity, values: Values) -> Entity:
        if self.dies:
            raise NotAnswered
        return await super().replace(entity, values)


@pytest.mark.parametrize("seed", ["a", "b"])
async def test_who_waits_leaves_the_live_their_time_and_their_connections(seed: str) -> None:
    """A commit in the way is aborted after the patience, no sooner; meanwhile it is asked for less and less often."""
    table, clock, ids = Counted(), VirtualClock(), SequentialIds(seed)
    first = AzureTablesStore(table, clock, ids.jitter)
    record, other = key(ids), key(ids)
    with pytest.raises(CommitUnknown):
        await first.commit([Insert(record), Insert(other)], ids.token())
    await first.close()
    table.dies, table.readings = False, 0
    second, began, token = AzureTablesStore(table, clock, ids.jitter), clock.monotonic(), ids.token()
    await second.commit([Insert(record), Insert(other)], token)
    assert clock.monotonic() - began >= _PATIENCE
    assert table.readings < _FEW
    assert await second.get(KeyRecord, record.key) == record.but(version=token)
