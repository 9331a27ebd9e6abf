"""Processes killed between any two requests of a commit on Azure Tables: all of it is left, or nothing, at once.

The process runs the shipped store over the shipped client, and kills itself; the server lives on. What the next one
reads, writes and clears away is judged here.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from semel.errors import StoreInconsistent
from semel.model import Record
from semel.ports import Delete, Insert, Ref, Replace, Write
from semel.stores.azure_connect import open_entities
from semel.stores.azure_entities import Values
from semel.stores.azure_places import journal_id, journal_place, journal_values
from semel.stores.azure_tables import AzureTablesStore
from semel.stores.azure_url import parse_url
from semel.system import SystemClock
from semel.testing.store_contract.samples import identifier, key, registration
from tests.emulators import Emulator
from tests.stores.azure_mortal import Job, LaterEntities, perish
from tests.stores.azure_parts import AzureTable

_POINTS = 27
"""Two for each request of the whole commit, with what goes on behind its answer; the last is one that none passes."""


class Scene:
    """Two records, and the commit of a process that dies: it replaces one, deletes the other, and inserts a third."""

    def __init__(self, table: AzureTable, server: Emulator, point: int) -> None:
        ids = table.ids
        self.table = table
        due_at = datetime(2026, 1, 1, tzinfo=UTC)
        self.old = [record.but(due_at=due_at) for record in (registration(ids), identifier(ids))]
        self.new = key(ids).but(due_at=datetime(2026, 1, 2, tzinfo=UTC))
        self.token = ids.token()
        self.point = point
        self.variables = server.variables

    async def play(self) -> bool:
        """Insert the two records; then let the process come, and tell whether it died."""
        token = self.table.ids.token()
        async with self.table.store() as store:
            await store.commit([Insert(record) for record in self.old], token)
        self.old = [record.but(version=token) for record in self.old]
        writes: Sequence[Write] = [Replace(self.old[0]), Delete(self.old[1]), Insert(self.new)]
        return await asyncio.to_thread(perish, Job(self.table.url, self.variables, writes, self.token, self.point))

    async def happened(self, store: AzureTablesStore) -> bool:
        """Tell whether all of the commit is seen; if not, nothing is."""
        found = await store.get_many([Ref(type(record), record.key) for record in (*self.old, self.new)])
        after = [self.old[0].but(version=self.token), None, self.new.but(version=self.token)]
        assert found in (after, [*self.old, None])
        return found == after


@asynccontextmanager
async def store_of(table: AzureTable, later: timedelta = timedelta()) -> AsyncIterator[AzureTablesStore]:
    """Open the store so much later, as one that waits for nobody."""
    entities = LaterEntities(await open_entities(parse_url(table.url), table.ids.jitter), later)
    store = AzureTablesStore(entities, SystemClock(), table.ids.jitter, patience=0)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("point", range(1, _POINTS))
async def test_whoever_comes_first_finds_all_or_nothing(
    point: int, azure_table: AzureTable, azure_environment: Emulator
) -> None:
    """A reader, then a rival: its commit on the same records goes through, and what the dead one did stays so."""
    scene = Scene(azure_table, azure_environment, point)
    assert await scene.play()
    async with store_of(azure_table) as reader, store_of(azure_table) as rival:
        happened = await scene.happened(reader)
        current: Record = scene.old[0].but(version=scene.token) if happened else scene.old[0]
        writes: list[Write] = [Replace(current)]
        if not happened:
            writes += [Replace(scene.old[1]), Insert(scene.new)]
        token = azure_table.ids.token()
        await rival.commit(writes, token)
        assert await reader.get(type(current), current.key) == current.but(version=token)


@pytest.mark.parametrize("point", range(1, _POINTS))
async def test_upkeep_leaves_nothing_of_it(point: int, azure_table: AzureTable, azure_environment: Emulator) -> None:
    """Later than a minute: no journal, no mark, and a due row for each record alone; nobody's outcome is changed."""
    scene = Scene(azure_table, azure_environment, point)
    assert await scene.play()
    async with store_of(azure_table, timedelta(minutes=2)) as store:
        happened = await scene.happened(store)
        await store.tidy()
        assert await scene.happened(store) is happened
        for kind in (type(record) for record in (*scene.old, scene.new)):
            await store.due(kind, datetime.now(UTC), 10)
        assert await store.tidy() == 0
    rows = [each.place.row.partition("!")[0] for each in await azure_table.everything()]
    assert rows.count("") == rows.count("due") == 2
    assert len(rows) == 4
    assert not any("mark" in each.values for each in await azure_table.everything())


@pytest.mark.parametrize("said", [{"state": "pending", "records": "?", "due": "[]"}, {"state": "pending"}])
async def test_a_journal_that_was_edited_keeps_no_other_waiting(azure_table: AzureTable, said: Values) -> None:
    """It stays, and the pass says so; those behind it, of its partition and of others, are ended first."""
    sound = journal_values([], "")
    edited, *others = [journal_place(journal_id(token, 0)) for token in (0, 8, 1)]
    assert edited.partition == others[0].partition != others[1].partition
    async with azure_table.entities() as entities:
        for place, values in ((edited, said), *((other, sound) for other in others)):
            await entities.insert(place.partition, {place.row: values})
    async with store_of(azure_table, timedelta(minutes=2)) as store:
        with pytest.raises(StoreInconsistent):
            await store.tidy()
    assert [each.place for each in await azure_table.everything()] == [edited]


async def test_there_are_no_more_points(azure_table: AzureTable, azure_environment: Emulator) -> None:
    """A process that is to die later than at the last ends by itself, having done all."""
    scene = Scene(azure_table, azure_environment, _POINTS)
    assert not await scene.play()
    async with store_of(azure_table) as store:
        assert await scene.happened(store)
    assert len(await azure_table.everything()) == 4
