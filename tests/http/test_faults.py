"""Requests at fault: each a problem document with a 4xx, and none repeats what was sent, to caller or log."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient

from semel.http import create_app
from tests.http.conftest import running, settings

_SECRET = "xK9-never-to-be-seen"
_JSON = {"Content-Type": "application/json"}
_PERSON = {"email": "test@example.com", "password": _SECRET}


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


_LARGE = json.dumps({**_PERSON, "name": _SECRET * 1200}).encode()

Request = tuple[int, str, str, dict[str, Any]]
"""The status expected, method, path, and what else the client sends."""


def _up(status: int, **sent: Any) -> Request:  # noqa: ANN401 - as httpx takes it
    return status, "POST", "/api/auth/signup", sent


def _in(status: int, **sent: Any) -> Request:  # noqa: ANN401 - as httpx takes it
    return status, "POST", "/api/auth/login", sent


_REQUESTS: dict[str, Request] = {
    "malformed": _up(400, content=b'{"password": "%s"' % _SECRET.encode(), headers=_JSON),
    "not UTF-8": _in(400, content=b'{"password": "%s\xff"}' % _SECRET.encode(), headers=_JSON),
    "nested": _up(400, content=b'{"attributes":' + b"[" * 19_000, headers=_JSON),
    "wrong type": _up(422, json={**_PERSON, "password": [_SECRET]}),
    "missing": _in(422, json={"password": _SECRET}),
    "unknown value": _in(422, json={**_PERSON, "token": _SECRET}),
    "unknown name": _up(422, json={**_PERSON, _SECRET: 1}),
    "no email": _up(422, json={"email": _SECRET, "password": _SECRET}),
    "too common": _up(422, json={**_PERSON, "password": "password123"}),
    "role": _up(422, json={**_PERSON, "role": _SECRET}),
    "username": _up(422, json={**_PERSON, "username": f"{_SECRET} \u202e"}),
    "NUL": _up(422, json={**_PERSON, "name": f"{_SECRET}\0"}),
    "NUL inside": _up(422, json={**_PERSON, "attributes": {_SECRET: "\0"}}),
    "no object": _up(422, json=[_SECRET]),
    "too large": _up(413, content=_LARGE, headers=_JSON),
    "too large in chunks": _up(413, content=_chunks(_LARGE), headers=_JSON),
    "a form": _up(415, data=_PERSON),
    "no content type": _up(415, content=json.dumps(_PERSON).encode()),
    "key": _up(400, json=_PERSON, headers={"Idempotency-Key": _SECRET[:12]}),
    "wrong password": _in(401, json=_PERSON),
    "refresh": (401, "POST", "/api/auth/refresh", {"json": {"refresh_token": _SECRET}}),
    "bearer": (401, "GET", "/api/me", {"headers": {"Authorization": f"Bearer {_SECRET}"}}),
    "scheme": (401, "POST", "/api/auth/logout", {"headers": {"Authorization": f"Basic {_SECRET}"}}),
    "method": (405, "PUT", "/api/auth/signup", {"json": _PERSON}),
    "path": (404, "POST", f"/api/auth/{_SECRET}", {"json": _PERSON}),
    "slash": (404, "POST", "/api/auth/signup/", {"json": _PERSON}),
    "unknown code": (404, "GET", f"/problems/{_SECRET}", {}),
}


@pytest.mark.parametrize("at_fault", _REQUESTS.values(), ids=_REQUESTS)
async def test_a_fault_is_a_problem_that_repeats_nothing(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, at_fault: Request
) -> None:
    """Status, media type and members are right; the secret is in no part of the answer and in no line of the log."""
    caplog.set_level("DEBUG", "semel")
    status, method, path, sent = at_fault
    answer = await client.request(method, path, **sent)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    told = f"{answer.text} {answer.headers}"
    assert _SECRET not in told
    assert _SECRET[:12] not in told
    assert _SECRET[:12] not in caplog.text


async def test_every_field_at_fault_is_named_at_once(client: AsyncClient) -> None:
    """What canonicaliser, policy and password rules object to comes in one answer."""
    person = {"email": "nobody", "password": "short", "username": "a b", "role": "admin", "name": "x" * 201}
    answer = await client.post("/api/auth/signup", json=person)
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["errors"]} == set(person)


async def test_a_wrong_method_names_the_right_ones(client: AsyncClient) -> None:
    """RFC 9110, 15.5.6."""
    assert (await client.delete("/api/auth/signup")).headers["allow"] == "POST"


@pytest.mark.parametrize("code", ["user_already_exists", "malformed_body"])
async def test_the_type_of_a_problem_can_be_looked_up(client: AsyncClient, code: str) -> None:
    """``type`` leads to a page that says what the code means."""
    answer = await client.get(f"/problems/{code}")
    assert answer.status_code == 200
    assert code in answer.text


async def test_no_other_origin_is_let_in_by_default() -> None:
    """Without configured origins no answer may be read by another origin's page."""
    async with running(create_app(settings(cors_origins=()))) as client:
        answer = await client.get("/healthz", headers={"Origin": "https://app.example.com"})
    assert "access-control-allow-origin" not in answer.headers


async def test_other_origins_are_told_apart(client: AsyncClient) -> None:
    """Only pages of a configured origin may read answers, and their preflight is answered with a request id too."""
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Idempotency-Key"}
    ours = await client.options("/api/auth/signup", headers={"Origin": "https://app.example.com", **preflight})
    theirs = await client.options("/api/auth/signup", headers={"Origin": "https://evil.example.com", **preflight})
    assert ours.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "access-control-allow-credentials" not in ours.headers
    assert "access-control-allow-origin" not in theirs.headers
    assert ours.headers["x-request-id"]
