"""Errors become problem documents."""

import asyncio

import msgspec
import pytest

from semel.errors import FieldError, SemelError, every_error
from semel.http import create_app
from semel.http.problems import Refused, answer, problem_of
from tests.http.conftest import running, settings

_PERSON = {"email": "ada@example.com", "password": "StrongPass123$"}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_every_error_has_a_problem(kind: type[SemelError]) -> None:
    """Code, status, detail, fields, registration and request are all told, under a type that stays."""
    error = kind("why", (FieldError("email", "taken", "Email is taken"),), 1.2, "r1")
    response = answer(error, {"type": "http", "state": {"request_id": "q1"}})
    assert (response.status_code, response.media_type) == (kind.status, "application/problem+json")
    assert msgspec.json.decode(response.body) == {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "why",
        "code": kind.code,
        "request_id": "q1",
        "registration_id": "r1",
        "errors": [{"field": "email", "code": "taken", "message": "Email is taken"}],
    }
    assert response.headers["retry-after"] == "2"
    assert ("www-authenticate" in response.headers) is (kind.status == 401)


def test_what_is_not_known_is_left_out() -> None:
    """No member is null; without a time to come back there is no ``Retry-After``."""
    kind = every_error()[0]
    assert "null" not in msgspec.json.encode(problem_of(kind())).decode()
    assert "retry-after" not in answer(kind(), {"type": "http"}).headers


def test_an_error_for_other_applications_keeps_its_headers() -> None:
    """In an application without our handlers, too, a caller learns when to come back."""
    refused = Refused(every_error()[0]("why", retry_after=3))
    assert (refused.detail, refused.headers) == ("why", {"retry-after": "3"})


async def test_a_full_hash_queue_says_when_to_come_back() -> None:
    """Beyond what runs and what may wait: 503 at once with ``Retry-After``; the others get their accounts."""
    busy = settings(argon2_threads=1, argon2_queue=1, argon2_memory_kib=65_536)
    people = [{**_PERSON, "email": f"a{number}@example.com"} for number in range(8)]
    async with running(create_app(busy)) as client:
        answers = await asyncio.gather(*(client.post("/api/auth/signup", json=person) for person in people))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert 0 < len(refused) < len(people)
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "overloaded")}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
