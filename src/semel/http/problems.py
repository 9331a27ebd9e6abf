"""Errors as problem documents (RFC 9457). What the caller typed is in none of them."""

from __future__ import annotations

import http.client
import inspect
import math
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from semel.errors import (
    BodyTooLarge,
    FieldError,
    IdentityOutcome,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    RequestTimeout,
    SemelError,
    StoreUnavailable,
    UnsupportedMediaType,
    every_error,
)

__all__ = ["MEDIA_TYPE", "Problem", "Refused", "answer", "explain", "handle_problems", "plain_problem", "problem_of"]

MEDIA_TYPE = "application/problem+json"

_BY_STATUS: dict[int, type[SemelError]] = {
    kind.status: kind for kind in (NotFound, MethodNotAllowed, BodyTooLarge, UnsupportedMediaType)
}


_UNREAD = frozenset({BodyTooLarge.status, RequestTimeout.status})
"""Answers to a request that is not read to its end: the connection is of no use afterwards (RFC 9110, 15.5.9)."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done (RFC 9457)."""

    type: str
    """A relative reference that stays; GET it to read what the code means."""
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    """As in the header ``X-Request-ID`` and in the server's log."""
    registration_id: str | None = None
    """The registration that this is about, where one is known."""
    identity: IdentityOutcome | None = None
    """What became of the identity, where a registration failed after one was made, or may have been."""
    errors: tuple[FieldError, ...]
    """What is wrong, field by field; empty where it is no field."""


class Refused(HTTPException):
    """A ``SemelError`` in a shape that every FastAPI application can answer, also one without our handlers."""

    def __init__(self, error: SemelError) -> None:
        super().__init__(error.status, error.detail, headers_of(error))
        self.error = error


def answer(error: SemelError, scope: Scope, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that tells of an error."""
    problem = problem_of(error, scope.get("state", {}).get("request_id"))
    given = {**headers_of(error), **(headers or {})}
    if error.status in _UNREAD and scope.get("http_version", "1.1") < "2":
        given["connection"] = "close"
    return _as_response(problem, given)


def problem_of(error: SemelError, request_id: str | None = None) -> Problem:
    """Return an error as a problem document."""
    return Problem(
        type=f"/problems/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        registration_id=error.registration_id,
        identity=error.identity,
        errors=error.errors,
    )


def headers_of(error: SemelError) -> dict[str, str]:
    """Return the headers that belong to an error: when to come back, or how to authenticate (RFC 9110)."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    elif isinstance(error, StoreUnavailable):  # the store does not say when; it may be a moment
        headers["retry-after"] = "1"
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return headers


def explain(code: str) -> str:
    """Return what a code means, as its error says of itself. Raises ``NotFound``."""
    for kind in every_error():
        if kind.code == code:
            return f"{kind.title} ({kind.status} {code})\n\n{inspect.cleandoc(kind.__doc__ or kind.title)}\n"
    raise NotFound


def handle_problems(app: FastAPI) -> None:
    """Let an application answer problem documents for its own exceptions too, and never with the input at fault."""
    for kind in (SemelError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, exception: Exception) -> Response:
    match exception:
        case SemelError():
            return answer(exception, request.scope)
        case Refused():
            return answer(exception.error, request.scope)
        case RequestValidationError():
            return answer(InvalidInput(errors=_parts_at_fault(exception)), request.scope)
        case HTTPException(status_code=status) if status in _BY_STATUS:
            return answer(_BY_STATUS[status](), request.scope, exception.headers)
        case HTTPException(status_code=status):
            return plain_problem(status, str(exception.detail), exception.headers)
        case _:
            raise exception


def _parts_at_fault(error: RequestValidationError) -> tuple[FieldError, ...]:
    """Name the parts of the request alone: what stands deeper may be a name that the caller typed."""
    parts = sorted({str(fault["loc"][0]) for fault in error.errors()})
    return tuple(FieldError(part, "invalid", "See /openapi.json for what is expected here") for part in parts)


def plain_problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for a status that no error of ours stands for."""
    title = http.client.responses.get(status, "Error")
    problem = Problem(type="about:blank", title=title, status=status, detail=detail, code="http_error", errors=())
    return _as_response(problem, headers)


def _as_response(problem: Problem, headers: Mapping[str, str] | None) -> Response:
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)
