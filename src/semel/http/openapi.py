"""The OpenAPI document (3.1), made of the very types that decode requests and encode answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI

from semel.errors import SemelError
from semel.http import idempotency, problems
from semel.http.operations import Operation
from semel.http.schemas import schema_of_secret
from semel.intents import KEY_LENGTH

__all__ = ["describe"]

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"

_KEY_PARAMETER: Json = {
    "name": idempotency.HEADER,
    "in": "header",
    "description": "Your name for this one intent: sent again, the same answer. A UUID does well; quotes are optional.",
    "schema": {"type": "string", "minLength": KEY_LENGTH.start, "maxLength": KEY_LENGTH.stop - 1},
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}
_IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that was read: nothing is changed if it is another by now.",
    "schema": {"type": "string"},
}
_REQUEST_ID: Json = {"description": "Names the request in the server's log.", "schema": {"type": "string"}}
_RETRY_AFTER: Json = {"description": "Seconds after which to come back.", "schema": {"type": "integer", "minimum": 0}}


def describe(app: FastAPI, operations: Sequence[Operation]) -> None:
    """Add operations to the OpenAPI document of an application."""
    generate = app.openapi
    paths, components = _paths(operations), _components(operations)

    def openapi() -> Json:
        document = generate()
        document.setdefault("paths", {}).update(paths)
        for kind, entries in components.items():
            document.setdefault("components", {}).setdefault(kind, {}).update(entries)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _components(operations: Iterable[Operation]) -> Json:
    types = dict.fromkeys(kind for one in operations for kind in (one.body, one.answer, one.masked) if kind is not None)
    _, schemas = msgspec.json.schema_components(
        [problems.Problem, *types], schema_hook=schema_of_secret, ref_template=_REFERENCE
    )
    return {
        "schemas": schemas,
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "semel_…"},
        },
    }


def _paths(operations: Iterable[Operation]) -> Json:
    paths: Json = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _entry(one)
    return paths


def _entry(operation: Operation) -> Json:
    entry: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            **{str(status.value): _success(operation) for status in (operation.status, *operation.also)},
            **_masked(operation),
            **_problems(operation.raises),
        },
    }
    if parameters := _parameters(operation):
        entry["parameters"] = parameters
    if operation.body is not None:
        entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(operation.body)}}}
    if operation.needs is not None:
        entry["security"] = [{"bearer": []}, {"apiKey": []}]
        entry["description"] = f"For administrators, and for API keys with the scope `{operation.needs}`."
    elif operation.bearer or operation.may_bear:
        entry["security"] = [{"bearer": []}, *([{}] if operation.may_bear else [])]
    return entry


def _parameters(operation: Operation) -> list[Json]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    in_query = [
        {"name": name, "in": "query", "required": False, "description": said, "schema": {"type": kind}}
        for name, kind, said in operation.query
    ]
    in_header = [_KEY_PARAMETER] if operation.keyed else []
    return [*in_path, *in_query, *in_header, *([_IF_MATCH] if operation.conditional else [])]


def _success(operation: Operation) -> Json:
    response: Json = {"description": operation.summary, "headers": {"X-Request-ID": _REQUEST_ID}}
    if operation.status is not HTTPStatus.NO_CONTENT:
        schema = {"type": "string"} if operation.answer is None else _schema(operation.answer)
        response["content"] = {operation.media_type: {"schema": schema}}
    return response


def _masked(operation: Operation) -> Json:
    if operation.masked is None:
        return {}
    as_masked = msgspec.structs.replace(operation, answer=operation.masked)
    said = {"description": "The same for new and for taken emails, where the settings say so"}
    return {str(HTTPStatus.ACCEPTED.value): {**_success(as_masked), **said}}


def _problems(kinds: Iterable[type[SemelError]]) -> Json:
    by_status: dict[int, list[type[SemelError]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {str(status): _problem(same) for status, same in sorted(by_status.items())}


def _problem(kinds: Sequence[type[SemelError]]) -> Json:
    content: Json = {"schema": _schema(problems.Problem), "examples": {kind.code: _example(kind) for kind in kinds}}
    headers = {"X-Request-ID": _REQUEST_ID, "Retry-After": _RETRY_AFTER}
    return {
        "description": ". ".join(kind.title for kind in kinds),
        "headers": headers,
        "content": {problems.MEDIA_TYPE: content},
    }


def _example(kind: type[SemelError]) -> Json:
    return {"value": msgspec.to_builtins(problems.problem_of(kind()))}


def _schema(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _REFERENCE.format(name=kind.__name__)}
