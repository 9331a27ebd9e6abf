"""A request's head: it arrives in time and within bounds, or the connection ends with a problem document."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from semel.http.protocol import BoundedHttp

_WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class _Impatient(BoundedHttp):
    head_seconds = 0.05


async def _hello(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def _connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = Config(_hello, http=_Impatient, lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    state = ServerState()
    async with await loop.create_server(lambda: _Impatient(config, state, {}), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("before", [b"", _WHOLE], ids=["first", "on a connection kept alive"])
async def test_a_head_that_stops_is_given_up(before: bytes) -> None:
    """Whoever begins a request and sends no more is answered 408."""
    async with _connected() as (reader, writer):
        writer.write(before + _WHOLE[:-2])
        answered = await reader.read()
    assert b"HTTP/1.1 408 Request Timeout\r\n" in answered
    assert b'"code":"request_timeout"' in answered
    assert answered.startswith(b"HTTP/1.1 204") == bool(before)


async def test_a_connection_that_asks_nothing_is_closed_without_a_word() -> None:
    """Browsers open connections in advance: an answer to no question would be taken for one to the next."""
    async with _connected() as (reader, _):
        assert await reader.read() == b""


async def test_what_is_no_request_is_answered_with_a_problem() -> None:
    """The parser's own refusals look like all others."""
    async with _connected() as (reader, writer):
        writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
        answered = await reader.read()
    assert answered.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n")
    assert b'"code":"malformed_request"' in answered
