"""A request's head: it arrives in time and within bounds, or the connection ends with a problem document."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from semel.http.protocol import HEAD_LIMIT, BoundedHttp

_WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class _Impatient(BoundedHttp):
    head_seconds = 0.05
    read_seconds = 0.05


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer headers and body; at other paths something else, before the body is there: little, or too much to take."""
    if scope["path"] != "/":
        size = 2**24 if scope["path"] == "/much" else 2
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"x" * size})
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    said = b"%r %r" % (scope["headers"], body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@asynccontextmanager
async def _served() -> AsyncIterator[tuple[str, int, ServerState]]:
    config = Config(_echo, http=_Impatient, lifespan="off", log_config=None, h11_max_incomplete_event_size=HEAD_LIMIT)
    config.load()
    loop = asyncio.get_running_loop()
    state = ServerState()
    async with await loop.create_server(lambda: _Impatient(config, state, {}), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port, state


@asynccontextmanager
async def _connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with _served() as (host, port, _):
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
    assert answered.startswith(b"HTTP/1.1 200") == bool(before)


@pytest.mark.parametrize(
    "rest", [b"zz\r\n", b"0\r\nX: " + b"a" * HEAD_LIMIT], ids=["a bad chunk", "trailers without end"]
)
async def test_what_comes_after_an_answer_is_answered_no_more(rest: bytes) -> None:
    """A second answer would be taken for that of the next request."""
    async with _connected() as (reader, writer):
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answered = await reader.readuntil(b"xx")
        writer.write(rest)
        answered += await reader.read()
    assert answered.count(b"HTTP/1.1 ") == 1


async def test_who_does_not_read_is_cut_off() -> None:
    """An answer that nobody takes is not kept for ever."""
    loop = asyncio.get_running_loop()
    async with _served() as (host, port, state):
        with socket.create_connection((host, port)) as client:
            client.setblocking(False)  # noqa: FBT003 - as the standard library has it
            await loop.sock_sendall(client, b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await loop.sock_recv(client, 12)).startswith(b"HTTP/1.1 401")
            while state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.01)


async def test_an_empty_line_between_requests_is_no_request() -> None:
    """Some clients end a body so (RFC 9112, 2.2)."""
    async with _connected() as (reader, writer):
        writer.write(_WHOLE)
        first = await reader.readuntil(b"b''")
        writer.write(b"\r\n")
        await writer.drain()
        writer.write(_WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        second = await reader.read()
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_asks_nothing_is_closed_without_a_word() -> None:
    """Browsers open connections in advance: an answer to no question would be taken for one to the next."""
    async with _connected() as (reader, _):
        assert await reader.read() == b""


async def test_what_is_no_request_is_answered_with_a_problem() -> None:
    """The parser's own refusals look like all others."""
    async with _connected() as (reader, writer):
        writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
        answered = await reader.read()
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    for header in (b"content-type: application/problem+json", b"x-request-id: ", b"x-content-type-options: nosniff"):
        assert header in head
    assert b'"code":"malformed_request"' in body


async def test_the_body_of_an_upgrade_is_its_own() -> None:
    """Who offers another protocol, as some clients do with every request, is answered in this one; nothing smuggles."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
    async with _connected() as (reader, writer):
        writer.write(head % len(smuggled))
        await writer.drain()
        writer.write(smuggled)
        answered = await reader.read()
    assert answered.count(b"HTTP/1.1 ") == 1 + repr(smuggled).encode().count(b"HTTP/1.1 ")
    assert answered.endswith(repr(smuggled).encode())


async def test_trailers_are_no_headers() -> None:
    """What comes after a body passes for nothing that a proxy has looked at before."""
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    async with _connected() as (reader, writer):
        writer.write(chunked + b"Authorization: Bearer stolen\r\n\r\n")
        answered = await reader.read()
    assert answered.startswith(b"HTTP/1.1 200")
    assert b"stolen" not in answered


@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "]
)
async def test_head_and_trailers_have_an_end(begun: bytes) -> None:
    """Neither is read into memory without bound."""
    async with _connected() as (reader, writer):
        writer.write(begun + b"a" * HEAD_LIMIT)
        answered = await reader.read()
    assert answered.startswith(b"HTTP/1.1 431 ")


async def test_requests_may_follow_each_other_at_once() -> None:
    """A large body and the beginning of the next request in one piece: each request has its answer."""
    body = b"x" * (HEAD_LIMIT - 1)
    async with _connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body + _WHOLE[:-2])
        writer.write(b"Connection: close\r\n\r\n")
        answered = await reader.read()
    assert answered.count(b"HTTP/1.1 200 ") == 2
