"""The paths of Supabase's API, and the ASGI application that serves them below ``/auth/v1``."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from fastapi import Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from semel.errors import SemelError
from semel.face import Semel
from semel.http.edge import LastResort
from semel.http.gotrue import admin, listing, people, public
from semel.http.gotrue.answers import AuthError, answer, text
from semel.http.gotrue.calls import AuthCall
from semel.http.gotrue.switched_off import SWITCHED_OFF
from semel.http.limits import Limiter

__all__ = ["PREFIX", "gotrue_app"]

Handler = Callable[[AuthCall], Awaitable[Response]]

PREFIX: Final = "/auth/v1"
"""Where the gateway of a Supabase project has the API, and clients look for it."""

_PATHS: Final[dict[str, dict[str, Handler]]] = {
    "/signup": {"POST": people.sign_up},
    "/token": {"POST": people.token},
    "/user": {"GET": people.me, "PUT": people.update_me},
    "/logout": {"POST": people.log_out},
    "/admin/users": {"GET": listing.list_users, "POST": admin.create_user},
    "/admin/users/{user_id}": {"GET": admin.get_user, "PUT": admin.update_user, "DELETE": admin.delete_user},
    "/settings": {"GET": public.settings},
    "/health": {"GET": public.health},
    "/.well-known/jwks.json": {"GET": public.jwks},
    **SWITCHED_OFF,
}
_METHODS: Final = ("DELETE", "GET", "POST", "PUT")
_PREFLIGHT_VARY: Final = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
_HEADERS: Final = (
    "apikey",
    "authorization",
    "content-type",
    "idempotency-key",
    "x-client-info",
    "x-request-id",
    "x-supabase-api-version",
)

_EXPOSED: Final = (
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Supabase-Api-Version",
    "X-Total-Count",
)


class _Path(NamedTuple):
    path: str
    """As the log has it: what stands in the path itself may be a secret."""
    pattern: re.Pattern[str]
    handlers: Mapping[str, Handler]


_ROUTES: Final = tuple(
    _Path(PREFIX + path, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))), handlers)
    for path, handlers in _PATHS.items()
)


def gotrue_app(semel: Semel, limiter: Limiter) -> ASGIApp:
    """Return the application to be mounted at ``PREFIX``; its limits are the server's."""
    app: ASGIApp = LastResort(_Api(semel, limiter), answered=answer)
    origins = semel.settings.cors_origins
    if origins:
        app = _Cors(app, **_cors(origins))
    return app


def _cors(origins: tuple[str, ...]) -> dict[str, Any]:
    return {
        "allow_origins": origins,
        "allow_methods": _METHODS,
        "allow_headers": _HEADERS,
        "expose_headers": _EXPOSED,
    }


class _Cors(CORSMiddleware):
    """Starlette's, but for the texts of its answers: the server has none, and refuses by saying nothing."""

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        refused = response.status_code != HTTPStatus.OK
        kept = {} if refused else {name: value for name, value in response.headers.items() if _is_cors(name)}
        return Response(None, HTTPStatus.NO_CONTENT, {"vary": _PREFLIGHT_VARY, **kept})


def _is_cors(header: str) -> bool:
    return header.startswith("access-control-")


class _Api:
    """Finds what answers a path and a method, and sees to it that every refusal has this API's shape."""

    def __init__(self, semel: Semel, limiter: Limiter) -> None:
        self._semel = semel
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        route, parameters = _found(path.rstrip("/"))
        if route is None:
            return text(HTTPStatus.NOT_FOUND, "404 page not found\n")
        scope["route"] = route
        handler = route.handlers.get(scope["method"])
        if handler is None:
            preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)
            if preflight:  # no origin may send such a request, says an answer without the headers that would let it
                return text(HTTPStatus.NO_CONTENT)
            return text(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": ", ".join(sorted(route.handlers))})
        with self._limiter.attempt(scope) as attempt:
            call = AuthCall(self._semel, scope, receive, attempt)
            call.parameters = parameters
            try:
                response = await handler(call)
            except (AuthError, SemelError) as error:
                response = answer(error, scope)
        response.headers.update(attempt.headers)
        return response


def _found(path: str) -> tuple[_Path | None, dict[str, str]]:
    for route in _ROUTES:
        match = route.pattern.fullmatch(path)
        if match is not None:
            return route, match.groupdict()
    return None, {}
