"""Where the processor's time of a sign-up goes in the server, layer by layer.

Each layer is called with all that is inside it, in this process: no network, no database, no hash. What a layer costs
is what it takes longer than what is inside it. The microseconds are this machine's at this moment, and several times
as many while others use it as well; the shares change little.
"""

from __future__ import annotations

import gc
import logging
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope
from typing_extensions import override

from benchmarks.people import CLOCK, IDS, PASSWORD, intent, prepared, register, registrar
from benchmarks.turns import Bench, Benchmark, Effort, Table
from semel.config import Settings
from semel.face import Semel
from semel.http import create_app
from semel.http.app import OPERATIONS
from semel.http.body import BodyLimits
from semel.http.edge import Edge
from semel.http.limits import Limiter
from semel.http.routes import routes
from semel.intents import Intent
from semel.model import KeyRecord
from semel.observe import configure_logs
from semel.observe.logs import LOGGER
from semel.ports import Write, in_order
from semel.providers.embedded import EmbeddedPasswords
from semel.stores.memory import MemoryStore
from semel.stores.postgres_sql import Statements
from semel.stores.schema import SCHEMA
from semel.testing.hashers import CheapHasher

__all__ = ["LAYERS", "run"]

_PATH = "/api/auth/signup"
_BARE = "a bare Starlette endpoint, for comparison"


class Asked(NamedTuple):
    """A sign-up, and how it arrives."""

    intent: Intent
    scope: Scope
    body: bytes


class Layer(NamedTuple):
    """A layer with all that is inside it."""

    name: str
    do: Callable[[Asked], Awaitable[Any]]
    level: int = logging.WARNING
    """The least level of the log lines that are written."""


class Forgetful(MemoryStore):
    """Makes the statement of a commit, as the store on PostgreSQL does, and keeps nothing but keys."""

    _statements = Statements(SCHEMA)

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if isinstance(writes[0].record, KeyRecord):
            await super().commit(writes, token)
        else:
            self._statements.commit([writes[position] for position in in_order(writes)], token)


def _asked() -> Asked:
    asked = intent()
    person = {"name": asked.full_name, "email": asked.email, "username": asked.username, "role": asked.role}
    body = msgspec.json.encode({**person, "password": PASSWORD})
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"idempotency-key", f'"{asked.idempotency_key}"'.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": _PATH, "root_path": "", "query_string": b""}
    return Asked(asked, {**scope, "headers": headers}, body)


def _by_http(app: ASGIApp) -> Callable[[Asked], Awaitable[None]]:
    """Return what sends a sign-up to an application as uvicorn does."""

    async def call(asked: Asked) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": asked.body, "more_body": False}

        async def send(message: Message) -> None:
            if message.get("status", HTTPStatus.CREATED) != HTTPStatus.CREATED:
                raise RuntimeError(f"the application answered {message['status']}")

        await app(asked.scope, receive, send)

    return call


async def _bare(request: Request) -> Response:
    person = msgspec.json.decode(await request.body())
    return Response(msgspec.json.encode(person), HTTPStatus.CREATED, media_type="application/json")


def _layers(semel: Semel, store: Forgetful) -> list[Layer]:
    """Return the layers, the innermost first."""

    async def inside(asked: Asked) -> None:
        prepared(asked.intent)

    endpoint = next(
        one.app for one in routes(semel, OPERATIONS, BodyLimits(65_536, 10), Limiter(semel)) if one.path == _PATH
    )
    application, registering = create_app(semel.settings, semel=semel), registrar(store)
    return [
        Layer("canonical forms, policy, fingerprint", inside),
        Layer("the protocol, and the commit's statement", lambda asked: registering.register(asked.intent)),
        Layer("metrics, spans and events", lambda asked: register(semel, asked.intent)),
        Layer("headers, key, body and answer", _by_http(endpoint)),
        Layer("the edge: request id, security headers", _by_http(Edge(endpoint, clock=CLOCK, ids=IDS))),
        Layer("FastAPI around it", _by_http(application)),
        Layer("two log lines", _by_http(application), logging.INFO),
        Layer(_BARE, _by_http(Starlette(routes=[Route(_PATH, _bare, methods=["POST"])]))),
    ]


async def _microseconds(layer: Layer, count: int) -> float:
    """Return the processor's time of one sign-up."""
    ready = [_asked() for _ in range(count)]
    logging.getLogger(LOGGER).setLevel(layer.level)
    gc.collect()
    gc.freeze()
    begun = time.process_time()
    for asked in ready:
        await layer.do(asked)
    seconds = time.process_time() - begun
    gc.unfreeze()
    return seconds / count * 1e6


@contextmanager
def _logging() -> Iterator[None]:
    """Let log lines go nowhere for a while, as JSON."""
    ours, root = logging.getLogger(LOGGER), logging.getLogger()
    before = root.handlers[:], root.level, ours.level
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        configure_logs("info", "json", nowhere)
        try:
            yield
        finally:
            root.handlers[:], root.level, ours.level = before


async def run(bench: Bench) -> Table:
    """Measure."""
    store = Forgetful(CLOCK.now)
    settings = Settings(_env_file=None, database_url="memory:", rate_limits="off", upkeep=False)
    found: dict[str, list[float]] = {}
    async with Semel(settings, store=store, provider=EmbeddedPasswords(CheapHasher())) as semel:
        layers = _layers(semel, store)
        with _logging():
            for number in range(1, bench.effort.rounds + 1):
                bench.say(f"round {number} of {bench.effort.rounds}")
                for layer in layers:
                    found.setdefault(layer.name, []).append(await _microseconds(layer, bench.effort.count))
    return _table({name: statistics.median(each) for name, each in found.items()})


def _table(medians: dict[str, float]) -> Table:
    bare = medians.pop(_BARE)
    whole, inside = max(medians.values()), 0.0
    rows: list[tuple[str, float, str]] = []
    for name, median in medians.items():
        rows.append((name, round(median - inside), f"{(median - inside) / whole:.0%}"))
        inside = median
    rows += [("all of it", round(whole), "100%"), (_BARE, round(bare), f"{bare / whole:.0%}")]
    return Table("A sign-up in the server: processor time", ("", "microseconds", "share"), tuple(rows))


LAYERS = Benchmark("layers", Effort(count=1500, rounds=5), run)
