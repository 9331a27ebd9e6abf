"""Callers who sign up as fast as servers answer, in a process of their own so that they share nothing with those.

    python -m benchmarks.load http://127.0.0.1:8000… [--count 4000] [--connections 16] [--one-person]

The connections are spread evenly over the servers.

Everything that is sent is made before the clock starts. With ``--one-person`` all want the same email, and each of them
sends one request: all of it but the last byte, then, once all are there, all the last bytes together. Prints one JSON
object: ``seconds``, and how often each status was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop
from typing_extensions import override

from benchmarks.people import IDS, PASSWORD, intent
from benchmarks.wire import content_length

__all__ = ["Answers", "load"]

SIGN_UP = "/api/auth/signup"


class Answers(msgspec.Struct):
    """What the callers were told, and how long it took."""

    seconds: float
    statuses: dict[str, int]


class Caller(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, sends the next."""

    def __init__(self, requests: deque[bytes], statuses: Counter[str]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._statuses = statuses
        self._got = b""
        self.send: Callable[[bytes], None]

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.send = cast("asyncio.WriteTransport", transport).write

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    @override
    def data_received(self, data: bytes) -> None:
        self._got += data
        head, separator, body = self._got.partition(b"\r\n\r\n")
        if not separator or len(body) < content_length(head):
            return
        self._statuses[head[9:12].decode()] += 1
        self._got = b""
        self.next()

    def next(self) -> None:
        """Send what is to be sent next."""
        if self._requests:
            self.send(self._requests.popleft())
        elif not self.done.done():
            self.done.set_result(None)


def _requests(host: str, count: int, *, one_person: bool) -> list[bytes]:
    shared = intent()
    return [_request(host, (shared if one_person else intent()).email or "", number) for number in range(count)]


def _request(host: str, email: str, number: int) -> bytes:
    person = {"email": email, "username": f"user-{IDS.uuid()}", "name": f"Ada {number}", "password": PASSWORD}
    body = msgspec.json.encode({**person, "role": "Creator"})
    head = f'POST {SIGN_UP} HTTP/1.1\r\nHost: {host}\r\nIdempotency-Key: "{IDS.uuid()}"\r\n'
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def load(urls: Sequence[str], count: int, connections: int, *, one_person: bool) -> Answers:
    """Return what came of ``count`` sign-ups."""
    places = [(place.hostname or "", place.port or 80) for place in map(urlsplit, urls)]
    statuses: Counter[str] = Counter()
    requests = _requests(places[0][0], count, one_person=one_person)
    waiting = deque([] if one_person else requests)
    loop = asyncio.get_running_loop()
    callers: list[Caller] = []
    for place in islice(cycle(places), connections):
        _, caller = await loop.create_connection(lambda: Caller(waiting, statuses), *place)
        callers.append(caller)
    if one_person:
        for caller, request in zip(callers, requests, strict=True):
            caller.send(request[:-1])
        await asyncio.sleep(0)
    begun = time.perf_counter()
    for caller, request in zip(callers, requests, strict=False):
        if one_person:
            caller.send(request[-1:])
        else:
            caller.next()
    await asyncio.gather(*(caller.done for caller in callers))
    return Answers(time.perf_counter() - begun, dict(statuses))


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the server, and print what came of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.load")
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--one-person", action="store_true")
    options = parser.parse_args(arguments)
    answers = uvloop.run(load(options.urls, options.count, options.connections, one_person=options.one_person))
    sys.stdout.write(json.dumps(msgspec.to_builtins(answers)) + "\n")


if __name__ == "__main__":
    main()
