"""An identity provider that says yes: it answers every request with the id that it was sent, after a while.

    python -m benchmarks.stub PORT [--latency 0.02]

It reads as much of HTTP as its callers send, keeps nothing, and runs in a process of its own. ``latency`` is in
seconds. Its answers are those that Supabase Auth gives to a user's creation.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import uvloop
from typing_extensions import override

from benchmarks.wire import content_length

__all__ = ["main"]

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class _Asked(msgspec.Struct):
    id: str = ""
    email: str = ""


class _Stub(asyncio.Protocol):
    """One connection; its requests come one after the other."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._got = b""
        self._write: Callable[[bytes], None]

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.WriteTransport", transport).write

    @override
    def data_received(self, data: bytes) -> None:
        self._got += data
        head, separator, body = self._got.partition(b"\r\n\r\n")
        if not separator or len(body) < content_length(head):
            return
        self._got = b""
        user = msgspec.json.decode(body or b"{}", type=_Asked)
        said = msgspec.json.encode(user)
        answer = _ANSWER % (len(said), said)
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._write, answer)
        else:
            self._write(answer)


async def _serve(port: int, latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Stub(latency), "127.0.0.1", port)
    await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(prog="benchmarks.stub")
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args(arguments)
    uvloop.run(_serve(options.port, options.latency))


if __name__ == "__main__":
    main()
