"""The faults before DynamoDB: each comes, is counted, and is what the service does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from semel.stores.dynamodb_connect import connected
from semel.stores.dynamodb_migrate import migrate_table
from semel.stores.dynamodb_url import parse_url
from semel.testing.aws_faults import INVISIBLE, AwsFault, AwsFaults
from semel.testing.clock import SequentialIds
from tests.emulators import Emulator

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

COUNT = 12


@pytest.fixture
def url(dynamodb: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in dynamodb.variables.items():
        monkeypatch.setenv(name, value)
    return dynamodb.new_url()


class Table:
    """A table as the faults show it, with items ``0`` to ``11`` in it."""

    def __init__(self, client: "DynamoDBClient", name: str, faults: AwsFaults) -> None:
        self.client = client
        self.name = name
        self.faults = faults

    async def put(self, key: str, value: str) -> None:
        item: Any = {"pk": {"S": key}, "value": {"S": value}, "due_shard": {"S": "all"}, "due_at": {"S": value}}
        await self.client.put_item(TableName=self.name, Item=item)

    async def scan(self, **parameters: Any) -> list[list[str]]:  # noqa: ANN401 - whatever a scan takes
        """Return the keys of all pages."""
        pages: list[list[str]] = []
        at: Any = {}
        while True:
            answer = await self.client.scan(TableName=self.name, **parameters, **at)
            pages.append([str(item["pk"]["S"]) for item in answer["Items"]])
            if "LastEvaluatedKey" not in answer:
                return pages
            at = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def due(self) -> list[str]:
        answer = await self.client.query(
            TableName=self.name,
            IndexName="due",
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": "all"}},
        )
        return [str(item["pk"]["S"]) for item in answer["Items"]]

    async def read(self, key: str) -> str | None:
        """Read by no transaction."""
        answer = await self.client.get_item(TableName=self.name, Key={"pk": {"S": key}}, ConsistentRead=True)
        return str(answer["Item"]["value"]["S"]) if "Item" in answer else None

    async def write_both(self, value: str) -> None:
        """Write two items by a transaction."""
        writes: Any = [
            {"Put": {"TableName": self.name, "Item": {"pk": {"S": key}, "value": {"S": value}}}} for key in ("a", "b")
        ]
        await self.client.transact_write_items(TransactItems=writes)


@asynccontextmanager
async def faulty(url: str, *always: AwsFault, chance: float | None = None) -> AsyncIterator[Table]:
    """Yield a table of twelve items, with the faults before it. ``chance`` is drawn in place of varying numbers."""
    await migrate_table(url)
    faults = AwsFaults(*always, jitter=SequentialIds("faults").jitter if chance is None else lambda: chance)
    async with connected(parse_url(url), None) as plain, connected(parse_url(url), faults.session()) as client:
        name = parse_url(url).table
        for at in range(COUNT):
            await Table(plain, name, faults).put(f"{at:02}", "old")
        yield Table(client, name, faults)


def everything() -> list[str]:
    return [f"{at:02}" for at in range(COUNT)]


def joined(pages: list[list[str]]) -> list[str]:
    return [key for page in pages for key in page]


async def test_without_faults_nothing_is_changed(url: str) -> None:
    """The order of keys is the emulator's own kindness."""
    async with faulty(url) as table:
        assert await table.scan() == [everything()]
        assert sorted(await table.due()) == everything()
        assert table.faults.met.total() == 0


async def test_pages_are_small(url: str) -> None:
    """Each has a few items, and those of a filter perhaps none; a batch leaves the rest undone."""
    async with faulty(url, AwsFault.SMALL_PAGES) as table:
        pages = await table.scan()
        assert joined(pages) == everything()
        assert max(map(len, pages)) <= 4
        filtered: Any = {"FilterExpression": "pk = :one", "ExpressionAttributeValues": {":one": {"S": "11"}}}
        found = await table.scan(**filtered)
        assert (found[0], joined(found)) == ([], ["11"])
        keys: Any = {table.name: {"Keys": [{"pk": {"S": key}} for key in everything()]}}
        answer = await table.client.batch_get_item(RequestItems=keys)
        left = answer["UnprocessedKeys"][table.name]["Keys"]
        assert len(left) + len(answer["Responses"][table.name]) == COUNT
        assert left
        assert table.faults.met[AwsFault.SMALL_PAGES] == len(pages) + len(found) + 1


async def test_scans_are_shuffled(url: str) -> None:
    """Always in the same order, from any key on, and each item once, by any limit."""
    async with faulty(url, AwsFault.SHUFFLED) as table:
        (whole,) = await table.scan()
        assert whole != everything()
        assert sorted(whole) == everything()
        for limit in (1, 5, COUNT):
            assert joined(await table.scan(Limit=limit)) == whole
        filtered: Any = {"FilterExpression": "pk < :six", "ExpressionAttributeValues": {":six": {"S": "06"}}}
        assert joined(await table.scan(Limit=2, **filtered)) == [key for key in whole if key < "06"]
        assert table.faults.met[AwsFault.SHUFFLED] == table.faults.sent["Scan"]


async def test_the_index_is_stale(url: str) -> None:
    """It knows nothing at first, and then what was there two looks ago."""
    async with faulty(url, AwsFault.STALE_INDEX) as table:
        assert [len(await table.due()) for _ in range(3)] == [0, 0, COUNT]
        await table.put("new", "new")
        assert [len(await table.due()) for _ in range(3)] == [COUNT, COUNT, COUNT + 1]
        assert table.faults.met[AwsFault.STALE_INDEX] == 6


async def test_a_transaction_is_half_seen(url: str) -> None:
    """By plain reads, while it is under way. Other transactions conflict with it; once it is answered all see it."""
    async with faulty(url, AwsFault.HALF_SEEN) as table:
        await table.write_both("1")
        seen, refused = set(), 0
        for turn in range(2, 12):
            writing = asyncio.ensure_future(table.write_both(str(turn)))
            while not writing.done():
                seen.add((await table.read("a"), await table.read("b")))
                try:
                    await table.client.transact_get_items(
                        TransactItems=[{"Get": {"TableName": table.name, "Key": {"pk": {"S": "a"}}}}]
                    )
                except ClientError as error:
                    refused += error.response["Error"]["Code"] == "TransactionCanceledException"
            await writing
            assert (await table.read("a"), await table.read("b")) == (str(turn), str(turn))
        assert any(first != second for first, second in seen)
        assert refused > 0
        assert table.faults.met[AwsFault.HALF_SEEN] == 11


async def test_requests_are_refused_for_the_sake_of_others(url: str) -> None:
    """The first of its kind by the throttle, the second by a conflict, and more by chance alone: nothing is done."""
    async with faulty(url, AwsFault.THROTTLED, AwsFault.CONFLICT, chance=1) as table:
        for code in ("ProvisionedThroughputExceededException", "TransactionConflictException"):
            with pytest.raises(ClientError, match=code):
                await table.put("new", code)
        for reason in ("ProvisionedThroughputExceeded", "TransactionConflict"):
            with pytest.raises(ClientError) as refused:
                await table.write_both(reason)
            reasons: Any = refused.value.response["CancellationReasons"]
            assert [each["Code"] for each in reasons] == ["None", reason]
        assert table.faults.met == {AwsFault.THROTTLED: 2, AwsFault.CONFLICT: 2}
        with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
            await table.read("new")
        assert await table.read("new") is None


async def test_chance_refuses_more_of_them(url: str) -> None:
    """As often as the numbers say."""
    async with faulty(url, AwsFault.THROTTLED, chance=0) as table:
        for _ in range(5):
            with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
                await table.read("new")
        assert table.faults.met == {AwsFault.THROTTLED: 5}


@pytest.mark.parametrize(
    ("fault", "raised", "done"),
    [
        (AwsFault.LOST, ReadTimeoutError, True),
        (AwsFault.DROPPED, ReadTimeoutError, False),
        (AwsFault.BROKEN, ConnectionClosedError, True),
        (AwsFault.UNAVAILABLE, ClientError, False),
        (AwsFault.IN_PROGRESS, ClientError, True),
        (AwsFault.THROTTLED, ClientError, False),
    ],
)
async def test_a_planned_fault_comes_once(url: str, fault: AwsFault, raised: type[Exception], *, done: bool) -> None:
    """To the request it was planned for, and to no other."""
    async with faulty(url) as table:
        table.faults.next("PutItem", fault)
        assert await table.read("00") == "old"
        with pytest.raises(raised):
            await table.put("00", "new")
        assert await table.read("00") == ("new" if done else "old")
        await table.put("00", "newer")
        assert table.faults.met == {fault: 1}


def test_what_loses_answers_does_not_go_on_all_the_while() -> None:
    """And what goes on is not planned."""
    for fault in set(AwsFault) - set(INVISIBLE):
        with pytest.raises(ValueError, match="call next"):
            AwsFaults(fault, jitter=SequentialIds().jitter)
