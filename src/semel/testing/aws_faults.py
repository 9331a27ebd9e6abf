"""DynamoDB as it is, over a server that is kinder: faults where botocore sends its HTTP requests.

Emulators never throttle, seldom conflict, keep an index up to date, scan in the order of keys and show a transaction's
items all at once. The service promises none of that. ``AwsFaults`` stands between the SDK and any server that checks no
signatures::

    faults = AwsFaults(*INVISIBLE, jitter=SequentialIds().jitter)
    store = await open_dynamodb(URL, jitter=ids.jitter, session=faults.session())

What the service may do at any time goes on all the while; what loses an answer is planned for single requests. Each
fault that came is counted in ``met``: a test of one that never came tests nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from enum import Enum
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from typing_extensions import override

__all__ = ["INVISIBLE", "AwsFault", "AwsFaults"]

_RATE: Final = 0.1
"""The share of requests that meet a conflict, and of those that meet the throttle."""
_PAGE: Final = 4
"""How many items a page has at most, where the service has megabytes."""
_LAG: Final = 2
"""How many looks the index is behind."""
_HALF_SEEN_SECONDS: Final = 0.005
"""How long a transaction is done for one half of its items and not for the other."""

_PLAIN: Final = frozenset({"GetItem", "BatchGetItem"})
_TRANSACTIONS: Final = frozenset({"TransactGetItems", "TransactWriteItems"})
_CONFLICTING: Final = _TRANSACTIONS | {"PutItem", "DeleteItem"}
_DATA: Final = _PLAIN | _CONFLICTING | {"Query", "Scan"}

Body = dict[str, Any]
# botocore's requests and answers, whose published types are those of other classes.
Prepared = Any
Answer = Any
Send = Callable[[Prepared], Awaitable[Answer]]


class AwsFault(Enum):
    """What can happen to a request."""

    CONFLICT = "conflict"
    """Another transaction has one of its items: nothing is done."""
    THROTTLED = "throttled"
    """There are too many requests, for the table or one of its partitions: nothing is done."""
    SMALL_PAGES = "small pages"
    """A page ends after a few items, as it does at 1 MB, also where nothing of it is left; a batch is done in part."""
    STALE_INDEX = "stale index"
    """The index answers what was true some looks ago, and at first nothing."""
    SHUFFLED = "shuffled"
    """A scan goes by a hash of the keys."""
    HALF_SEEN = "half seen"
    """While a transaction is under way, plain reads see it done for some of its items and not for others."""
    UNAVAILABLE = "503"
    """503 is answered; nothing is done."""
    LOST = "lost"
    """It is done; the answer never comes."""
    DROPPED = "dropped"
    """Nothing is done, and no answer comes."""
    BROKEN = "broken"
    """It is done; the connection breaks before the answer."""
    GARBLED = "garbled"
    """It is done; the answer is not what its checksum says."""
    IN_PROGRESS = "in progress"
    """It came twice: the first is done, and the second, which is answered, is told that another is under way."""
    FORGOTTEN = "forgotten"
    """It is taken for a new one, whatever token it has."""


INVISIBLE: Final = (
    AwsFault.CONFLICT,
    AwsFault.THROTTLED,
    AwsFault.SMALL_PAGES,
    AwsFault.STALE_INDEX,
    AwsFault.SHUFFLED,
    AwsFault.HALF_SEEN,
)
"""What a store's caller never notices."""
_WITH_EFFECT: Final = frozenset({AwsFault.LOST, AwsFault.BROKEN, AwsFault.GARBLED, AwsFault.IN_PROGRESS})


class AwsFaults:
    """Faults for all clients of its sessions, in one process.

    ``always`` is from ``INVISIBLE``; ``jitter`` gives numbers from 0 to 1 that decide which request meets what. The
    first requests of each operation are struck in any case, by each fault once.
    """

    def __init__(self, *always: AwsFault, jitter: Callable[[], float]) -> None:
        if not set(always) <= set(INVISIBLE):
            raise ValueError("what loses an answer is planned for single requests: call next")
        self.met: Counter[AwsFault] = Counter()
        """How often each fault came."""
        self.sent: Counter[str] = Counter()
        """How many requests of each operation came this far."""
        self._always = frozenset(always)
        self._jitter = jitter
        self._coming: defaultdict[str, deque[AwsFault]] = defaultdict(deque)
        self._struck: set[tuple[AwsFault, str]] = set()
        self._index: defaultdict[bytes, deque[Body]] = defaultdict(lambda: deque([{"Items": [], "Count": 0}] * _LAG))
        self._writing: Counter[str] = Counter()
        """By key, how many writes are under way."""
        self._locked: set[str] = set()
        """The keys of items that a transaction has to itself."""
        self._hidden: dict[str, _Hidden] = {}
        """By key, what plain reads see of an item instead of what a transaction has made of it."""

    def session(self) -> AioSession:
        """Return a session of the SDK whose clients send through these faults."""
        faults = self

        class Faulty(AIOHTTPSession):
            @override
            async def send(self, request: Prepared) -> Answer:
                return await faults.answer(request, super().send)

        session = AioSession()
        session.set_default_client_config(AioConfig(http_session_cls=Faulty))
        return session

    def next(self, operation: str, *faults: AwsFault) -> None:
        """Give the coming requests of the operation, such as ``TransactWriteItems``, these faults, one each."""
        self._coming[operation].extend(faults)

    async def answer(self, prepared: Prepared, send: Send) -> Answer:
        """Answer a request, by the server or without it."""
        request = _Request(prepared, send)
        self.sent[request.operation] += 1
        if planned := self._coming[request.operation]:
            return await self._planned(request, planned.popleft())
        if request.operation not in _DATA:
            return await request.forward()
        if self._strikes(AwsFault.THROTTLED, request):
            return request.throttle()
        if request.operation in _CONFLICTING and self._conflicts(request):
            return request.refuse("TransactionConflictException", "TransactionConflict")
        try:
            return await self._served(request)
        except _RefusedError as error:
            return error.answer

    async def _planned(self, request: _Request, fault: AwsFault) -> Answer:
        self.met[fault] += 1
        if fault in _WITH_EFFECT:
            await request.forward()
        match fault:
            case AwsFault.UNAVAILABLE:
                return request.respond({"__type": "ServiceUnavailable"}, HTTPStatus.SERVICE_UNAVAILABLE)
            case AwsFault.IN_PROGRESS:
                return request.respond({"__type": "TransactionInProgressException"}, HTTPStatus.BAD_REQUEST)
            case AwsFault.FORGOTTEN:
                return await request.without("ClientRequestToken").forward()
            case AwsFault.GARBLED:
                answer = request.respond({})
                answer.headers["x-amz-crc32"] = "0"
                return answer
            case AwsFault.THROTTLED:
                return request.throttle()
            case AwsFault.BROKEN:
                raise ConnectionClosedError(endpoint_url=request.url)
            case AwsFault.LOST | AwsFault.DROPPED:
                raise ReadTimeoutError(endpoint_url=request.url)
            case _:
                raise ValueError(f"{fault} goes on all the while: give it to AwsFaults itself")

    async def _served(self, request: _Request) -> Answer:
        match request.operation:
            case "Query" | "Scan":
                return request.respond(await self._page(request))
            case "GetItem":
                answer = await request.forward()
                hidden = self._hidden.get(request.keys[0])
                return answer if hidden is None or hidden.before is None else request.respond(hidden.before)
            case "BatchGetItem":
                return request.respond(await self._batch(request))
            case "TransactGetItems":
                answer = await request.forward()
                # It must not see before others do what is hidden from them.
                return request.refuse("", "TransactionConflict") if self._is_hidden(request) else answer
            case _:
                return await self._write(request)

    def _strikes(self, fault: AwsFault, request: _Request) -> bool:
        first = (fault, request.operation) not in self._struck
        struck = fault in self._always and (first or self._jitter() < _RATE)
        if struck:
            self._struck.add((fault, request.operation))
            self.met[fault] += 1
        return struck

    def _conflicts(self, request: _Request) -> bool:
        """Tell whether a transaction is in the way: one that is made up, or one that is under way here."""
        return self._strikes(AwsFault.CONFLICT, request) or not self._locked.isdisjoint(request.keys)

    def _is_hidden(self, request: _Request) -> bool:
        return not self._locked.isdisjoint(request.keys) or not self._hidden.keys().isdisjoint(request.keys)

    async def _page(self, request: _Request) -> Body:
        if AwsFault.SMALL_PAGES in self._always:
            self.met[AwsFault.SMALL_PAGES] += 1
            request = request.but(Limit=min(request.body.get("Limit", _PAGE), self._few()))
        if request.operation == "Query" and AwsFault.STALE_INDEX in self._always:
            return await self._stale(request)
        if request.operation == "Scan" and AwsFault.SHUFFLED in self._always:
            return await self._shuffled(request)
        return await request.ask()

    def _few(self) -> int:
        return 1 + int(self._jitter() * (_PAGE - 1))

    async def _stale(self, request: _Request) -> Body:
        self.met[AwsFault.STALE_INDEX] += 1
        asked = request.body
        place = [asked["ExpressionAttributeValues"].get(":shard"), asked.get("ExclusiveStartKey")]
        history = self._index[msgspec.json.encode(place, order="sorted")]
        history.append(await request.ask())
        return history.popleft()

    async def _shuffled(self, request: _Request) -> Body:
        """Scan the whole table for its keys, and once more for what the filter leaves; answer the page."""
        self.met[AwsFault.SHUFFLED] += 1
        asked = request.body
        whole = request.without("ExclusiveStartKey", "Limit")
        bare = whole.without("FilterExpression", "ExpressionAttributeNames", "ExpressionAttributeValues")
        after = _hash(_key(asked["ExclusiveStartKey"])) if "ExclusiveStartKey" in asked else b""
        behind = sorted((key for key in map(_key, await bare.ask_all()) if _hash(key) > after), key=_hash)
        window = behind[: asked.get("Limit")]
        left = {_key(item): item for item in await whole.ask_all()}
        items = [left[key] for key in window if key in left]
        page: Body = {"Items": items, "Count": len(items), "ScannedCount": len(window)}
        return page | ({"LastEvaluatedKey": {"pk": {"S": window[-1]}}} if len(behind) > len(window) else {})

    async def _batch(self, request: _Request) -> Body:
        ((table, asked),) = request.body["RequestItems"].items()
        most = len(asked["Keys"])
        if AwsFault.SMALL_PAGES in self._always:
            self.met[AwsFault.SMALL_PAGES] += 1
            most = self._few()
        answer = await request.but(RequestItems={table: asked | {"Keys": asked["Keys"][:most]}}).ask()
        hidden = [self._hidden.get(_key(item)) for item in answer["Responses"][table]]
        seen = [
            {"Item": item} if each is None or each.before is None else each.before
            for item, each in zip(answer["Responses"][table], hidden, strict=True)
        ]
        answer["Responses"][table] = [each["Item"] for each in seen if each]
        if left := asked["Keys"][most:]:
            answer["UnprocessedKeys"] = {table: asked | {"Keys": left}}
        return answer

    async def _write(self, request: _Request) -> Answer:
        """Do it; of a transaction, hide a part from plain reads until it is answered, and keep others off meanwhile."""
        if AwsFault.HALF_SEEN not in self._always:
            return await request.forward()
        hidden = self._hide(request)
        self._writing.update(request.keys)
        try:
            for key, each in hidden.items():
                each.before = await request.look(key)
            answer = await request.forward()
            if hidden and answer.status_code == HTTPStatus.OK:
                self.met[AwsFault.HALF_SEEN] += 1
                self._locked.update(request.keys)
                await asyncio.sleep(_HALF_SEEN_SECONDS)
            return answer
        finally:
            self._locked.difference_update(request.keys)
            self._writing.subtract(request.keys)
            for key, each in hidden.items():
                if self._hidden.get(key) is each:
                    del self._hidden[key]

    def _hide(self, request: _Request) -> dict[str, _Hidden]:
        """Hide every other item of a transaction: those that no other write is at. What another hid shows from now."""
        for key in request.keys:
            self._hidden.pop(key, None)
        if request.operation != "TransactWriteItems":
            return {}
        some = request.keys[int(self._jitter() * 2) % 2 :: 2]
        hidden = {key: _Hidden() for key in some if not self._writing[key]}
        self._hidden.update(hidden)
        return hidden


class _Hidden:
    """An item that is hidden: ``before`` is what a plain read was answered, once that is known."""

    before: Body | None = None


class _Said:
    """The body of an answer that no server gave."""

    def __init__(self, body: Body) -> None:
        self._body = msgspec.json.encode(body)

    async def read(self) -> bytes:
        return self._body


class _RefusedError(Exception):
    """The server refuses what was asked of it for the sake of a request: so it would have refused that."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class _Request:
    """A request that was signed, what it asks for, and the way to the server."""

    def __init__(self, prepared: Prepared, send: Send) -> None:
        self._prepared = prepared
        self._send = send
        target = prepared.headers["X-Amz-Target"]
        service, _, operation = (target.decode() if isinstance(target, bytes) else target).partition(".")
        self._service: str = service
        self.operation: str = operation
        self.url: str = prepared.url
        self.body: Body = msgspec.json.decode(prepared.body)

    @property
    def keys(self) -> list[str]:
        """The keys of the items that it names, in its order."""
        match self.operation:
            case "TransactGetItems" | "TransactWriteItems":
                named = [part for each in self.body["TransactItems"] for part in each.values()]
            case "BatchGetItem":
                named = [{"Key": key} for asked in self.body["RequestItems"].values() for key in asked["Keys"]]
            case _:
                named = [self.body]
        return [_key(each.get("Item") or each["Key"]) for each in named]

    def but(self, **changes: object) -> _Request:
        """Return the request with some parameters changed. Its signature no longer fits."""
        return self._asking(self.operation, self.body | changes)

    def without(self, *names: str) -> _Request:
        """Return the request without these parameters."""
        return self._asking(self.operation, {name: value for name, value in self.body.items() if name not in names})

    async def look(self, key: str) -> Body:
        """Return what a plain read of the key's item is answered now."""
        (table,) = {part["TableName"] for each in self.body["TransactItems"] for part in each.values()}
        asked = {"TableName": table, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
        return await self._asking("GetItem", asked).ask()

    async def forward(self) -> Answer:
        """Let the server answer."""
        return await self._send(self._prepared)

    async def ask(self) -> Body:
        """Return what the server answers."""
        answer = await self.forward()
        if answer.status_code != HTTPStatus.OK:
            raise _RefusedError(answer)
        body: Body = msgspec.json.decode(await answer.content)
        return body

    async def ask_all(self) -> list[Body]:
        """Return the items of all pages."""
        page = await self.ask()
        items: list[Body] = page["Items"]
        while "LastEvaluatedKey" in page:
            page = await self.but(ExclusiveStartKey=page["LastEvaluatedKey"]).ask()
            items += page["Items"]
        return items

    def respond(self, body: Body, status: HTTPStatus = HTTPStatus.OK) -> Answer:
        """Return an answer that no server gave."""
        headers: Any = {"content-type": "application/x-amz-json-1.0"}
        return AioAWSResponse(self.url, status, headers, _Said(body))

    def throttle(self) -> Answer:
        """Return the refusal of one request too many."""
        return self.refuse("ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded")

    def refuse(self, code: str, reason: str) -> Answer:
        """Return a refusal by this code, or of a transaction for this reason, given for its last item."""
        refusal: Body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "made up"}
        if self.operation in _TRANSACTIONS:
            reasons = [{"Code": "None"} for _ in self.keys[:-1]]
            refusal["__type"] = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
            refusal["CancellationReasons"] = [*reasons, {"Code": reason, "Message": "made up"}]
        return self.respond(refusal, HTTPStatus.BAD_REQUEST)

    def _asking(self, operation: str, body: Body) -> _Request:
        headers: Any = {
            name: value for name, value in self._prepared.headers.items() if name.lower() != "content-length"
        }
        headers["X-Amz-Target"] = f"{self._service}.{operation}"
        encoded = msgspec.json.encode(body)
        prepared = AWSPreparedRequest("POST", self.url, headers, encoded, stream_output=False)
        return _Request(prepared, self._send)


def _key(item: Body) -> str:
    key: str = item["pk"]["S"]
    return key


def _hash(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=16).digest()
