"""What an operation is: a path, its types, the errors it may answer. Routes and OpenAPI document are made of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from fastapi import Response
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from semel import errors
from semel.api_keys import Scope as NeededScope
from semel.authorising import Caller
from semel.errors import InvalidToken, SemelError
from semel.face import Semel
from semel.http.body import BodyLimits, FormBody, JsonBody
from semel.http.limits import Attempt, Limited
from semel.http.problems import answer as problem
from semel.model import Secret

__all__ = ["ANY", "KEYED", "OF_AN_ADMINISTRATOR", "OF_A_BODY", "Call", "Operation", "bearer", "reply"]

T = TypeVar("T", bound=msgspec.Struct)

ANY: Final = (errors.InternalError, errors.StoreInconsistent, errors.StoreUnavailable, errors.StoreRejected)
"""What any operation over the store may answer."""
OF_A_BODY: Final = (
    errors.MalformedBody,
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidInput,
)
"""What any operation with a body may answer besides."""
OF_AN_ADMINISTRATOR: Final = (errors.InvalidToken, errors.Forbidden, errors.ProviderUnavailable)
"""What any operation may answer that needs an administrator or an API key."""
KEYED: Final = (errors.IdempotencyKeyInvalid, errors.IdempotencyKeyReused)
"""What any operation with an idempotency key may answer besides."""


class Call:
    """One request, and the Semel that it is about."""

    __slots__ = ("_administrator", "_limits", "_receive", "attempt", "headers", "scope", "semel")

    def __init__(self, semel: Semel, scope: Scope, receive: Receive, limits: BodyLimits, attempt: Attempt) -> None:
        self.semel = semel
        self.scope = scope
        self.attempt = attempt
        """The request as the limits see it: counted by address, where the operation has a limit."""
        self.headers = Headers(scope=scope)
        self._receive = receive
        self._limits = limits
        self._administrator: Caller | None = None

    async def let_in(self, needs: NeededScope) -> None:
        """Make sure that an administrator calls, or an API key. Raises what ``Gate.caller`` raises."""
        self._administrator = await self.semel.parts.gate.caller(bearer(self.headers), needs)

    @property
    def administrator(self) -> Caller:
        """Who calls, at an operation that needs an administrator or an API key."""
        if self._administrator is None:
            raise InvalidToken
        return self._administrator

    async def read(self, body: JsonBody[T] | FormBody[T]) -> T:
        """Return the body's value; see the body's ``read`` for what it raises."""
        return await body.read(self.headers, self._receive, self._limits)


def _as_problem(call: Call, error: SemelError) -> Response:
    return problem(error, call.scope)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the server does."""

    name: str
    """The ``operationId``."""
    method: str
    path: str
    summary: str
    handle: Callable[[Call], Awaitable[Response]]
    status: HTTPStatus = HTTPStatus.OK
    """Of a success."""
    also: tuple[HTTPStatus, ...] = ()
    """Of other successes, with the same answer."""
    answer: type[msgspec.Struct] | None = None
    masked: type[msgspec.Struct] | None = None
    """Of a success (202) that does not tell what became of it, where the settings say so."""
    media_type: str = "application/json"
    """Of a success."""
    body: type[msgspec.Struct] | None = None
    query: tuple[tuple[str, str, str], ...] = ()
    """What may stand in the query: each one's name, JSON type and meaning."""
    conditional: bool = False
    """Whether it heeds ``If-Match``."""
    keyed: bool = False
    """Whether it takes an idempotency key."""
    limited: Limited | None = None
    """How often one may try. By account it counts once the handler knows which: ``await call.attempt.on(email)``."""
    bearer: bool = False
    """Whether it wants an access token."""
    may_bear: bool = False
    """Whether it takes an access token, and does without."""
    needs: NeededScope | None = None
    """The scope that an API key must have here, where none but administrators and API keys are let in."""
    raises: tuple[type[SemelError], ...] = ()
    tell: Callable[[Call, SemelError], Response] = _as_problem
    """How it answers an error."""


def bearer(headers: Headers) -> Secret:
    """Return the access token of the header ``Authorization`` (RFC 6750); raises ``InvalidToken`` without one."""
    scheme, token = get_authorization_scheme_param(headers.get("authorization"))
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("Send the header Authorization: Bearer, with an access token")
    return Secret(token)


def reply(
    answer: msgspec.Struct, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON answer, which nobody is to keep (RFC 6749, 5.1) unless its headers say otherwise."""
    given = {"cache-control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(answer), status, given, "application/json")
