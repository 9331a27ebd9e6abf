"""The edge: request ids, security headers, log lines, and what becomes of an unexpected exception."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from httpx import ASGITransport, AsyncClient
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import get_contextvars

from semel.http.edge import Edge, LastResort
from semel.observe.logs import LOGGER
from semel.testing.clock import SequentialIds, VirtualClock

_SECRET = "xK9-never-to-be-seen"


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return what was logged since the test began."""
    caplog.set_level("INFO", LOGGER)
    return lambda: [record.msg for record in caplog.records if isinstance(record.msg, dict)]


async def _well(request: Request) -> Response:
    return JSONResponse({"request_id": request.state.request_id}, headers={"cache-control": "max-age=60"})


async def _made() -> Response:
    return Response(status_code=HTTPStatus.CREATED)


async def _broken() -> Response:
    try:
        int(_SECRET)
    except ValueError as error:
        raise RuntimeError(f"cannot use {_SECRET}") from error
    return Response()


async def _broken_midway() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError(_SECRET)

    return StreamingResponse(chunks())


async def _hung_up() -> Response:
    raise ClientDisconnect


def _app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(LastResort)
    app.add_middleware(Edge, clock=VirtualClock(), ids=SequentialIds())
    app.add_api_route("/well/{word}", _well)
    app.add_api_route("/made", _made)
    app.add_api_route("/broken", _broken)
    app.add_api_route("/midway", _broken_midway)
    app.add_api_route("/gone", _hung_up)
    return app


def _client(base_url: str = "http://testserver") -> AsyncClient:
    return AsyncClient(transport=ASGITransport(_app()), base_url=base_url)


async def _sent(path: str) -> list[Message]:
    """Return what goes over the wire, also where that is no whole answer."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "scheme": "http"}
    await _app()(scope, receive, send)
    return sent


async def test_a_request_id_is_made_told_and_logged(lines: Lines) -> None:
    """Answer, application and log line name one id; the log names the path's pattern and not what was typed into it."""
    answer = await _client().get(f"/well/{_SECRET}?q={_SECRET}")
    request_id = answer.headers["x-request-id"]
    assert answer.json() == {"request_id": request_id}
    (line,) = lines()
    assert (line["event"], line["route"], line["status"]) == ("http.request", "/well/{word}", 200)
    assert _SECRET not in str(lines())


async def test_a_status_is_logged_as_its_number(lines: Lines) -> None:
    """Also where the route names it: for people a line shows each value as Python does."""
    await _client().get("/made")
    (line,) = lines()
    assert repr(line["status"]) == "201"


async def test_every_log_line_of_a_request_carries_its_id(lines: Lines) -> None:
    """The id is bound for whatever else logs meanwhile, and for nothing afterwards."""
    answer = await _client().get("/broken")
    assert [line["request_id"] for line in lines()] == [answer.headers["x-request-id"]] * 2
    assert not get_contextvars()


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ("8e03978e-40d5-43e8", True),
        ("a" * 129, False),
        ("short", False),
        ("two words here", False),
        ("nasty\tvalue", False),
    ],
)
async def test_a_callers_request_id_is_taken_if_it_is_sane(offered: str, *, taken: bool) -> None:
    """A proxy's id goes through; one that could confuse a log does not."""
    answer = await _client().get("/well/a", headers={"X-Request-ID": offered})
    assert (answer.headers["x-request-id"] == offered) is taken


async def test_security_headers_are_on_every_answer() -> None:
    """An answer's own header wins; a missing page has them all; TLS adds the strict-transport header."""
    async with _client() as client:
        own, missing = await client.get("/well/a"), await client.get("/nowhere")
    assert own.headers.get_list("cache-control") == ["max-age=60"]
    assert missing.headers["cache-control"] == "no-store"
    assert missing.headers["x-content-type-options"] == "nosniff"
    assert missing.headers["referrer-policy"] == "no-referrer"
    assert missing.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in missing.headers
    over_tls = await _client("https://testserver").get("/nowhere")
    assert "strict-transport-security" in over_tls.headers


async def test_an_unexpected_exception_is_answered_without_detail_and_logged_without_secret(lines: Lines) -> None:
    """The caller gets a problem with the request id; the log gets types and places of the whole chain, no message."""
    answer = await _client().get("/broken")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["request_id"]) == (
        500,
        "internal_error",
        answer.headers["x-request-id"],
    )
    error = next(line for line in lines() if line["event"] == "http.error")
    assert [step for step in error["trace"] if ":" not in step] == ["RuntimeError", "ValueError"]
    assert any("test_edge.py" in step and "_broken" in step for step in error["trace"])
    assert _SECRET not in answer.text + str(lines())


async def test_an_exception_after_the_answer_began_is_logged_and_answers_nothing_more(lines: Lines) -> None:
    """What is half sent cannot be taken back; it breaks off, and only the log says why."""
    start, *bodies = await _sent("/midway")
    assert (start["status"], [body["body"] for body in bodies]) == (200, [b"half"])
    assert [line["event"] for line in lines()] == ["http.error", "http.request"]
    assert _SECRET not in str(lines())


async def test_a_request_that_the_server_stops_is_answered_once() -> None:
    """Told to come back, where nothing was said yet; where the answer has begun, it breaks off."""
    for begun in (False, True):
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        stopped = LastResort(_stopped_midway if begun else _stopped)({"type": "http"}, _nothing, send)
        if begun:
            with pytest.raises(asyncio.CancelledError):
                await stopped
        else:
            await stopped
        assert [message.get("status") for message in sent if "status" in message] == [200 if begun else 503]


async def _stopped(_: Scope, __: Receive, ___: Send) -> None:
    raise asyncio.CancelledError


async def _stopped_midway(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise asyncio.CancelledError


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def test_a_caller_who_hangs_up_is_no_error(lines: Lines) -> None:
    """Nobody is there to be answered, and nothing went wrong."""
    assert await _sent("/gone") == []
    assert [line["event"] for line in lines()] == ["http.hung_up", "http.request"]
