"""The OpenAPI document says what the server does: properties, requirements and bounds are tried on the server."""

import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from semel import Scope, Semel
from semel.http import create_app
from semel.http.app import OPERATIONS
from semel.http.body import BodyLimits
from semel.http.limits import Limiter
from semel.http.operations import Operation
from semel.http.routes import routes
from tests.http.conftest import SETTINGS, running
from tests.servers import UNDECLARED

_VALID: dict[str, dict[str, Any]] = {
    "sign_up": {"email": "test@example.com", "password": "StrongPass123$"},
    "sign_in": {"email": "test@example.com", "password": "StrongPass123$"},
    "refresh": {"refresh_token": "none"},
    "create_user": {"email": "test@example.com"},
    "update_user": {},
    "create_invitation": {"email": "test@example.com"},
    "accept_invitation": {"password": "StrongPass123$"},
    "recover": {"email": "test@example.com"},
    "resend_verification": {"email": "test@example.com"},
    "change_password": {"email": "test@example.com", "password": "StrongPass123$", "new_password": "Another123$"},
    "change_email": {"email": "test@example.com", "password": "StrongPass123$", "new_email": "other@example.com"},
    "open_link": {"password": "StrongPass123$"},
    "create_api_key": {"name": "of the tests", "scopes": ["users:read"]},
}
_WITH_BODY = [one for one in OPERATIONS if one.body is not None]


@pytest.fixture
async def administrator() -> AsyncIterator[AsyncClient]:
    """A client with an API key that may do everything."""
    semel = Semel(SETTINGS)
    async with running(create_app(SETTINGS, semel=semel)) as client:
        client.headers["Authorization"] = f"Bearer {(await semel.create_api_key('all', tuple(Scope))).token.reveal()}"
        yield client


@pytest.fixture
async def document(client: AsyncClient) -> dict[str, Any]:
    told: dict[str, Any] = (await client.get("/openapi.json")).json()
    return told


def _schema(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    entry = document["paths"][operation.path][operation.method.lower()]
    reference = entry["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return schema


def _wrong(schema: dict[str, Any]) -> list[Any]:
    """Return values that a property's schema rules out."""
    alternatives = schema.get("anyOf", [schema])
    types = {one["type"] for one in alternatives}
    samples = {"number": 7, "boolean": True, "array": ["a"], "null": None, "object": {"a": 1}}
    wrong: list[Any] = [value for kind, value in samples.items() if kind not in types]
    for one in alternatives:
        if "maxLength" in one:
            wrong.append("x" * (one["maxLength"] + 1))
        if "minLength" in one:
            wrong.append("x" * (one["minLength"] - 1))
    return wrong


async def _fields_at_fault(client: AsyncClient, operation: Operation, named: str, body: dict[str, Any]) -> set[str]:
    path = re.sub(r"{\w+}", named, operation.path)
    answer = await client.request(operation.method, path, json=body)
    return {fault["field"] for fault in answer.json().get("errors", [])} if answer.status_code == 422 else set()


async def _caller(client: AsyncClient, administrator: AsyncClient, operation: Operation) -> tuple[AsyncClient, str]:
    """Return who may ask, and what the path is to name."""
    if operation.needs is not None:
        return administrator, "00000000-0000-7000-8000-000000000000"
    if "{token}" not in operation.path or operation.name == "open_link":
        return client, "none"
    invitation = (await administrator.post("/api/invitations", json={"email": "test@example.com"})).json()
    del administrator.headers["Authorization"]
    return administrator, invitation["token"]


@pytest.mark.parametrize("operation", _WITH_BODY, ids=lambda one: one.name)
async def test_every_property_is_as_documented(
    client: AsyncClient, administrator: AsyncClient, document: dict[str, Any], operation: Operation
) -> None:
    """For each property: what its schema rules out is refused by name; what is required is; nothing else is taken."""
    client, named = await _caller(client, administrator, operation)
    schema, valid = _schema(document, operation), _VALID[operation.name]
    assert schema["additionalProperties"] is False
    assert await _fields_at_fault(client, operation, named, valid) == set()
    assert await _fields_at_fault(client, operation, named, {**valid, "another": 1}) == {""}
    assert await _fields_at_fault(client, operation, named, {}) == set(schema.get("required", []))
    for name, property_ in schema["properties"].items():
        for value in _wrong(property_):
            assert await _fields_at_fault(client, operation, named, {**valid, name: value}) == {name}, (name, value)


async def test_the_document_knows_what_the_decoder_knows(document: dict[str, Any]) -> None:
    """No field of a request is missing from the document, none is documented that the decoder does not take."""
    for operation in _WITH_BODY:
        assert operation.body is not None
        fields = {field.encode_name for field in msgspec.structs.fields(operation.body)}
        assert _schema(document, operation)["properties"].keys() == fields


async def test_an_error_that_is_not_declared_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """So the tests notice what the document leaves out: see ``every_answer_is_declared``, and ``Servers.check``."""
    forgetful = msgspec.structs.replace(next(one for one in OPERATIONS if one.name == "sign_in"), raises=())
    semel = Semel(SETTINGS)
    made = routes(semel, [forgetful], BodyLimits(1000, 1), Limiter(semel))
    async with running(FastAPI(routes=[*made])) as client:
        assert (await client.post(forgetful.path, json={})).status_code == 422
    assert UNDECLARED in caplog.text
    caplog.clear()


async def test_every_route_is_documented_with_every_answer(document: dict[str, Any]) -> None:
    """Each operation has its success and, as problem documents with an example each, every error it may answer."""
    for operation in OPERATIONS:
        responses = document["paths"][operation.path][operation.method.lower()]["responses"]
        successes = {str(status.value) for status in (operation.status, *operation.also)}
        successes |= {"202"} if operation.masked is not None else set()
        assert responses.keys() == {*successes, *(str(kind.status) for kind in operation.raises)}
        for kind in operation.raises:
            content = responses[str(kind.status)]["content"]["application/problem+json"]
            assert content["examples"][kind.code]["value"]["code"] == kind.code


async def test_the_example_of_a_sign_up_works(client: AsyncClient, document: dict[str, Any]) -> None:
    """Whoever copies the examples of the properties gets an account."""
    schema = _schema(document, next(one for one in OPERATIONS if one.name == "sign_up"))
    flat = {name: {**property_, **property_.get("anyOf", [{}])[0]} for name, property_ in schema["properties"].items()}
    body = {name: property_["examples"][0] for name, property_ in flat.items() if "examples" in property_}
    assert body.keys() >= {"email", "password", "name", "role"}
    assert (await client.post("/api/auth/signup", json=body)).status_code == 201
