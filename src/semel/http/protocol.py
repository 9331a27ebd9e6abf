"""The HTTP parser with bounds: uvicorn's waits for a request for ever, and speaks plain text where it understands none.

On h11, since the faster httptools takes the body of a request that offers an upgrade for the next request, reads
trailers of any length into memory, and lets them pass for headers.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from http import HTTPStatus
from typing import Final

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from semel.errors import MalformedRequest, RequestHeadTooLarge, RequestTimeout, SemelError
from semel.http.edge import standing_headers
from semel.http.problems import answer
from semel.observe.logs import Log
from semel.system import SystemIds

__all__ = ["HEAD_LIMIT", "HEAD_SECONDS", "READ_SECONDS", "BoundedHttp"]

HEAD_LIMIT: Final = 65_536
"""How many bytes a request's line and headers may have, or its trailers; more is answered 431 (RFC 6585)."""
HEAD_SECONDS: Final = 10.0
"""How long a request's head may take to arrive, or the rest of a body that nobody waits for; then 408 (RFC 9110)."""
READ_SECONDS: Final = 60.0
"""How long a client may leave an answer unread, once it fills the buffers; then the connection is cut."""

_UNANSWERED: Final = frozenset({h11.IDLE, h11.SEND_RESPONSE})
"""States of ours in which no answer to the client's latest request has begun."""

_log = Log()
_ids = SystemIds()


class BoundedHttp(H11Protocol):
    """uvicorn's protocol, which gives up on a client that does not go on.

    ``h11_max_incomplete_event_size`` of uvicorn's configuration is to be ``HEAD_LIMIT``.
    """

    head_seconds: float = HEAD_SECONDS
    read_seconds: float = READ_SECONDS
    _unread: asyncio.TimerHandle | None = None
    """Set while the client does not read what it asked for."""
    _deadline: asyncio.TimerHandle | None = None
    """Set while it is the client's turn: a request in the application's hands has limits of its own."""
    _asked: bool = False
    """Whether anything has come since the last answer."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self.resume_writing()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            data = data.lstrip(b"\r\n")  # some clients end a body so (RFC 9112, 2.2)
        self._asked = self._asked or bool(data)
        before = self.conn.their_state
        super().data_received(data)
        if self._answering or self.conn.their_state is not before:
            self._rest()
        if not self._answering:
            self._watch()

    @override
    def on_response_complete(self) -> None:
        self._asked = False
        super().on_response_complete()
        if not self._answering and self.conn.trailing_data[0]:  # the beginning of the next request came along
            self._asked = True
            self._unset_keepalive_if_required()
            self._watch()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.read_seconds, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    @override
    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refuses; called while its error is handled."""
        error = sys.exc_info()[1]
        too_long = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == RequestHeadTooLarge.status
        self._end(RequestHeadTooLarge() if too_long else MalformedRequest())

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._late)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._asked and self.conn.their_state is h11.IDLE:
            self._end(RequestTimeout())
        else:  # a connection opened in advance, as browsers do, or one that has had its answer
            self.transport.close()

    def _end(self, error: SemelError) -> None:
        """Close the connection, and say why, where an answer is due: an unasked one would be taken for the next."""
        if self.conn.our_state in _UNANSWERED:
            request_id = _ids.uuid()
            _log.log(logging.INFO, "http.refused", {"request_id": request_id, "code": error.code})
            self.transport.write(_as_bytes(error, request_id, self.scheme or "http"))
        self.transport.close()


def _as_bytes(error: SemelError, request_id: str, scheme: str) -> bytes:
    response = answer(error, {"state": {"request_id": request_id}})
    headers = [*response.raw_headers, *standing_headers(scheme, request_id), (b"connection", b"close")]
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in dict(headers).items()]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
