"""Processes that end by SIGKILL at a chosen point: right before or after one of their commits or provider calls.

The product has no hook for this. The shipped application and library run here over the shipped store and provider, with
a wrapper between that takes note of each point it passes, and at the chosen one kills its own process. Processes are
forked from one that has everything imported, so that each costs little.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import uvicorn
from typing_extensions import override

from semel import Semel, assembly
from semel.cli.opened import read_settings
from semel.http import create_app
from semel.observe import Metrics, ObservedEvents
from semel.ports import Store, Tidies, Write
from semel.system import SystemClock, SystemIds
from semel.testing import FaultyStore
from semel.testing.fake_provider import ProviderFace
from semel.testing.fake_server import SCHEME, FakeProviderClient

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        __name__,
        "uvloop",
        "httptools",
        "uvicorn.protocols.http.httptools_impl",
        "semel.stores.dynamodb",
        "semel.stores.azure_connect",
    ]
)


@dataclass(frozen=True)
class Job:
    """What a process is given: its environment, where its output and its points go, where it dies, how late it is."""

    variables: Mapping[str, str]
    log: Path
    points: Path
    fatal: str | None = None
    ahead: timedelta = timedelta()


class LaterClock(SystemClock):
    """The clock of this machine, put forward: whoever is given it comes later, and nobody has to wait."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    @override
    def now(self) -> datetime:
        return super().now() + self.ahead

    def reach(self, moment: datetime | None) -> None:
        """Put it forward to the moment, unless that is past."""
        if moment is not None:
            self.ahead += max(moment - self.now(), timedelta())


class Points:
    """The points that a process passes, each written down before the next: a process that is killed tells no tales."""

    def __init__(self, job: Job) -> None:
        self._points = job.points.open("ab", buffering=0)
        self._fatal = job.fatal
        self._calls: Counter[str] = Counter()

    @contextmanager
    def around(self, operation: str) -> Iterator[None]:
        self._calls[operation] += 1
        call = f"{operation} {self._calls[operation]}"
        self._pass(f"before {call}")
        try:
            yield
        finally:
            self._pass(f"after {call}")

    def _pass(self, point: str) -> None:
        self._points.write(f"{point}\n".encode())
        if point == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(FaultyStore):
    """Any store, whose process may die before or after a commit."""

    def __init__(self, store: Store, points: Points) -> None:
        super().__init__(store, lambda _: None, SystemClock())
        self._points = points

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        with self._points.around("commit"):
            await super().commit(writes, token)


class MortalTidyingStore(MortalStore):
    """The same over a store that clears away what dead commits left."""

    def __init__(self, store: Store, tidying: Tidies, points: Points) -> None:
        super().__init__(store, points)
        self._tidying = tidying

    async def tidy(self) -> int:
        """See ``Tidies.tidy``."""
        with self._points.around("tidy"):
            return await self._tidying.tidy()


def mortal_store(store: Store, points: Points) -> MortalStore:
    """Return a store of the same abilities, whose process may die."""
    return MortalTidyingStore(store, store, points) if isinstance(store, Tidies) else MortalStore(store, points)


class MortalProvider(ProviderFace):
    """A client of the fake provider, whose process may die before or after a call."""

    def __init__(self, client: FakeProviderClient, points: Points) -> None:
        self.timeout = client.timeout
        self._client = client
        self._points = points

    @override
    async def ask(self, operation: str, *args: Any) -> Any:
        with self._points.around(operation):
            return await self._client.ask(operation, *args)


class Process:
    """A process as seen from the test. ``url`` is where it listens, if it does."""

    def __init__(self, job: Job, process: ForkServerProcess, url: str = "") -> None:
        self.job = job
        self.url = url
        self._process = process

    async def end(self) -> int:
        """Return once it has ended, with its exit status; one that was killed has that of the signal, negative."""
        await _readable(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self.end()

    def passed(self) -> list[str]:
        """Return the points that it has passed; the last is where it died, if it did."""
        return self.job.points.read_text().splitlines()


def warm_up() -> None:
    """Start the process that others are forked from; the first fork waits until it has everything imported."""
    process = _FORKING.Process(target=time.monotonic)
    process.start()
    process.join()
    assert process.exitcode == 0


async def serve(job: Job) -> Process:
    """Start a server and return it once it listens. Raises ``EOFError`` where it ends before."""
    heard, said = _FORKING.Pipe(duplex=False)
    process = _FORKING.Process(target=_serve, args=(job, said), daemon=True)
    process.start()
    said.close()
    with heard:
        await _readable(heard.fileno())
        return Process(job, process, f"http://127.0.0.1:{heard.recv()}")


def do(job: Job, deed: Callable[[Semel], Awaitable[object]]) -> Process:
    """Start a process that opens Semel, does one thing and ends. The deed is pickled."""
    process = _FORKING.Process(target=_do, args=(job, deed), daemon=True)
    process.start()
    return Process(job, process)


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Open the store at a URL."""
    metrics = Metrics()
    events = ObservedEvents(metrics)
    store = await assembly.open_store(
        url, assembly.Given(clock=SystemClock(), ids=SystemIds(), events=events, metrics=metrics)
    )
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _mortal(job: Job) -> AsyncIterator[Semel]:
    """Yield what ``Semel(settings)`` is, but mortal; not open yet."""
    settings, points = read_settings(), Points(job)
    url = settings.provider_url.get_secret_value()
    client = FakeProviderClient(url, settings.provider_timeout_seconds) if url.startswith(SCHEME) else None
    async with open_store(settings.database_url.get_secret_value()) as store:
        provider = MortalProvider(client, points) if client else None
        yield Semel(settings, store=mortal_store(store, points), provider=provider, clock=LaterClock(job.ahead))


class _Announced(uvicorn.Server):
    """Says on which port it listens, once it does."""

    def __init__(self, config: uvicorn.Config, said: Connection) -> None:
        super().__init__(config)
        self._said = said

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._said.send(self.servers[0].sockets[0].getsockname()[1])


def _serve(job: Job, said: Connection) -> None:
    async def served() -> None:
        async with _mortal(job) as semel:
            config = uvicorn.Config(create_app(semel.settings, semel=semel), port=0, access_log=False, log_config=None)
            await _Announced(config, said).serve()

    _run(job, served)


def _do(job: Job, deed: Callable[[Semel], Awaitable[object]]) -> None:
    async def done() -> None:
        async with _mortal(job) as semel, semel:
            await deed(semel)

    _run(job, done)


def _run(job: Job, main: Callable[[], Any]) -> None:
    """Run as a process of its own would: with its own environment, output and event loop."""
    os.environ.clear()
    os.environ.update(job.variables)
    with job.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(main())


async def _readable(descriptor: int) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
