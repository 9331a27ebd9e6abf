"""The HTTP parser with a bound: uvicorn's reads a header of any length into memory."""

from __future__ import annotations

from typing import Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_LIMIT", "BoundedHttp"]

HEAD_LIMIT: Final = 65_536
"""How many bytes a request's line and headers may have; more is answered 431 (RFC 6585) and the connection closed."""

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol, which gives up on a head that does not end."""

    _head: int | None = 0
    """The bytes of the head so far; ``None`` once it is complete."""

    @override
    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_LIMIT and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()
