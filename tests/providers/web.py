"""A small real HTTP server whose answers a test makes up, broken ones included. It runs in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec

_CHUNK = 65_536


@dataclass(frozen=True)
class Asked:
    """A request as it arrived. ``body`` is decoded; ``None`` where there was none, or it is no JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    target: str = ""
    content: bytes = b""
    """Target and body as they came."""


@dataclass(frozen=True)
class Reply:
    """An answer: text as it is, everything else as JSON, ``None`` as no content."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else msgspec.json.encode(self.body)


Answering = Callable[[Asked], Awaitable[Reply | None]]
"""Answers a request; ``None`` breaks the connection in place of an answer."""


class WebServer:
    """Serves on a loopback port, while entered. ``asked`` is what arrived, in that order."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of its own: asyncio complains of a connection's when it is cancelled.
        talk = asyncio.create_task(self._talk(reader, writer))
        self._open.add(talk)
        talk.add_done_callback(self._open.discard)
        self.connections += 1
        await asyncio.wait([talk])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while (asked := await _read(connection, reader)) is not None:
                self.asked.append(asked)
                reply = await self.answering(asked)
                if reply is None:
                    break
                _write(connection, writer, reply)
                await writer.drain()
                if connection.our_state is h11.MUST_CLOSE:
                    break
                connection.start_next_cycle()
        except ConnectionError:
            pass  # the client is gone
        finally:
            writer.transport.abort()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Asked | None:
    head: h11.Request | None = None
    body = b""
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK))
            case h11.Request() as request:
                head = request
            case h11.Data(data=data):
                body += bytes(data)
            case h11.EndOfMessage() if head is not None:
                return _asked(head, body)
            case _:
                return None


def _asked(head: h11.Request, body: bytes) -> Asked:
    target = urlsplit(head.target.decode())
    headers = {name.decode(): value.decode() for name, value in head.headers}
    said = msgspec.json.decode(body) if body and "json" in headers.get("content-type", "") else None
    query = dict(parse_qsl(target.query))
    return Asked(head.method.decode(), target.path, query, headers, said, head.target.decode(), body)


def _write(connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply) -> None:
    content = reply.content
    headers = {**reply.headers, "content-length": str(len(content))}
    if reply.status == 204:
        del headers["content-length"]
    writer.write(connection.send(h11.Response(status_code=reply.status, headers=list(headers.items()))) or b"")
    if content:
        writer.write(connection.send(h11.Data(data=content)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
