"""A TCP proxy whose connections break as told, at a point of the conversation that no test could hit from outside.

It knows no protocol: a *request* is what the client says after the server has spoken, and a round trip is a request
with its answer. It runs in the test's own event loop.
"""

import asyncio
import socket
import struct
from enum import Enum, auto
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 65_536


class Cut(Enum):
    """Where the next request's connection breaks."""

    BEFORE_REQUEST = auto()
    AFTER_REQUEST = auto()
    RESET_AFTER_REQUEST = auto()
    BEFORE_ANSWER = auto()


_AFTER_REQUEST = frozenset({Cut.AFTER_REQUEST, Cut.RESET_AFTER_REQUEST})


class Proxy:
    """Forwards every connection to a server: ``async with Proxy(host, port) as proxy``."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self.round_trips = 0
        self.connections = 0
        self.port = 0
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._cuts: list[Cut] = []

    @classmethod
    def before(cls, url: str) -> Self:
        """Return a proxy before the server of a URL."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port)

    def through(self, url: str) -> str:
        """Return the URL with the proxy in place of the server."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}"))

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    async def up(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Break every connection and refuse new ones, as a server that is stopped."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut_before_request(self) -> None:
        """Break the connection of the next request, which the server never gets."""
        self._cuts.append(Cut.BEFORE_REQUEST)

    def cut_after_request(self) -> None:
        """Break the client's connection as soon as the server was sent the next request, whatever comes of it."""
        self._cuts.append(Cut.AFTER_REQUEST)

    def reset_after_request(self) -> None:
        """Do the same by a reset, which is what a client sees of a process that was killed."""
        self._cuts.append(Cut.RESET_AFTER_REQUEST)

    def cut_before_answer(self) -> None:
        """Let the server answer the next request, and break the client's connection in place of passing it on."""
        self._cuts.append(Cut.BEFORE_ANSWER)

    def wear_out(self) -> None:
        """Let every connection that is open now break at its next request, as one that a firewall has forgotten."""
        for link in self._links.values():
            link.worn_out = True

    def silence(self) -> None:
        """Let every connection that is open now pass nothing on any more, and not break either."""
        for link in self._links.values():
            link.silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        link = self._links[task] = _Link(self, reader, writer)
        task.add_done_callback(self._links.pop)
        self.connections += 1
        try:
            await link.run(await asyncio.open_connection(*self._target))
        except OSError:
            return  # the target is not there: the client sees a connection that ends
        finally:
            writer.transport.abort()

    def take_cut(self) -> Cut | None:
        """Return the fault that the next request meets, and forget it."""
        return self._cuts.pop(0) if self._cuts else None


class _Link:
    """One client's connection and the one that was opened for it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self.worn_out = False
        self.silent = False
        self._cut: Cut | None = None
        self._server_spoke_last = True

    async def run(self, server: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        answers, requests = server
        to_server = asyncio.ensure_future(self._pass_requests(requests))
        try:
            await self._pass_answers(answers)
        finally:
            to_server.cancel()
            await asyncio.gather(to_server, return_exceptions=True)
            requests.close()

    async def _pass_requests(self, requests: asyncio.StreamWriter) -> None:
        try:
            while chunk := await self._read(self._reader):
                if self._server_spoke_last:
                    self._server_spoke_last = False
                    self._proxy.round_trips += 1
                    self._cut = Cut.BEFORE_REQUEST if self.worn_out else self._proxy.take_cut()
                if self._cut is Cut.BEFORE_REQUEST:
                    return
                requests.write(chunk)
                await requests.drain()
                if self._cut in _AFTER_REQUEST:
                    self._abort()
                    return
        finally:
            # After a request that was cut off the server's side stays open, so that the server surely reads it.
            if self._cut not in _AFTER_REQUEST:
                requests.close()

    def _abort(self) -> None:
        if self._cut is Cut.RESET_AFTER_REQUEST:
            at_once = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self._writer.transport.abort()

    async def _pass_answers(self, answers: asyncio.StreamReader) -> None:
        while chunk := await self._read(answers):
            self._server_spoke_last = True
            if self._cut is Cut.BEFORE_ANSWER:
                return
            if self._cut is None:
                self._writer.write(chunk)
                await self._writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        chunk = await reader.read(_CHUNK)
        if self.silent:
            await asyncio.Event().wait()
        return chunk
