"""Operations as routes: plain ASGI endpoints, at home in any FastAPI or Starlette application."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from semel.errors import SemelError
from semel.face import Semel
from semel.http.body import BodyLimits
from semel.http.limits import Attempt, Limiter
from semel.http.operations import Call, Operation
from semel.observe.logs import Log

__all__ = ["Shortcut", "routes"]

_log = Log()


class Endpoint:
    """One operation as an ASGI application. It answers its own errors, since not every application around it would."""

    def __init__(self, semel: Semel, operation: Operation, limits: BodyLimits, limiter: Limiter) -> None:
        self.path = operation.path
        self._semel = semel
        self._operation = operation
        self._limits = limits
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["route"] = self
        with self._limiter.attempt(scope) as attempt:
            response = await self._answer(scope, receive, attempt)
        response.headers.update(attempt.headers)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, attempt: Attempt) -> Response:
        call = Call(self._semel, scope, receive, self._limits, attempt)
        try:
            if self._operation.limited is not None:
                await attempt.begin(self._operation.limited)
            if self._operation.needs is not None:
                await call.let_in(self._operation.needs)
            return await self._operation.handle(call)
        except SemelError as error:
            if not isinstance(error, self._operation.raises):
                _log.log(logging.ERROR, "http.undeclared", {"route": self.path, "code": error.code})
            return self._operation.tell(call, error)


class Endpoints:
    """All operations of one path as an ASGI application: one route, so that a 405 names every method that it has."""

    def __init__(self, by_method: Mapping[str, Endpoint]) -> None:
        self._by_method = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to its method's; ``HEAD`` is answered as ``GET``."""
        method = scope["method"]
        await self._by_method["GET" if method == "HEAD" else method](scope, receive, send)


def routes(semel: Semel, operations: Iterable[Operation], limits: BodyLimits, limiter: Limiter) -> list[Route]:
    """Return a route for each path of the operations. ``limits`` are those of every body."""
    paths: dict[str, dict[str, Operation]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = one
    made = []
    for path, by_method in paths.items():
        endpoints = {method: Endpoint(semel, one, limits, limiter) for method, one in by_method.items()}
        name = next(iter(by_method.values())).name
        made.append(Route(path, Endpoints(endpoints), methods=[*by_method], name=name))
    return made


class Shortcut:
    """Middleware that finds an operation by its path, past the framework's routing, which costs a tenth of a sign-up.

    Not where FastAPI traces requests: it names its spans by its routing.
    """

    def __init__(self, app: ASGIApp, operations: Iterable[Route]) -> None:
        self._app = app
        self._endpoints = {
            (method, one.path): one.app
            for one in operations
            if not one.param_convertors
            for method in one.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        app = self._app
        if scope["type"] == "http" and not scope.get("root_path") and "fastapi.telemetry" not in scope:
            app = self._endpoints.get((scope["method"], scope["path"]), app)
        await app(scope, receive, send)
