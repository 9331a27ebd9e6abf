"""Operations as routes: plain ASGI endpoints, at home in any FastAPI or Starlette application."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from semel.errors import SemelError
from semel.face import Semel
from semel.http.operations import Call, Operation
from semel.http.problems import answer

__all__ = ["routes"]


class Endpoint:
    """One operation as an ASGI application. It answers its own errors, since not every application around it would."""

    def __init__(self, semel: Semel, operation: Operation, body_limit: int) -> None:
        self.path = operation.path
        self._semel = semel
        self._operation = operation
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["route"] = self
        try:
            response = await self._operation.handle(Call(self._semel, scope, receive, self._body_limit))
        except SemelError as error:
            response = answer(error, scope)
        await response(scope, receive, send)


def routes(semel: Semel, operations: Iterable[Operation], body_limit: int) -> list[BaseRoute]:
    """Return a route for each operation. No body may be larger than ``body_limit`` bytes."""
    return [
        Route(one.path, Endpoint(semel, one, body_limit), methods=[one.method], name=one.name) for one in operations
    ]
