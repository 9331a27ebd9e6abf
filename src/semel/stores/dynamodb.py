"""The store on DynamoDB: a commit is one request, which does all or nothing.

Records are read by transactions as well, of reads alone. Plain reads that run beside a transaction, be they strongly
consistent, may find one of its items as it was before and, later on, another one as it is after (see "Isolation levels"
in "DynamoDB transactions: how it works"). Who was refused because of a commit must see all of it.

Whatever the service refuses only because of others that ran beside it (conflicts of transactions, throttling) is sent
again, with growing pauses that no two share. A commit whose answer was lost never is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast
from uuid import UUID

import msgspec
from aiobotocore.session import AioSession

from semel.errors import CommitUnknown, StoreRejected, StoreUnavailable
from semel.model import Key, Record
from semel.ports import Delete, Insert, Page, Ref, Write, in_order
from semel.stores.dynamodb_connect import Bounded, connected
from semel.stores.dynamodb_errors import (
    DRIVER_ERRORS,
    commit_error,
    is_broken,
    is_in_progress,
    is_retried,
    read_error,
    sdk_errors_alone,
    start_error,
)
from semel.stores.dynamodb_items import (
    Item,
    as_item,
    as_record,
    cursor_of,
    due_query,
    fits,
    key_of,
    page_filter,
    primary_key,
    require_shape,
    shards,
    start_of,
)
from semel.stores.dynamodb_url import parse_url

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

__all__ = ["DynamoStore", "open_dynamodb"]

P = ParamSpec("P")
R = TypeVar("R", bound=Record)
T = TypeVar("T")

_TRIES: Final = 15
_PAUSE_SECONDS: Final = 0.02
"""Half of the longest pause before the second try; each further one is twice as long."""
_LONGEST_PAUSE_SECONDS: Final = 0.5
_MOST_WRITES: Final = 100
"""The service's limit for a transaction."""
_READ_AT_ONCE: Final = 50
"""Half of the service's limit: what a transaction reads is 4 MB at most, and so may be records of 80 KB."""
_CONFIRMED_AT_ONCE: Final = 100
"""The service's limit for a batch."""
_SCANNED_FOR_ONE: Final = 8
"""How many items a scan looks at first for one record of the type; there are as many types."""
_SCANNED_AT_MOST: Final = 10_000
_TWICE: Final = "DynamoDB was at work on the commit already, and does not say what came of it."
_HALF_A_SECOND: Final = timedelta(seconds=0.5)


async def open_dynamodb(url: str, *, jitter: Callable[[], float], session: AioSession | None = None) -> DynamoStore:
    """Open the store at the URL (see ``semel.stores.dynamodb_url``).

    ``jitter`` gives numbers from 0 to 1 that spread tries which met each other. ``session`` is the application's own,
    if it has one. Raises ``ConfigurationInvalid`` where the URL is wrong, the SDK finds no region or credentials,
    ``semel migrate`` has not been run, or the table is none of ours; ``StoreUnavailable`` where nobody answers.
    """
    target = parse_url(url)
    async with AsyncExitStack() as closing:
        client = await closing.enter_async_context(connected(target, session))
        try:
            with sdk_errors_alone():
                description = await client.describe_table(TableName=target.table)
        except DRIVER_ERRORS as error:
            raise start_error(error) from None
        require_shape(description["Table"])
        return DynamoStore(client, target.table, jitter=jitter, closing=closing.pop_all())


class DynamoStore:
    """See ``ports.Store``. One event loop uses the store."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, jitter: Callable[[], float], closing: AsyncExitStack
    ) -> None:
        self._client: Final = client
        self._table: Final = table
        self._jitter: Final = jitter
        self._closing: Final = closing
        self._send: Final = Bounded()

    async def get(self, kind: type[R], key: Key) -> R | None:
        """See ``Store.get``."""
        (record,) = await self.get_many([Ref(kind, key)])
        return cast("R | None", record)

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """See ``Store.get_many``. Beyond fifty records, in as many requests side by side as it takes."""
        names = [_stored_name(ref) for ref in refs]
        wanted = list(dict.fromkeys(name for name in names if name is not None))
        answers = await asyncio.gather(*(self._look(some) for some in _portions(wanted, _READ_AT_ONCE)))
        found = dict(zip(wanted, (item for answer in answers for item in answer), strict=True))
        items = [found[name] if name is not None else None for name in names]
        return [as_record(ref.type, item) if item else None for ref, item in zip(refs, items, strict=True)]

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``. Raises ``StoreRejected`` for more than a hundred writes, or a record beyond 400 KB."""
        order = in_order(writes)
        if len(order) > _MOST_WRITES:
            raise StoreRejected(f"DynamoDB takes {_MOST_WRITES} writes in a commit at most.")
        if not order:
            return
        try:
            requests = [self._request(writes[position], token) for position in order]
            request_token = _request_token(token, requests)
        except UnicodeError:
            raise StoreRejected("DynamoDB takes no text that is not Unicode.") from None
        doubt = False
        for attempt in count(1):
            try:
                # By the same token, and by that alone, the service tells what came of a request that it was at work on.
                await self._commit(requests, request_token)
                return
            except DRIVER_ERRORS as error:
                doubt |= is_in_progress(error)
                if attempt == _TRIES or not (is_retried(error) or is_in_progress(error)):
                    raise commit_error(error, order, doubt=doubt) from None
            except StoreUnavailable as error:
                raise (CommitUnknown(_TWICE) if doubt else error) from None
            await self._pause(attempt)

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """See ``Store.due``."""
        hints = await asyncio.gather(*(self._hints(due_query(shard, before), limit) for shard in shards(kind)))
        keys = [item["pk"]["S"] for item in sorted((hint for some in hints for hint in some), key=_when)]
        found: list[R] = []
        for some in _portions(list(dict.fromkeys(keys)), _CONFIRMED_AT_ONCE):
            records = [as_record(kind, item) for item in await self._confirmed(some)]
            found += [one for one in records if one.due_at is not None and one.due_at <= before]
            if len(found) >= limit:
                break
        return sorted(found, key=lambda one: (one.due_at, one.key))[:limit]

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """See ``Store.page``. It passes over the records of all other types: for audits and lists, not for requests.

        A page of no records leads to where it began. Raises ``InvalidInput`` for a cursor of no page of this kind.
        """
        found: list[Item] = []
        at = {"ExclusiveStartKey": start_of(kind, cursor)} if cursor else {}
        if limit < 1:
            return Page((), cursor)
        looked_at = _SCANNED_FOR_ONE * (limit + 1)
        scan = partial(self._client.scan, TableName=self._table, ConsistentRead=True, **page_filter(kind))
        while len(found) <= limit:
            answer = await self._read(scan, Limit=min(looked_at, _SCANNED_AT_MOST), **at)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            at = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
            looked_at *= 2
        records = tuple(as_record(kind, item) for item in found[:limit])
        return Page(records, cursor_of(records[-1]) if len(found) > limit else None)

    async def ping(self) -> datetime:
        """See ``Store.ping``: the middle of the second that the service names in its answer to a look at the table."""
        answer = await self._read(self._client.get_item, TableName=self._table, Key=key_of("ping"))
        try:
            return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) + _HALF_A_SECOND
        except (KeyError, ValueError):
            raise StoreUnavailable("DynamoDB's answer does not say what time it is.") from None

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._closing.aclose()

    def _request(self, write: Write, token: int) -> dict[str, Any]:
        """Return the parameters of a write that stands alone; a transaction takes the same."""
        record, request = write.record, {"TableName": self._table}
        item = as_item(record, token)
        if not fits(item["pk"]["S"]):
            raise StoreRejected(f"DynamoDB takes no key as long as that of this {record.TYPE}.")
        if isinstance(write, Insert):
            return {**request, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        what = {"Key": {"pk": item["pk"]}} if isinstance(write, Delete) else {"Item": item}
        expected = {":version": {"N": str(record.version)}}
        return {
            **request,
            **what,
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": expected,
        }

    async def _commit(self, requests: Sequence[dict[str, Any]], request_token: str) -> None:
        if len(requests) > 1:
            # The token is an extra, against a request that is sent twice on the way: nothing rests on it.
            items = [{"Put" if "Item" in request else "Delete": request} for request in requests]
            await self._send(
                self._client.transact_write_items, TransactItems=cast("Any", items), ClientRequestToken=request_token
            )
        elif "Item" in requests[0]:
            await self._send(self._client.put_item, **requests[0])
        else:
            await self._send(self._client.delete_item, **requests[0])

    async def _look(self, names: Sequence[str]) -> list[Item | None]:
        """Return the items under these names, as one moment shows them."""
        looks = [{"Get": {"TableName": self._table, "Key": key_of(name)}} for name in names]
        answer = await self._read(self._client.transact_get_items, TransactItems=cast("Any", looks))
        return [each.get("Item") for each in answer["Responses"]]

    async def _hints(self, query: dict[str, Any], limit: int) -> list[Item]:
        """Return up to so many keys that the index has, the earliest first."""
        found: list[Item] = []
        at: dict[str, Any] = {}
        while len(found) < limit:
            answer = await self._read(
                self._client.query, TableName=self._table, Limit=limit - len(found), **query, **at
            )
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            at = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found

    async def _confirmed(self, names: Iterable[str]) -> list[Item]:
        """Return those of the items that are there."""
        found: list[Item] = []
        keys: Any = [key_of(name) for name in names]
        for attempt in count(1):
            wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
            answer = await self._read(self._client.batch_get_item, RequestItems=wanted)
            found += answer["Responses"].get(self._table, [])
            if not answer["UnprocessedKeys"]:
                break
            left = answer["UnprocessedKeys"][self._table]["Keys"]
            if len(left) == len(keys):
                # The service had no capacity for a single one.
                if attempt >= _TRIES:
                    break
                await self._pause(attempt)
            keys = left
        return found

    async def _read(self, send: Callable[P, Awaitable[T]], *args: P.args, **parameters: P.kwargs) -> T:
        """Send what changes nothing, so that it may be sent again."""
        broken, attempt = False, 0
        while True:
            attempt += 1
            try:
                return await self._send(send, *args, **parameters)
            except DRIVER_ERRORS as error:
                if attempt == _TRIES or not (is_retried(error) or (is_broken(error) and not broken)):
                    raise read_error(error) from None
                broken |= is_broken(error)
            await self._pause(attempt)

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(self._jitter() * min(_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS))


def _stored_name(ref: Ref) -> str | None:
    """Return the partition key, ``None`` for one that nothing can be stored under."""
    try:
        name = primary_key(ref.type, ref.key)
    except UnicodeError:
        return None
    return name if fits(name) else None


def _when(hint: Item) -> str:
    moment: str = hint["due_at"]["S"]
    return moment


def _request_token(token: int, requests: Sequence[dict[str, Any]]) -> str:
    """Return the client's token of a commit's requests: the same for every try, and for no other commit.

    Of two commits that delete the same, one must be refused: so the commit's own token is part of it. So is what the
    commit writes, since the service takes a token that it has seen with other writes for a mistake.
    """
    said = msgspec.json.encode((token, requests))
    return str(UUID(bytes=blake2b(said, digest_size=16).digest()))


def _portions(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]
