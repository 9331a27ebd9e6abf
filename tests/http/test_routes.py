"""The way to an operation: past the framework's routing where that decides nothing, and the same answers either way."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from semel import Semel
from semel.http import create_app
from semel.http.app import OPERATIONS
from semel.http.body import BodyLimits
from semel.http.limits import Limiter
from semel.http.routes import Shortcut, routes
from tests.http.conftest import SETTINGS, running

_SIGN_UP = {"type": "http", "method": "POST", "path": "/api/auth/signup", "root_path": ""}


async def _by_routing(_: Scope, __: Receive, send: Send) -> None:
    """Stand in for the framework."""
    await send({"type": "by routing"})


async def _way(scope: Scope) -> str:
    """Return how a request is passed on."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    semel = Semel(SETTINGS)
    shortcut = Shortcut(_by_routing, routes(semel, OPERATIONS, BodyLimits(1, 1.0), Limiter(semel)))
    await shortcut({"headers": [], "query_string": b"", **scope}, receive, send)
    return str(sent[0]["type"])


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"method": "OPTIONS"},
        {"path": "/api/auth/signup/"},
        {"path": "/problems/not_found", "method": "GET"},
        {"root_path": "/people"},
        {"fastapi.telemetry": None},
        {"type": "websocket"},
    ],
    ids=str,
)
async def test_what_routing_has_to_decide_is_left_to_it(change: Scope) -> None:
    """Other methods and paths, parts of a path, an application under a prefix, and requests that FastAPI traces."""
    assert await _way({**_SIGN_UP, **change}) == "by routing"
    assert await _way(_SIGN_UP) == "http.response.start"


@pytest.mark.parametrize("prefix", ["", "/people"])
async def test_the_answer_is_the_same_either_way(prefix: str) -> None:
    """A person, a fault and a wrong method, at the server itself and where a proxy puts something before its paths."""
    app = create_app(SETTINGS)
    app.root_path = prefix
    person = {"email": "ada@example.com", "password": "StrongPass123$"}
    async with running(app) as client:
        answers = [
            await client.post(f"{prefix}/api/auth/signup", json=person),
            await client.post(f"{prefix}/api/auth/signup", json={}),
            await client.get(f"{prefix}/api/auth/signup"),
        ]
    assert [answer.status_code for answer in answers] == [201, 422, 405]
    assert all("x-request-id" in answer.headers for answer in answers)
