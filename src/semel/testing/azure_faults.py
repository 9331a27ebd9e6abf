"""Faults of Azure Tables that its emulator never has, at the seam where the SDK's pipeline meets the network.

``AzureFaults.through`` is given to ``open_azure_tables``. Each request goes through, or meets a fault that was planned
for its operation, by turns and never at random. What was sent and what was met is counted, so that a test can tell
whether its fault came at all.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from enum import Enum
from http import HTTPStatus
from itertools import cycle
from typing import Any, Final, NamedTuple, Self

import msgspec
from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from typing_extensions import override

__all__ = ["AZURE_OPERATIONS", "CHANGES", "READINGS", "AzureFault", "AzureFaults", "MadeAnswer", "operation_of"]

Transport = AsyncHttpTransport[HttpRequest, AsyncHttpResponse]

READINGS: Final = ("get", "query")
CHANGES: Final = ("insert", "transaction", "replace", "delete")
AZURE_OPERATIONS: Final = (*READINGS, *CHANGES, "table")
"""What a request does: ``query`` asks for a page, ``transaction`` is an entity group one, ``table`` makes a table."""

_TOP: Final = re.compile(r"\$top=\d+|%24top=\d+")
_NEXT: Final = re.compile(r"&NextPartitionKey=[^&]*|&NextRowKey=[^&]*")
_OURS: Final = re.compile(r"NextPartitionKey=of-the-faults-(\d+)")
_PAGE: Final = b"<html><body><h1>A gateway in between</h1></body></html>"


class _Answered(NamedTuple):
    """An answer that the service did not give: with an error code of its own, or a page in HTML."""

    status: HTTPStatus
    code: str | None = None


class AzureFault(Enum):
    """What can happen to a request. What ends in ``_DONE`` comes after the service has done it."""

    BUSY = "busy"
    """503 ``ServerBusy``."""
    BUSY_DONE = "busy, done"
    FAILED = "failed"
    """500 ``InternalError``."""
    FAILED_DONE = "failed, done"
    HELD_BACK = "held back"
    """429, as a gateway or a successor of the service answers who comes too fast."""
    FORBIDDEN = "forbidden"
    """403 ``AuthorizationPermissionMismatch``."""
    TOO_LARGE = "too large"
    """400 ``EntityTooLarge``."""
    GATEWAY = "gateway"
    """502 and a page in HTML."""
    GATEWAY_DONE = "gateway, done"
    PORTAL = "portal"
    """200 and a page in HTML, from whoever listens in between."""
    TIMED_OUT = "timed out"
    """No answer in time; it is never done."""
    TIMED_OUT_DONE = "timed out, done"
    LATE = "late"
    """No answer in time; it is done when the test calls ``land``."""
    BROKEN = "broken"
    """The connection breaks before the service has read the request."""
    BROKEN_DONE = "broken, done"
    SHORT_PAGE = "short page"
    """A page of one entity, with a continuation: the service may end any page early."""
    EMPTY_PAGE = "empty page"
    """A page of nothing, with a continuation."""


_ANSWERS: Final = {
    AzureFault.BUSY: _Answered(HTTPStatus.SERVICE_UNAVAILABLE, "ServerBusy"),
    AzureFault.BUSY_DONE: _Answered(HTTPStatus.SERVICE_UNAVAILABLE, "ServerBusy"),
    AzureFault.FAILED: _Answered(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError"),
    AzureFault.FAILED_DONE: _Answered(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError"),
    AzureFault.HELD_BACK: _Answered(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests"),
    AzureFault.FORBIDDEN: _Answered(HTTPStatus.FORBIDDEN, "AuthorizationPermissionMismatch"),
    AzureFault.TOO_LARGE: _Answered(HTTPStatus.BAD_REQUEST, "EntityTooLarge"),
    AzureFault.GATEWAY: _Answered(HTTPStatus.BAD_GATEWAY),
    AzureFault.GATEWAY_DONE: _Answered(HTTPStatus.BAD_GATEWAY),
    AzureFault.PORTAL: _Answered(HTTPStatus.OK),
}


class AzureFaults:
    """A plan of faults for any number of clients, and what came of it."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        """How many requests of each operation were asked for, whatever they met."""
        self.met: Counter[tuple[str, AzureFault]] = Counter()
        """How often a request of an operation met a fault."""
        self._coming: defaultdict[str, deque[AzureFault | None]] = defaultdict(deque)
        self._turns: list[_Turns] = []
        self._rivals: dict[str, Callable[[], Awaitable[object]]] = {}
        self._late: list[Callable[[], Awaitable[object]]] = []
        self._begun: list[str] = []

    def next(self, operation: str, *faults: AzureFault | None) -> None:
        """Give the coming requests of the operation these faults, one each; ``None`` lets one go through."""
        self._coming[_known(operation)].extend(faults)

    def every(self, count: int, operations: Iterable[str], *faults: AzureFault) -> None:
        """Give the faults by turns to the first request of these operations, and from there to each ``count``-th."""
        self._turns.append(_Turns(count, frozenset(map(_known, operations)), faults))

    def before(self, operation: str, rival: Callable[[], Awaitable[object]]) -> None:
        """Let a rival do something just before the next request of the operation is sent: so that it is refused."""
        self._rivals[_known(operation)] = rival

    async def land(self) -> None:
        """Let the late requests arrive, in the order in which they were sent. Nobody hears what comes of them."""
        while self._late:
            await self._late.pop(0)()

    @property
    def spent(self) -> bool:
        """Whether every fault planned by ``next`` and every rival has come."""
        return not any(self._coming.values()) and not self._rivals

    def through(self, transport: Transport) -> Transport:
        """Return the transport with these faults before it."""
        return _FaultyTransport(transport, self)

    async def send(self, transport: Transport, request: HttpRequest, options: dict[str, Any]) -> AsyncHttpResponse:
        """Send the request, or let it meet what is planned for it."""
        operation = operation_of(request)
        self.sent[operation] += 1
        fault = self._planned(operation)
        if rival := self._rivals.pop(operation, None):
            await rival()
        self._resume(request)
        if fault is None:
            return await transport.send(request, **options)
        self.met[operation, fault] += 1
        return await self._meet(fault, transport, request, options)

    def _planned(self, operation: str) -> AzureFault | None:
        if coming := self._coming[operation]:
            return coming.popleft()
        found = (turns.fault() for turns in self._turns if operation in turns.operations)
        return next(filter(None, found), None)

    async def _meet(
        self, fault: AzureFault, transport: Transport, request: HttpRequest, options: dict[str, Any]
    ) -> AsyncHttpResponse:
        async def arrive() -> None:
            await (await transport.send(request, **options)).close()

        if fault is AzureFault.SHORT_PAGE:
            request.url = _TOP.sub("$top=1", request.url)
            return await transport.send(request, **options)
        if fault is AzureFault.EMPTY_PAGE:
            return self._empty_page(request)
        if fault is AzureFault.LATE:
            self._late.append(arrive)
        if fault.name.endswith("_DONE"):
            await arrive()
        if (answered := _ANSWERS.get(fault)) is not None:
            return _made(request, answered)
        if fault is AzureFault.BROKEN:
            # What the SDK says of every connection that breaks: as if nothing had been sent.
            raise ServiceRequestError("the connection broke", error=ConnectionResetError())
        if fault is AzureFault.BROKEN_DONE:
            raise ServiceResponseError("the connection broke")
        raise ServiceResponseTimeoutError("there was no answer")

    def _empty_page(self, request: HttpRequest) -> AsyncHttpResponse:
        self._begun.append("".join(_NEXT.findall(request.url)))
        token = {"x-ms-continuation-NextPartitionKey": f"of-the-faults-{len(self._begun) - 1}"}
        body = msgspec.json.encode({"value": []})
        return MadeAnswer(request, HTTPStatus.OK, body, {"Content-Type": "application/json", **token})

    def _resume(self, request: HttpRequest) -> None:
        """Let a query that continues an empty page of ours go on where that page was asked for."""
        if ours := _OURS.search(request.url):
            request.url = _NEXT.sub("", request.url) + self._begun[int(ours[1])]


class _Turns:
    """Faults that come by turns."""

    def __init__(self, count: int, operations: frozenset[str], faults: Sequence[AzureFault]) -> None:
        self.operations = operations
        self._count = count
        self._faults = cycle(faults)
        self._asked = 0

    def fault(self) -> AzureFault | None:
        self._asked += 1
        return next(self._faults) if self._asked % self._count == 1 % self._count else None


class _FaultyTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    def __init__(self, transport: Transport, faults: AzureFaults) -> None:
        self._transport = transport
        self._faults = faults

    @override
    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:
        return await self._faults.send(self._transport, request, kwargs)

    @override
    async def open(self) -> None:
        await self._transport.open()

    @override
    async def close(self) -> None:
        await self._transport.close()

    @override
    async def __aexit__(self, *error: object) -> None:
        await self.close()


class MadeAnswer(AsyncHttpResponse):
    """An answer without a server: the SDK's interface over a body that is there."""

    encoding: str | None = "utf-8"

    def __init__(self, request: HttpRequest, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        self._request = request
        self._status = status
        self._body = body
        self._headers = headers

    @property
    @override
    def request(self) -> HttpRequest:
        return self._request

    @property
    @override
    def status_code(self) -> int:
        return self._status.value

    @property
    @override
    def headers(self) -> dict[str, str]:
        return self._headers

    @property
    @override
    def reason(self) -> str:
        return self._status.phrase

    @property
    @override
    def content_type(self) -> str | None:
        return self._headers["Content-Type"]

    @property
    @override
    def is_closed(self) -> bool:
        return True

    @property
    @override
    def is_stream_consumed(self) -> bool:
        return True

    @property
    @override
    def url(self) -> str:
        return self._request.url

    @property
    @override
    def content(self) -> bytes:
        return self._body

    @override
    def text(self, encoding: str | None = None) -> str:
        return self._body.decode(encoding or "utf-8")

    @override
    def json(self) -> Any:
        return msgspec.json.decode(self._body)

    @override
    def raise_for_status(self) -> None:
        if self._status >= HTTPStatus.BAD_REQUEST:
            raise HttpResponseError(response=self)

    @override
    async def read(self) -> bytes:
        return self._body

    @override
    async def iter_raw(self, **kwargs: Any) -> AsyncIterator[bytes]:
        yield self._body

    @override
    async def iter_bytes(self, **kwargs: Any) -> AsyncIterator[bytes]:
        yield self._body

    @override
    async def close(self) -> None: ...

    @override
    async def __aenter__(self) -> Self:
        return self

    @override
    async def __aexit__(self, *error: object) -> None: ...


def operation_of(request: HttpRequest) -> str:
    """Return what a request does: one of ``AZURE_OPERATIONS``."""
    path = request.url.partition("?")[0]
    match request.method:
        case "GET":
            return "get" if "(PartitionKey=" in path else "query"
        case "POST":
            return "transaction" if path.endswith("/$batch") else "table" if path.endswith("/Tables") else "insert"
        case "PUT":
            return "replace"
        case _:
            return "delete"


def _made(request: HttpRequest, answered: _Answered) -> AsyncHttpResponse:
    if answered.code is None:
        return MadeAnswer(request, answered.status, _PAGE, {"Content-Type": "text/html"})
    error = {"odata.error": {"code": answered.code, "message": {"lang": "en-US", "value": "of the faults"}}}
    return MadeAnswer(request, answered.status, msgspec.json.encode(error), {"Content-Type": "application/json"})


def _known(operation: str) -> str:
    if operation not in AZURE_OPERATIONS:
        raise ValueError(f"no operation is called {operation!r}: give one of {', '.join(AZURE_OPERATIONS)}")
    return operation
