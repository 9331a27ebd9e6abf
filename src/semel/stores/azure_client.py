"""``Entities`` over the service itself: each call is one request, mapped to the port's errors.

A change is sent once, whatever comes of it. The SDK's own repetitions are switched off (``azure_connect``), since what
it repeats in doubt would be refused by its own first success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar, cast

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables import EdmType, EntityProperty, TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from semel.errors import StoreUnavailable
from semel.stores.azure_entities import Bounds, Entity, Place, Value, Values
from semel.stores.azure_errors import (
    SDK_ERRORS,
    change_error,
    is_absent,
    is_broken,
    is_busy,
    is_held_back,
    read_error,
    start_error,
)
from semel.stores.azure_url import AzureTarget

__all__ = ["AT_ONCE", "TableEntities"]

T = TypeVar("T")
Answer = PipelineResponse[HttpRequest, AsyncHttpResponse]

AT_ONCE: Final = 64
"""How many requests a process has under way; each has a connection to itself."""
_WAIT_SECONDS: Final = 3.0
"""How long a request waits for its turn."""
_SERVICE_SECONDS: Final = 5
"""After which the service gives a request up. Entity group transactions know no such bound."""
_ANSWER_SECONDS: Final = 7.0
"""How long an answer is waited for."""
_TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.05
"""Half of the longest pause before the second try; each further one is twice as long."""
_PAGE: Final = 1000
"""What the service gives at most in one page."""
_ONE_PARTITION: Final = "PartitionKey eq @partition and RowKey gt @after and RowKey lt @before"
_PARTITIONS: Final = "PartitionKey gt @after and PartitionKey lt @before"
_NOWHERE: Final = Place("nowhere")


class TableEntities:
    """See ``Entities``. One event loop uses it; ``also_closes`` gives up what the client's credential holds.

    ``jitter`` gives numbers from 0 to 1 that spread repeated requests.
    """

    def __init__(
        self, client: TableClient, jitter: Callable[[], float], also_closes: Callable[[], Awaitable[None]]
    ) -> None:
        self._client: Final = client
        self._jitter: Final = jitter
        self._also_closes: Final = also_closes
        self._turns: Final = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    async def get_many(self, places: Sequence[Place]) -> list[Entity | None]:
        """See ``Entities.get_many``: side by side, a request each."""
        found = await asyncio.gather(*map(self._get, places), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return cast("list[Entity | None]", found)

    async def insert(self, partition: str, rows: Mapping[str, Values]) -> list[Entity]:
        """See ``Entities.insert``: several rows are one entity group transaction."""
        places = [Place(partition, row) for row in rows]
        columns = [_columns(place, values) for place, values in zip(places, rows.values(), strict=True)]

        async def insert() -> Sequence[Mapping[str, Any]]:
            if len(columns) > 1:
                return await self._client.submit_transaction([("create", each) for each in columns])
            # What was written need not be sent back.
            preference = {"response_preference": "return-no-content"}
            return [await self._client.create_entity(columns[0], timeout=_SERVICE_SECONDS, **preference)]

        written = await self._change(insert)
        return [
            Entity(place, values, answer["etag"])
            for place, values, answer in zip(places, rows.values(), written, strict=True)
        ]

    async def replace(self, entity: Entity, values: Values) -> Entity:
        """See ``Entities.replace``."""

        async def replace() -> Mapping[str, Any]:
            return await self._client.update_entity(
                _columns(entity.place, values),
                UpdateMode.REPLACE,
                etag=entity.etag,
                match_condition=MatchConditions.IfNotModified,
                timeout=_SERVICE_SECONDS,
            )

        return Entity(entity.place, values, (await self._change(replace))["etag"])

    async def delete(self, entity: Entity) -> None:
        """See ``Entities.delete``."""
        condition = {"etag": entity.etag, "match_condition": MatchConditions.IfNotModified}
        await self._delete(entity.place, raw_response_hook=_refuse_absence, **condition)

    async def discard(self, place: Place) -> None:
        """See ``Entities.discard``."""
        await self._delete(place)

    async def between(self, bounds: Bounds, limit: int) -> list[Entity]:
        """See ``Entities.between``. A page may be short, or empty, and not be the last."""
        after, before = bounds.after, bounds.before
        if after.partition == before.partition:
            chosen, given = _ONE_PARTITION, {"partition": after.partition, "after": after.row, "before": before.row}
        else:
            chosen, given = _PARTITIONS, {"after": after.partition, "before": before.partition}
        found: list[Entity] = []
        token: Any = {}
        while token is not None and len(found) < limit:
            page, token = await self._page(chosen, given, min(limit - len(found), _PAGE), token)
            found += page
        return found

    async def time(self) -> datetime:
        """See ``Entities.time``. Raises ``StoreRejected`` where the table is not there."""
        times: list[str] = []

        def look(answer: Answer) -> None:
            times.append(answer.http_response.headers.get("Date", ""))

        await self._get(_NOWHERE, raw_response_hook=look)
        try:
            return parsedate_to_datetime(times[-1]).astimezone(UTC)
        except ValueError:
            raise StoreUnavailable("Azure Tables does not tell its time.") from None

    async def check(self, target: AzureTarget) -> None:
        """Raise ``ConfigurationInvalid`` where the service or its table is not as this store needs it."""
        await self._get(_NOWHERE, partial(start_error, target))

    async def close(self) -> None:
        """See ``Entities.close``."""
        self._closed = True
        await self._client.close()
        await self._also_closes()

    async def _get(
        self,
        place: Place,
        meaning: Callable[[Exception], Exception] = read_error,
        **options: Any,  # noqa: ANN401 - the SDK's
    ) -> Entity | None:
        async def get() -> TableEntity | None:
            try:
                return await self._client.get_entity(place.partition, place.row, timeout=_SERVICE_SECONDS, **options)
            except HttpResponseError as error:
                if is_absent(error):
                    return None
                raise

        found = await self._read(get, meaning)
        return None if found is None else _entity(found)

    async def _page(
        self, chosen: str, given: dict[str, Any], size: int, token: object
    ) -> tuple[list[Entity], dict[str, str] | None]:
        async def fetch() -> tuple[list[Entity], dict[str, str] | None]:
            found = self._client.query_entities(
                chosen, parameters=given, results_per_page=size, timeout=_SERVICE_SECONDS
            )
            pages = found.by_page(token)  # type: ignore[arg-type] # a mapping here, not a text as elsewhere in the SDK
            page = [_entity(entity) async for entity in await anext(pages)]
            return page, cast("Any", pages).continuation_token

        return await self._read(fetch)

    async def _delete(self, place: Place, **options: Any) -> None:  # noqa: ANN401 - the SDK's
        async def delete() -> None:
            await self._client.delete_entity(place.partition, place.row, timeout=_SERVICE_SECONDS, **options)

        await self._change(delete)

    async def _read(
        self, send: Callable[[], Awaitable[T]], meaning: Callable[[Exception], Exception] = read_error
    ) -> T:
        """Ask, and again where the service is busy or a connection broke: it changes nothing."""
        return await self._repeated(send, lambda error: is_busy(error) or is_broken(error), meaning)

    async def _change(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send a change; again only where it is certain that it was not even read."""
        return await self._repeated(send, is_held_back, change_error)

    async def _repeated(
        self,
        send: Callable[[], Awaitable[T]],
        again: Callable[[Exception], bool],
        meaning: Callable[[Exception], Exception],
    ) -> T:
        for attempt in count(1):
            try:
                async with self._turn():
                    return await send()
            except SDK_ERRORS as error:
                if attempt == _TRIES or not again(error):
                    raise meaning(error) from None
            await asyncio.sleep(self._jitter() * _PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")  # the type checker does not know that counting has no end

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a connection to be free; then bound the time of what is done with it."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreUnavailable("Too many requests to Azure Tables are under way.") from None
        try:
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            async with asyncio.timeout(_ANSWER_SECONDS):
                yield
        finally:
            self._turns.release()


def _columns(place: Place, values: Values) -> dict[str, Any]:
    """Return an entity as the SDK has it. A version has 64 bits, and would be sent with 32."""
    whole = {
        name: EntityProperty(value, EdmType.INT64) if type(value) is int else value for name, value in values.items()
    }
    return {"PartitionKey": place.partition, "RowKey": place.row, **whole}


def _entity(found: TableEntity) -> Entity:
    values = {
        name: cast("Value", value.value if isinstance(value, EntityProperty) else value)
        for name, value in found.items()
        if name not in {"PartitionKey", "RowKey"}
    }
    place, about = Place(found["PartitionKey"], found["RowKey"]), found.metadata
    return Entity(place, values, cast("str", about["etag"]), about["timestamp"])


def _refuse_absence(answer: Answer) -> None:
    """The SDK takes a delete of nothing for done, which a conditional one is not."""
    if answer.http_response.status_code == 404:  # noqa: PLR2004 - HTTP's
        raise change_error(HttpResponseError(response=answer.http_response))
