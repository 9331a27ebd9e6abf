"""Answers as Supabase Auth shapes them: errors by the API version of the request, and never the caller's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import Response
from starlette.datastructures import Headers
from starlette.types import Scope

from semel.errors import (
    BodyTooLarge,
    InternalError,
    InvalidInput,
    RateLimited,
    RegistrationInFlight,
    RequestTimeout,
    SemelError,
    UserAlreadyExists,
)
from semel.http.problems import headers_of

__all__ = [
    "AuthError",
    "answer",
    "as_auth_error",
    "bad_json",
    "banned",
    "disabled",
    "invalid",
    "reply",
    "text",
    "user_not_found",
]

_VERSION: Final = "2024-01-01"
"""From this version of the API on an error's code is text, and stands in ``code``."""
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_VARY: Final = {"vary": "Origin"}
_UNREAD: Final = frozenset({BodyTooLarge.status, RequestTimeout.status})

_CODES: Final[dict[type[SemelError], str]] = {
    BodyTooLarge: "request_entity_too_large",
    InternalError: "unexpected_failure",
}
"""The errors that have another name there."""


class AuthError(Exception):
    """A refusal. ``reasons`` are those of a weak password."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        reasons: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.message = message
        self.reasons = tuple(reasons)
        self.headers = dict(headers or {})


def invalid(message: str, status: int = HTTPStatus.BAD_REQUEST) -> AuthError:
    """A field is missing or malformed."""
    return AuthError(status, "validation_failed", message)


def bad_json(why: str) -> AuthError:
    """The body is no JSON, or a field in it has another type."""
    return AuthError(HTTPStatus.BAD_REQUEST, "bad_json", f"Could not parse request body as JSON: {why}")


def banned(status: int) -> AuthError:
    """The account is banned or switched off."""
    return AuthError(status, "user_banned", "User is banned")


def disabled(status: int, code: str, message: str) -> AuthError:
    """What is asked for is switched off, or is not offered."""
    return AuthError(status, code, message)


def user_not_found() -> AuthError:
    """There is no such user, says the admin API."""
    return AuthError(HTTPStatus.NOT_FOUND, "user_not_found", "User not found")


def as_auth_error(error: SemelError) -> AuthError:
    """Return what an error of Semel's is here. What may be otherwise a moment later is 503, so that clients retry."""
    headers = {name: value for name, value in headers_of(error).items() if name == "retry-after"}
    match error:
        case InvalidInput():
            said = "; ".join(f"{fault.field}: {fault.message}" for fault in error.errors)
            return invalid(said or error.detail)
        case UserAlreadyExists():
            return AuthError(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, "User already registered")
        case RegistrationInFlight():
            return AuthError(HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.detail, headers=headers)
        case RateLimited():
            return AuthError(error.status, "over_request_rate_limit", "Request rate limit reached", headers=headers)
        case _:
            return AuthError(error.status, _CODES.get(type(error), error.code), error.detail, headers=headers)


def answer(error: AuthError | SemelError, scope: Scope) -> Response:
    """Return the answer that tells of an error."""
    refused = as_auth_error(error) if isinstance(error, SemelError) else error
    dated = _is_dated(Headers(scope=scope).get("x-supabase-api-version", ""))
    headers = {**_VARY, **refused.headers}
    if dated:
        headers["x-supabase-api-version"] = _VERSION
    if not (dated and refused.reasons):  # as the server itself
        headers["x-sb-error-code"] = refused.code
    if refused.status in _UNREAD and scope.get("http_version", "1.1") < "2":
        headers["connection"] = "close"
    body: dict[str, Any] = (
        {"code": refused.code, "message": refused.message}
        if dated
        else {"code": refused.status, "error_code": refused.code, "msg": refused.message}
    )
    if refused.reasons:
        body["weak_password"] = {"reasons": refused.reasons}
    return Response(msgspec.json.encode(body), refused.status, headers, "application/json")


def reply(body: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    return Response(msgspec.json.encode(body), status, {**_VARY, **(headers or {})}, "application/json")


def text(status: int, body: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in plain text, or an empty one."""
    media_type = "text/plain; charset=utf-8" if body else None
    return Response(body, status, {**_VARY, **(headers or {})}, media_type)


def _is_dated(version: str) -> bool:
    return _DATE.fullmatch(version) is not None and version >= _VERSION
