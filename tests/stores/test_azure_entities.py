"""What a commit on Azure Tables stands on: the service keeps it, and so does the model of it under the explorer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from semel.stores.azure_entities import Bounds, ConditionFailed, Entities, Entity, Place
from semel.testing.clock import START
from semel.testing.fake_entities import FakeEntities
from tests.stores.azure_parts import AzureTable


@pytest.fixture(params=["model", "service"])
def table(request: pytest.FixtureRequest) -> AzureTable | None:
    """Return a new table of the service; ``None`` stands for the model's."""
    return request.getfixturevalue("azure_table") if request.param == "service" else None


@pytest.fixture
async def entities(table: AzureTable | None) -> AsyncIterator[Entities]:
    """Yield an empty table."""
    if table is None:
        yield FakeEntities()
        return
    async with table.entities() as real:
        yield real


async def stands(entities: Entities, *places: Place) -> list[object]:
    return [None if found is None else dict(found.values) for found in await entities.get_many(places)]


async def put(entities: Entities, place: Place, said: str) -> Entity:
    await entities.insert(place.partition, {place.row: {"said": said}})
    (found,) = await entities.get_many([place])
    assert found is not None
    return found


async def test_rows_of_one_partition_are_put_there_together_or_not_at_all(entities: Entities) -> None:
    """One that is taken refuses all."""
    await entities.insert("p", {"a": {"n": 1}, "b": {"n": 2}})
    with pytest.raises(ConditionFailed):
        await entities.insert("p", {"c": {}, "b": {}})
    assert await stands(entities, Place("p", "a"), Place("p", "b"), Place("p", "c")) == [{"n": 1}, {"n": 2}, None]


async def test_who_read_before_another_changed_it_changes_nothing(entities: Entities) -> None:
    """Neither by writing over it nor by deleting it; the one who came first got the entity as it is now."""
    before = await put(entities, Place("p", "a"), "first")
    after = await entities.replace(before, {"said": "second"})
    for change in (entities.replace(before, {}), entities.delete(before)):
        with pytest.raises(ConditionFailed):
            await change
    await entities.delete(after)
    with pytest.raises(ConditionFailed):
        await entities.delete(after)


async def test_no_etag_comes_again(entities: Entities) -> None:
    """Not even where an entity was deleted, and one with the same values put there."""
    first = await put(entities, Place("p", "a"), "it")
    await entities.delete(first)
    await entities.discard(first.place)
    second = await put(entities, Place("p", "a"), "it")
    assert first.etag != second.etag
    with pytest.raises(ConditionFailed):
        await entities.replace(first, {})


async def test_what_is_listed_lies_between_in_order(entities: Entities) -> None:
    """Neither of the bounds, nothing that was deleted, and no more than asked for."""
    await entities.insert("p", {row: {} for row in "dacbe"})
    await entities.discard(Place("p", "c"))
    bounds = Bounds(Place("p", "a"), Place("p", "e"))
    assert [found.place.row for found in await entities.between(bounds, 9)] == ["b", "d"]
    assert [found.place.row for found in await entities.between(bounds, 1)] == ["b"]


async def test_a_discard_needs_nothing_there(entities: Entities) -> None:
    """Nor does it need to know what is there."""
    found = await put(entities, Place("p", "a"), "it")
    await entities.replace(found, {"said": "other"})
    for _ in range(2):
        await entities.discard(found.place)
    assert await stands(entities, found.place) == [None]


async def test_a_change_bears_the_time_of_the_service() -> None:
    """That of the change, not that of the reading."""
    times = iter([START, START + timedelta(seconds=1), START + timedelta(seconds=2)])
    entities = FakeEntities(lambda: next(times))
    assert await entities.time() == START
    found = await put(entities, Place("p", "a"), "it")
    assert found.written_at == START + timedelta(seconds=1)
