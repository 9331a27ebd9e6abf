"""A network between Semel and its identity provider: an HTTP proxy that loses, repeats, delays and invents.

What happens to a request is drawn from a seed, or told for the next one of a kind. Whatever it does to an answer, it
knows whether the provider has done what was asked; nobody else does.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import h11

__all__ = ["GOTRUE", "Climate", "Network", "Weather"]

_CHUNK: Final = 65_536

GOTRUE: Final[Mapping[str, str]] = {
    "create": r"POST /auth/v1/admin/users",
    "list": r"GET /auth/v1/admin/users",
    "find": r"GET /auth/v1/admin/users/.+",
    "delete": r"DELETE /auth/v1/admin/users/.+",
    "token": r"POST /auth/v1/token",
    "logout": r"POST /auth/v1/logout",
}
"""Kinds of requests to Supabase Auth, by method and path."""


class Weather(StrEnum):
    """What may happen to a request. Where the caller hears nothing, it is until its time-out."""

    LOST = "lost"
    """It never arrives, and nothing is heard."""
    UNANSWERED = "unanswered"
    """It is done, and nothing is heard."""
    LATE = "late"
    """Nothing is heard, and it arrives when nobody waits any more."""
    RESET = "reset"
    """The connection is reset before it arrives."""
    RESET_AFTER = "reset after"
    """It is done, and the connection is reset in place of the answer."""
    HALF = "half"
    """It is done, and the connection ends in the middle of the answer."""
    SLOW = "slow"
    """It arrives after a while, within the time-out."""
    TWICE = "twice"
    """It arrives twice, and the second answer is the one that is heard."""
    AGAIN = "again"
    """It is done and answered; when nobody thinks of it any more, it arrives once more."""
    FAILED = "500"
    """Something in between answers that it failed, and so it did."""
    FAILED_AFTER = "500 after"
    """It is done, and answered as failed."""
    GATEWAY = "502"
    """A gateway answers with a page of its own. It never arrives."""
    GATEWAY_AFTER = "502 after"
    """It is done, and the gateway answers."""
    THROTTLED = "429"
    """It is to come back in a second. It is not done."""


_DONE: Final = frozenset(
    {
        Weather.UNANSWERED,
        Weather.RESET_AFTER,
        Weather.HALF,
        Weather.TWICE,
        Weather.AGAIN,
        Weather.FAILED_AFTER,
        Weather.GATEWAY_AFTER,
    }
)
_LATER: Final = frozenset({Weather.LATE, Weather.AGAIN})
_SILENT: Final = frozenset({Weather.LOST, Weather.UNANSWERED, Weather.LATE})


def _invented(status: str, kind: str, body: str, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return (head + body).encode()


_FAILED: Final = _invented(
    "500 Internal Server Error",
    "application/json",
    '{"code":"unexpected_failure","message":"Database error creating new user"}',
    "x-sb-error-code: unexpected_failure\r\nx-supabase-api-version: 2024-01-01\r\n",
)
_GATEWAY: Final = _invented("502 Bad Gateway", "text/html", "<html>Bad Gateway</html>")
_THROTTLED: Final = _invented(
    "429 Too Many Requests", "application/json", '{"code":"over_request_rate_limit"}', "retry-after: 1\r\n"
)
_INVENTED: Final = {
    Weather.FAILED: _FAILED,
    Weather.FAILED_AFTER: _FAILED,
    Weather.GATEWAY: _GATEWAY,
    Weather.GATEWAY_AFTER: _GATEWAY,
    Weather.THROTTLED: _THROTTLED,
}


@dataclass(frozen=True)
class Climate:
    """How bad a network is. Durations are in seconds."""

    timeout: float
    """How long the caller waits for an answer."""
    lateness: float | None = None
    """What is late comes after the time-out, and not after this; ``None``: when all is to settle."""
    share: float = 0.0
    """So many of all requests meet something, drawn from ``seed``."""
    seed: int = 0


class Network:
    """Serves on a loopback port, while entered, and passes every request on to ``target``, which may change.

    While it is ``calm`` nothing happens but what is told. ``met`` counts what happened, by kind of request and weather.
    """

    def __init__(self, target: str, climate: Climate, kinds: Mapping[str, str] = GOTRUE) -> None:
        self.target = target
        self.calm = False
        self.met: Counter[tuple[str, Weather]] = Counter()
        self.requests: Counter[str] = Counter()
        self._kinds = {name: re.compile(pattern) for name, pattern in kinds.items()}
        self._climate = climate
        self._dice = random.Random(climate.seed)  # noqa: S311 - weather, to be had again
        self._told: defaultdict[str, deque[Weather]] = defaultdict(deque)
        self._settling = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._talks: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        ending = [*self._talks, *self._late]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def next(self, kind: str, *weather: Weather) -> None:
        """Let the next requests of the kind meet this, one after the other, however calm it is."""
        self._told[kind].extend(weather)

    async def settle(self) -> None:
        """Let all be fair from now on, and return once all that is late has arrived."""
        self.calm = True
        self._settling.set()
        await asyncio.gather(*self._late)

    def weather(self) -> Counter[Weather]:
        """Return how often each has happened."""
        total: Counter[Weather] = Counter()
        for (_, weather), times in self.met.items():
            total[weather] += times
        return total

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of its own: asyncio complains of a connection's when it is cancelled.
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        await asyncio.wait([talk])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass requests on until the connection is over, or is to be."""
        try:
            while request := await _message(h11.Connection(h11.SERVER), reader):
                weather = self._drawn(request)
                answer = await self._answer(request, weather)
                if weather in _SILENT:
                    await reader.read()
                    return
                if weather in {Weather.RESET, Weather.RESET_AFTER} or not answer:
                    _reset_at_once(writer)
                    return
                writer.write(answer)
                await writer.drain()
                if weather is Weather.HALF:
                    return
        except (OSError, h11.RemoteProtocolError):
            _reset_at_once(writer)  # one of the two is gone in the middle
        finally:
            writer.close()

    async def _answer(self, request: bytes, weather: Weather | None) -> bytes:
        """Do with the request what the weather does, and return the answer to be heard."""
        if weather in _LATER:
            self._later(request)
        if weather is Weather.SLOW:
            await asyncio.sleep(self._dice.random() * self._climate.timeout / 2)
        if weather is Weather.TWICE:
            await self._ask(request)
        answer = await self._ask(request) if weather in {None, Weather.SLOW, *_DONE} else b""
        if weather is Weather.HALF:
            return answer[: len(answer) - 2]
        return _INVENTED.get(weather, answer) if weather else answer

    def _drawn(self, request: bytes) -> Weather | None:
        kind = self._kind(request)
        self.requests[kind] += 1
        weather = self._told[kind].popleft() if self._told[kind] else None
        if weather is None and not self.calm and self._dice.random() < self._climate.share:
            weather = self._dice.choice(list(Weather))
        if weather is not None:
            self.met[kind, weather] += 1
        return weather

    def _kind(self, request: bytes) -> str:
        method, target, _ = request.partition(b"\r\n")[0].decode().split(" ")
        asked = f"{method} {urlsplit(target).path}"
        return next((name for name, pattern in self._kinds.items() if pattern.fullmatch(asked)), "other")

    def _later(self, request: bytes) -> None:
        task = asyncio.create_task(self._arrive(request))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _arrive(self, request: bytes) -> None:
        climate = self._climate
        if climate.lateness is None:
            await self._settling.wait()
        else:
            await asyncio.sleep(self._dice.uniform(climate.timeout, climate.lateness))
        try:
            await self._ask(request)
        except (OSError, h11.RemoteProtocolError):
            return  # the provider is gone: then it never arrives

    async def _ask(self, request: bytes) -> bytes:
        """Return the provider's answer as it came, or nothing."""
        where = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(request)
            asking = h11.Connection(h11.CLIENT)
            asking.send(h11.Request(method=request.partition(b" ")[0], target="/", headers=[("host", "provider")]))
            asking.send(h11.EndOfMessage())
            return await _message(asking, reader)
        finally:
            writer.transport.abort()


def _reset_at_once(writer: asyncio.StreamWriter) -> None:
    """Let the connection end with a reset, which is what the other side sees of a process that was killed."""
    if not writer.transport.is_closing():
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()


async def _message(connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    """Return one message as it came, nothing where the connection ends before it."""
    raw = b""
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                chunk = await reader.read(_CHUNK)
                raw += chunk
                connection.receive_data(chunk)
            case h11.EndOfMessage():
                return raw
            case h11.ConnectionClosed():
                return b""
            case _:
                pass
