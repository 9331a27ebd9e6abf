"""What machines ask: whether the server is well, its metrics, its public keys, and what an error code means."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from semel.errors import FieldError, InternalError, NotFound, NotReady
from semel.http.operations import Call, Operation, reply
from semel.http.problems import explain
from semel.http.schemas import Health, JsonWebKeys
from semel.observe import Metrics

__all__ = ["EXPLAIN", "JWKS", "PROBES"]


async def _alive(_: Call) -> Response:
    return reply(Health(status="ok"))


async def _ready(call: Call) -> Response:
    readiness = await call.semel.ready()
    if not readiness.ready:
        raise NotReady(errors=tuple(FieldError(*reason) for reason in readiness.reasons))
    return reply(Health(status="ready"))


async def _metrics(call: Call) -> Response:
    return Response(await call.semel.metrics_text(), media_type=Metrics.CONTENT_TYPE)


async def _jwks(call: Call) -> Response:
    keys = JsonWebKeys(keys=tuple((await call.semel.jwks())["keys"]))
    return reply(keys, headers={"cache-control": "public, max-age=300"})


async def _explained(call: Call) -> Response:
    return Response(explain(call.scope["path_params"]["code"]), media_type="text/plain")


JWKS: Final = Operation(
    name="jwks",
    method="GET",
    path="/.well-known/jwks.json",
    summary="The public keys that verify access tokens",
    handle=_jwks,
    answer=JsonWebKeys,
    raises=(NotFound, InternalError),
)

EXPLAIN: Final = Operation(
    name="explain",
    method="GET",
    path="/problems/{code}",
    summary="What the code of a problem means",
    handle=_explained,
    media_type="text/plain",
    raises=(NotFound, InternalError),
)

PROBES: Final = (
    Operation(
        name="alive",
        method="GET",
        path="/healthz",
        summary="The process is alive",
        handle=_alive,
        answer=Health,
        raises=(InternalError,),
    ),
    Operation(
        name="ready",
        method="GET",
        path="/readyz",
        summary="The server should get requests",
        handle=_ready,
        answer=Health,
        raises=(NotReady, InternalError),
    ),
    Operation(
        name="metrics",
        method="GET",
        path="/metrics",
        summary="Metrics in Prometheus' text format",
        handle=_metrics,
        media_type="text/plain",
        raises=(InternalError,),
    ),
)
