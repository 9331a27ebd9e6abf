"""The HTTP parser with bounds: uvicorn's waits for a head for ever, and reads one of any length into memory."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import msgspec
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from semel.errors import MalformedRequest, RequestHeadTooLarge, RequestTimeout, SemelError
from semel.http.problems import MEDIA_TYPE, problem_of

__all__ = ["HEAD_LIMIT", "HEAD_SECONDS", "BoundedHttp"]

HEAD_LIMIT: Final = 65_536
"""How many bytes a request's line and headers may have; more is answered 431 (RFC 6585) and the connection closed."""
HEAD_SECONDS: Final = 10.0
"""How long they may take to arrive; then the answer is 408 (RFC 9110) and the connection closed."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol, which gives up on a head that does not end."""

    head_seconds: float = HEAD_SECONDS
    _head: int | None = 0
    """The bytes of the head so far; ``None`` while there is none on its way."""
    _deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_head()
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._expect_no_head()
        super().on_headers_complete()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_LIMIT:
                self._end(RequestHeadTooLarge())

    @override
    def send_400_response(self, msg: str) -> None:
        self._end(MalformedRequest())

    def _expect_head(self) -> None:
        self._expect_no_head()
        self._head = 0
        self._deadline = self.loop.call_later(self.head_seconds, self._late)

    def _expect_no_head(self) -> None:
        self._head = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._head:
            self._end(RequestTimeout())
        else:  # a connection opened in advance, as browsers do: it asked nothing, so nothing is said
            self.transport.close()

    def _end(self, error: SemelError) -> None:
        """Close the connection, and say why, unless the answer to an earlier request is on its way."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(error))
        self.transport.close()


def _answer(error: SemelError) -> bytes:
    body = msgspec.json.encode(problem_of(error))
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
