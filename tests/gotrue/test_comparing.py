"""The replay sees what differs: each kind of change to an answer has its line, and a faithful answer has none."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import pytest

from tests.gotrue.comparing import differences
from tests.gotrue.names import Names
from tests.gotrue.recordings import Answer, Scenario, Step, units
from tests.gotrue.table import Meant, wrong
from tests.gotrue.tokens import signed

ID: Final = str(UUID(int=7))
OTHER: Final = str(UUID(int=8))
HEADERS: Final = {"content-type": "application/json", "vary": "Origin"}
ERROR_HEADERS: Final = {**HEADERS, "x-sb-error-code": "email_exists", "x-supabase-api-version": "2024-01-01"}
USER: Final = {"id": "<user:1>", "sub": "<user:1>", "made": "<time>", "age": 36, "known": [True, None], "left": {}}
OURS: Final = {"id": ID, "sub": ID, "made": "2026-11-28T16:00:00.5Z", "age": 36, "known": [True, None], "left": {}}
ERROR: Final = {"code": "email_exists", "message": "is there"}


def answer(status: int, body: object, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {**(HEADERS if status < 400 else ERROR_HEADERS), **named}, body)


def found(recorded: Answer, ours: Answer) -> list[str]:
    return differences(recorded, ours, Names({}), {})


def test_a_faithful_answer_has_no_difference() -> None:
    """Ids and times are its own, as are headers that mean nothing."""
    assert found(answer(200, USER), answer(200, OURS, server="ours")) == []
    assert found(answer(422, ERROR), answer(422, ERROR)) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sub": OTHER}, "body.sub: <user:1> → another"),
        ({"made": "yesterday"}, "body.made: <time> → yesterday"),
        ({"age": 37}, "body.age: 36 → 37"),
        ({"age": "36"}, "body.age: number → text"),
        ({"known": [False, None]}, "body.known.0: True → False"),
        ({"known": [True]}, "body.known: 2 entries → 1"),
        ({"known": None}, "body.known: list → null"),
        ({"left": {"more": 1}}, "body.left.more added"),
    ],
)
def test_a_change_of_the_body_has_its_line(change: dict[str, Any], line: str) -> None:
    """It says where, and what has become of what."""
    assert found(answer(200, USER), answer(200, {**OURS, **change})) == [line]


def test_a_missing_field_has_its_line() -> None:
    """It says which."""
    less = {name: value for name, value in OURS.items() if name != "age"}
    assert found(answer(200, USER), answer(200, less)) == ["body.age missing"]


@pytest.mark.parametrize(
    ("ours", "lines"),
    [
        (answer(409, ERROR), ["status 422 → 409"]),
        (answer(200, OURS), ["status 422 → 200", "code email_exists → None"]),
        (answer(422, {**ERROR, "message": "was"}), ["body.message: is there → was"]),
        (answer(422, {**ERROR, "code": 422}), ["body.code: text → number"]),
        (answer(422, {**ERROR, "code": "other"}), ["code email_exists → email_exists and other"]),
        (answer(422, ERROR, x_sb_error_code="other"), ["code email_exists → email_exists and other"]),
        (answer(422, ERROR, x_total_count="1"), ["header x-total-count added"]),
        (Answer(422, HEADERS, ERROR), ["header x-sb-error-code missing", "header x-supabase-api-version missing"]),
        (answer(422, ERROR, vary="*"), ["header vary: Origin → *"]),
    ],
)
def test_a_change_of_an_error_has_its_line(ours: Answer, lines: list[str]) -> None:
    """Status, code and headers as well; a message is compared where the code is the same."""
    assert found(answer(422, ERROR), ours) == lines


def test_two_people_are_not_taken_for_one() -> None:
    """A name that is new must stand for a value that is."""
    assert found(answer(200, ["<user:1>", "<user:2>"]), answer(200, [ID, ID])) == ["body.1: <user:2> → another"]


def test_the_claims_of_a_token_are_compared() -> None:
    """Where they were recorded."""
    jwts = {"<jwt:1>": {"header": {"alg": "HS256", "typ": "JWT"}, "claims": {"sub": "<user:1>", "aal": "aal1"}}}
    ours = answer(200, {"token": signed({"sub": ID})})
    lines = differences(answer(200, {"token": "<jwt:1>"}), ours, Names({}), jwts)
    assert lines == ["body.token(jwt).claims.aal missing"]


def test_the_table_is_held_against_what_is_found() -> None:
    """What it has not, and what it has in vain, is wrong."""
    step = _first(units())
    table = [Meant("a reason", at=[str(step)], what=["status 200 → 201", "body.* added"])]
    assert wrong(table, step, ["status 200 → 201", "body.more added"]) == []
    assert wrong(table, step, ["status 200 → 201", "body.id missing"]) == [
        f"{step}: body.id missing",
        f"{step}: in the table, and not so: body.* added",
    ]


def _first(all_units: list[list[Scenario]]) -> Step:
    return all_units[0][0].steps[0]
