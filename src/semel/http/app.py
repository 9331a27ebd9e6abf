"""The application: Semel's operations in FastAPI, behind one edge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from semel.config import Settings
from semel.face import Semel
from semel.http.auth import AUTH
from semel.http.body import BodyLimits
from semel.http.edge import Edge, LastResort
from semel.http.gotrue import PREFIX, gotrue_app
from semel.http.invitations import INVITATIONS
from semel.http.keys import KEYS
from semel.http.limits import Limiter
from semel.http.link_pages import INVITATION_PAGES, LINK_PAGES
from semel.http.mail_page import mail_page
from semel.http.openapi import describe
from semel.http.probes import EXPLAIN, JWKS, PROBES
from semel.http.problems import handle_problems, plain_problem
from semel.http.proofs import PROOFS
from semel.http.routes import Shortcut, routes
from semel.http.users import USERS
from semel.system import SystemClock, SystemIds

__all__ = ["OPERATIONS", "create_app", "document", "router"]

_OF_A_ROUTER = (*AUTH, *PROOFS, JWKS, EXPLAIN)
OPERATIONS = (*_OF_A_ROUTER, *USERS, *INVITATIONS, *KEYS, *PROBES)
"""All that the server does."""


def create_app(settings: Settings | None = None, *, semel: Semel | None = None) -> FastAPI:
    """Return the server as an ASGI application, with the settings given or those of the environment.

    A ``semel`` of your own is opened and closed with the application, so it must not be open yet. For uvicorn with
    several workers: ``uvicorn --factory semel.http:create_app``. Raises ``ConfigurationInvalid``.
    """
    settings = settings or Settings()
    semel = semel or Semel(settings)
    limiter = Limiter(semel)
    operations = routes(semel, (*OPERATIONS, *LINK_PAGES, *INVITATION_PAGES), _limits(settings), limiter)
    app = FastAPI(
        title="Semel",
        version=version("semel"),
        summary="Creates accounts once, whole, or not at all.",
        routes=[*operations, *_pages(settings), *_other_faces(semel, limiter)],
        lifespan=_lifespan(semel, limiter),
        redirect_slashes=False,
        docs_url=None,  # both pages load their scripts from other hosts
        redoc_url=None,
        # Its logs would carry messages of exceptions, which may quote a request; /metrics has the metrics.
        telemetry={"logs": False, "metrics": False},
    )
    describe(app, OPERATIONS)
    handle_problems(app)
    app.add_middleware(Shortcut, operations=operations)
    app.add_middleware(LastResort)
    if settings.cors_origins:
        app.add_middleware(Cors, **_cors(settings.cors_origins))
    app.add_middleware(Edge, clock=SystemClock(), ids=SystemIds())
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return app


def _pages(settings: Settings) -> list[Route]:
    """Return the pages for development that the settings ask for, and allow."""
    return mail_page(settings.mail_options().directory) if settings.mail_options().page else []


def _other_faces(semel: Semel, limiter: Limiter) -> list[Mount]:
    """Return what is mounted beside Semel's own operations."""
    return [Mount(PREFIX, gotrue_app(semel, limiter))] if semel.settings.gotrue_jwt_secret is not None else []


class Cors(CORSMiddleware):
    """Starlette's, but for the plain text in which it refuses, and past what has its own."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine = scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/")
        await (super().__call__ if mine else self.app)(scope, receive, send)

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return plain_problem(response.status_code, "This origin may not send such a request", kept)


def router(semel: Semel) -> APIRouter:
    """Return sign-up, sign-in and what people do for their own accounts as a router for an application of your own.

    That is all of ``/api/auth``, ``/api/me``, ``/api/links`` and the pages ``/links/{token}`` where mails lead: let
    ``SEMEL_PUBLIC_URL`` end with the prefix that you give it, or put a page of your own there, before this router.
    Administrators' operations, invitations and their page are the server's alone.

    It opens ``semel`` when the application starts and closes it when that ends, upkeep included. ``current_account``
    finds it. Rate limits hold there as well; the callers' addresses are what your server says.
    """
    limiter = Limiter(semel)
    operations = routes(semel, (*_OF_A_ROUTER, *LINK_PAGES), _limits(semel.settings), limiter)
    return APIRouter(routes=[*operations], lifespan=_lifespan(semel, limiter))


def document(app: FastAPI, prefix: str = "") -> None:
    """Add the router's operations to the OpenAPI document of your application, under the prefix that you gave it."""
    describe(app, [msgspec.structs.replace(one, path=prefix + one.path) for one in _OF_A_ROUTER])


def _limits(settings: Settings) -> BodyLimits:
    return BodyLimits(settings.max_body_bytes, settings.body_seconds)


def _lifespan(semel: Semel, limiter: Limiter) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Semel]]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Semel]]:
        async with semel, aclosing(limiter):
            yield {"semel": semel}

    return lifespan


def _cors(origins: Sequence[str]) -> dict[str, Any]:
    return {
        "allow_origins": origins,
        "allow_methods": sorted({one.method for one in OPERATIONS}),
        "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID"],
        "expose_headers": ["ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"],
    }
