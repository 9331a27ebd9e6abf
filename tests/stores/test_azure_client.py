"""The table as the store sees it: what its requests do, and what each of their ends is taken for."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from semel.errors import StoreRejected, StoreUnavailable
from semel.stores.azure_client import AT_ONCE, TableEntities
from semel.stores.azure_entities import Bounds, ConditionFailed, Entity, NotAnswered, Place, Values
from semel.testing.azure_faults import CHANGES, READINGS, AzureFault, AzureFaults
from tests.emulators import Emulator
from tests.services import free_port
from tests.stores.azure_parts import AzureTable, hung_up

HUSH = "hush-hush"
HERE = Place("identifier!00!ann=40example.org")
VALUES: Values = {"text": "é😀 '\"\\\x1f", "version": -(2**63), "small": 7, "yes": True, "no": False}
ABSENT = Entity(Place("nobody"), {}, "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\"")
DOUBTFUL = [fault for fault in AzureFault if fault.name.endswith("_DONE")] + [
    AzureFault.BUSY,
    AzureFault.FAILED,
    AzureFault.GATEWAY,
    AzureFault.PORTAL,
    AzureFault.TIMED_OUT,
    AzureFault.LATE,
    AzureFault.BROKEN,
]
PASSING = [AzureFault.BUSY, AzureFault.HELD_BACK, AzureFault.BROKEN]

Act = Callable[[TableEntities, Entity], Awaitable[object]]
ACTS: Mapping[str, Act] = {
    "get": lambda entities, _: entities.get_many([HERE]),
    "query": lambda entities, _: entities.between(Bounds(Place("a"), Place("z")), 10),
    "insert": lambda entities, _: entities.insert("another", {"": VALUES}),
    "transaction": lambda entities, _: entities.insert("another", {"1": VALUES, "2": VALUES}),
    "replace": lambda entities, standing: entities.replace(standing, VALUES),
    "delete": lambda entities, standing: entities.delete(standing),
}


@asynccontextmanager
async def standing(table: AzureTable, faults: AzureFaults | None = None) -> AsyncIterator[tuple[TableEntities, Entity]]:
    """Yield the table's entities, and one that stands there."""
    async with table.entities(faults) as entities:
        (entity,) = await entities.insert(HERE.partition, {HERE.row: VALUES})
        yield entities, entity


async def test_what_is_written_is_read(azure_table: AzureTable) -> None:
    """Text to the letter, 64 bits of a number, truths as truths; alone and in a transaction."""
    async with standing(azure_table) as (entities, entity):
        both = await entities.insert("two", {"1": VALUES, "2": VALUES})
        found = await entities.get_many([HERE, Place("nobody"), Place("two", "1"), Place("two", "2")])
        assert [each and (each.place, each.values, each.etag) for each in found] == [
            each and (each.place, each.values, each.etag) for each in (entity, None, *both)
        ]
        values = found[0].values if found[0] else {}
        assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in VALUES.items()}


async def test_every_change_has_a_condition(azure_table: AzureTable) -> None:
    """A place that is taken, an ETag of before, nothing there: refused, and nothing is changed."""
    async with standing(azure_table) as (entities, old):
        new = await entities.replace(old, {"version": 2})
        for refused in (
            entities.insert(HERE.partition, {HERE.row: {}}),
            entities.insert(HERE.partition, {"first": {}, HERE.row: {}}),
            entities.replace(old, {}),
            entities.delete(old),
            entities.replace(ABSENT, {}),
            entities.delete(ABSENT),
        ):
            with pytest.raises(ConditionFailed):
                await refused
        found = await azure_table.everything()
        assert [(each.place, each.values, each.etag) for each in found] == [(HERE, {"version": 2}, new.etag)]
        await entities.delete(new)
        await entities.discard(HERE)
        assert await azure_table.everything() == []


async def test_pages_follow_the_order_of_places(azure_table: AzureTable) -> None:
    """Over many partitions, and over the rows of one; whatever ends a page early, and however many are asked for."""
    faults = AzureFaults()
    faults.every(3, ["query"], AzureFault.EMPTY_PAGE)
    faults.every(2, ["query"], AzureFault.SHORT_PAGE)
    async with azure_table.entities(faults) as entities:
        for number in (3, 1, 4, 2, 5):
            await entities.insert(f"part!{number}", {"": {}})
            await entities.insert("rows", {f"'{number}": {}})
        parts, rows = Bounds(Place("part!1"), Place("part!~")), Bounds(Place("rows", "'1"), Place("rows", "'5"))
        for limit, count in ((2, 2), (3, 3), (4, 4), (5, 4), (2000, 4)):
            found = await entities.between(parts, limit)
            assert [each.place for each in found] == [Place(f"part!{number}") for number in (2, 3, 4, 5)[:count]]
        assert [each.place.row for each in await entities.between(rows, 10)] == ["'2", "'3", "'4"]
        assert await entities.between(Bounds(Place("part!5"), Place("part!~")), 10) == []
    assert faults.met["query", AzureFault.EMPTY_PAGE]
    assert faults.met["query", AzureFault.SHORT_PAGE]


@pytest.mark.parametrize("fault", DOUBTFUL, ids=lambda fault: fault.value)
@pytest.mark.parametrize("operation", CHANGES)
async def test_a_change_in_doubt_is_sent_once(operation: str, fault: AzureFault, azure_table: AzureTable) -> None:
    """Whatever the service or somebody in between says, or does not say: nobody sends it again."""
    faults = AzureFaults()
    async with standing(azure_table, faults) as (entities, entity):
        faults.next(operation, fault)
        sent = faults.sent[operation]
        with pytest.raises(NotAnswered):
            await ACTS[operation](entities, entity)
        assert (faults.sent[operation] - sent, faults.spent) == (1, True)


@pytest.mark.parametrize("operation", CHANGES)
async def test_a_change_that_was_not_read_is_sent_again(operation: str, azure_table: AzureTable) -> None:
    """Some times; then the service counts as unavailable, since it is certain that nothing was changed."""
    faults = AzureFaults()
    async with standing(azure_table, faults) as (entities, entity):
        before = await azure_table.everything()
        faults.next(operation, *[AzureFault.HELD_BACK] * 5)
        with pytest.raises(StoreUnavailable):
            await ACTS[operation](entities, entity)
        assert await azure_table.everything() == before
        faults.next(operation, AzureFault.HELD_BACK)
        await ACTS[operation](entities, entity)
        assert await azure_table.everything() != before


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.value)
@pytest.mark.parametrize("operation", READINGS)
async def test_a_reading_is_asked_again(operation: str, fault: AzureFault, azure_table: AzureTable) -> None:
    """Where the service is busy or a kept connection has broken; not for ever."""
    faults = AzureFaults()
    async with standing(azure_table, faults) as (entities, entity):
        faults.next(operation, fault)
        assert await ACTS[operation](entities, entity)
        faults.next(operation, *[fault] * 5)
        with pytest.raises(StoreUnavailable):
            await ACTS[operation](entities, entity)
        assert faults.spent


@pytest.mark.parametrize("fault", [AzureFault.FAILED, AzureFault.GATEWAY, AzureFault.PORTAL, AzureFault.TIMED_OUT])
@pytest.mark.parametrize("operation", READINGS)
async def test_a_reading_without_answer_is_unavailable(
    operation: str, fault: AzureFault, azure_table: AzureTable
) -> None:
    """At once: whoever asked has waited long enough."""
    faults = AzureFaults()
    async with standing(azure_table, faults) as (entities, entity):
        faults.next(operation, fault)
        with pytest.raises(StoreUnavailable):
            await ACTS[operation](entities, entity)
        assert faults.sent[operation] == 1


@pytest.mark.parametrize("operation", ACTS)
@pytest.mark.parametrize(
    ("fault", "says"), [(AzureFault.FORBIDDEN, "AuthorizationPermissionMismatch"), (AzureFault.TOO_LARGE, "1 MiB")]
)
async def test_what_is_refused_for_good_says_why(
    operation: str, fault: AzureFault, says: str, azure_table: AzureTable
) -> None:
    """By the service's own code, or the limit that it means."""
    faults = AzureFaults()
    async with standing(azure_table, faults) as (entities, entity):
        faults.next(operation, fault)
        with pytest.raises(StoreRejected, match=says):
            await ACTS[operation](entities, entity)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"": {"text": HUSH * 8000}}, "at most 64 KiB"),
        ({str(row): {str(name): HUSH * 3000 for name in range(10)} for row in range(20)}, "at most 4 MiB"),
        ({HUSH * 800: {"version": 1}}, "InvalidInput"),
    ],
)
async def test_what_is_too_large_is_rejected(rows: Mapping[str, Values], says: str, azure_table: AzureTable) -> None:
    """The error names the limit and never the value."""
    async with azure_table.entities() as entities:
        with pytest.raises(StoreRejected, match=says) as rejected:
            await entities.insert("here", rows)
    await hung_up()  # the service answers before it has read all of 4 MiB
    assert HUSH not in f"{rejected.value!r} {rejected.value.__cause__!r}"
    assert rejected.value.__suppress_context__


@pytest.mark.parametrize("operation", ACTS)
async def test_a_table_that_is_gone_says_what_to_run(operation: str, azure_environment: Emulator) -> None:
    """Not even a conditional delete takes it for done."""
    async with AzureTable(azure_environment.new_url()).entities() as entities:
        with pytest.raises(StoreRejected, match="semel migrate"):
            await ACTS[operation](entities, ABSENT)


@pytest.mark.parametrize("operation", ACTS)
async def test_where_nobody_listens_nothing_was_changed(
    operation: str, azure_environment: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is refused leaves no change in doubt."""
    _point_elsewhere(azure_environment, free_port(), monkeypatch)
    async with AzureTable(azure_environment.new_url()).entities() as entities:
        with pytest.raises(StoreUnavailable):
            await ACTS[operation](entities, ABSENT)


@pytest.mark.parametrize("operation", CHANGES)
async def test_a_kept_connection_that_breaks_sends_nothing_twice(
    operation: str, azure_environment: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes the second request of the connection, and hangs up: the HTTP library would send it again."""
    taken: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            taken.append(head.split()[0].decode())
            if taken[-1] != "GET":
                break
            writer.write(b"HTTP/1.1 404 Absent\r\nx-ms-error-code: ResourceNotFound\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        _point_elsewhere(azure_environment, server.sockets[0].getsockname()[1], monkeypatch)
        async with AzureTable(azure_environment.new_url()).entities() as entities:
            await entities.get_many([HERE])
            with pytest.raises(NotAnswered):
                await ACTS[operation](entities, ABSENT)
    assert len(taken) == 2


@pytest.mark.parametrize(("beginning", "dribble"), [(b"", b""), (b"HTTP/1.1 200 OK\r\nContent-Type: text", b"/")])
async def test_a_server_that_never_ends_its_answer_is_given_up(
    beginning: bytes, dribble: bytes, azure_environment: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change is in doubt then, a reading unavailable; and what has no turn by then was never sent."""
    done, serving = asyncio.Event(), set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        while not done.is_set():
            writer.write(dribble)
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _point_elsewhere(azure_environment, server.sockets[0].getsockname()[1], monkeypatch)
        async with AzureTable(azure_environment.new_url()).entities() as entities:
            acts = [ACTS[operation](entities, ABSENT) for operation in ACTS]
            acts += [entities.replace(ABSENT, {}) for _ in range(AT_ONCE)]
            met = await asyncio.gather(*acts, return_exceptions=True)
            done.set()
            await asyncio.gather(*filter(None, serving))
    ends = Counter(map(type, met))
    assert [type(each) for each in met[:2]] == [StoreUnavailable] * 2
    assert ends.keys() == {StoreUnavailable, NotAnswered}
    assert AT_ONCE - 2 <= ends[NotAnswered] <= AT_ONCE


async def test_no_log_names_a_key(azure_table: AzureTable, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where the application logs all that libraries say."""
    with caplog.at_level(logging.DEBUG):
        async with standing(azure_table) as (entities, _):
            await entities.get_many([HERE])
    assert "example.org" not in caplog.text


async def test_the_time_is_the_services(azure_table: AzureTable) -> None:
    """As near to ours as its clock is, to the second."""
    async with azure_table.store() as store, azure_table.entities() as entities:
        first = await store.ping()
        (entity,) = await entities.insert("now", {"": {}})
        (found,) = await entities.get_many([entity.place])
        assert found is not None
        assert found.written_at is not None
        assert (found.written_at - first).total_seconds() > -1


@pytest.mark.parametrize("fault", [AzureFault.PORTAL, AzureFault.GATEWAY, AzureFault.TIMED_OUT])
async def test_a_time_that_is_not_told_is_unavailable(fault: AzureFault, azure_table: AzureTable) -> None:
    """Whoever answers in place of the service; one that is busy is asked again."""
    faults = AzureFaults()
    async with azure_table.entities(faults) as entities:
        faults.next("get", fault)
        with pytest.raises(StoreUnavailable):
            await entities.time()
        faults.next("get", AzureFault.BUSY)
        assert (await entities.time()).tzinfo is not None
        assert faults.spent


def _point_elsewhere(server: Emulator, port: int, environment: pytest.MonkeyPatch) -> None:
    ((name, value),) = server.variables.items()
    environment.setenv(name, value.replace(f":{server.port}/", f":{port}/"))
