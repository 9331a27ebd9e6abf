"""The layers around the application: request id, security headers and log line; and an answer to the unexpected."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semel.errors import InternalError, OutcomeUnknown, SemelError
from semel.http.problems import answer
from semel.observe.logs import Log
from semel.ports import Clock, Ids

__all__ = ["Edge", "LastResort", "standing_headers"]

_log = Log()

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,128}")

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""On every answer that does not set them itself."""
_OVER_TLS: Final = (*_HEADERS, (b"strict-transport-security", b"max-age=31536000; includeSubDomains"))


def standing_headers(scheme: str, request_id: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of every answer that does not set them itself."""
    always = _OVER_TLS if scheme == "https" else _HEADERS
    return ((b"x-request-id", request_id.encode()), *always)


class Edge:
    """The outermost: whatever is answered, it has an id, headers and a log line.

    Plain ASGI, since Starlette's ``BaseHTTPMiddleware`` costs more than all the rest of a request.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, ids: Ids) -> None:
        self._app = app
        self._clock = clock
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(scope, send, request_id)
        started = self._clock.monotonic()
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, exchange.send)
        finally:
            self._note(scope, exchange.status, self._clock.monotonic() - started)
            structlog.contextvars.reset_contextvars(**bound)

    def _note(self, scope: Scope, status: int | None, seconds: float) -> None:
        fields = {
            "method": scope["method"],
            # The pattern, not the path: what a caller types into a path may be a secret.
            "route": getattr(scope.get("route"), "path", None),
            "status": status,
            "seconds": round(seconds, 6),
        }
        _log.log(logging.INFO, "http.request", fields)

    def _request_id(self, scope: Scope) -> str:
        offered = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        return offered if _SANE_ID.fullmatch(offered) else self._ids.uuid()


class _Exchange:
    """The answer to one request as it goes by."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.status: int | None = None
        """``None`` while nothing is answered."""
        self._send = send
        self._headers = standing_headers(scope["scheme"], request_id)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])  # of an HTTPStatus a line for people would show the name as well
            given = dict(message["headers"])
            message["headers"] += [header for header in self._headers if header[0] not in given]
        await self._send(message)


class LastResort:
    """The innermost: what nobody foresaw is answered like all else, so that a page of another origin may read it."""

    def __init__(self, app: ASGIApp, answered: Callable[[SemelError, Scope], ASGIApp] = answer) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see to it that it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            _log.log(logging.INFO, "http.hung_up", {})
        except asyncio.CancelledError:
            # The server stops and waits no longer. What was begun goes on elsewhere, so it is no failure.
            if begun:
                raise
            await self._answered(OutcomeUnknown(retry_after=1), scope)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the last resort: answered without detail, told to the log
            _log.log(logging.ERROR, "http.error", {"trace": list(_trace(error))})
            if not begun:
                await self._answered(InternalError(), scope)(scope, receive, send)


def _trace(error: BaseException) -> Iterator[str]:
    """Say where an error came from: types and lines of code, neither messages nor values."""
    seen: BaseException | None = error
    while seen is not None:
        yield type(seen).__qualname__
        yield from (
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(seen.__traceback__)
        )
        seen = seen.__cause__ or seen.__context__
