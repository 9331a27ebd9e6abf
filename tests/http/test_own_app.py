"""Semel's parts in a FastAPI application that is somebody else's."""

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException
from httpx import AsyncClient
from pydantic import BaseModel

from semel import Account, Semel
from semel.http import create_app, current_account, router
from tests.http.conftest import SETTINGS, running

_SECRET = "xK9-never-to-be-seen"
_PERSON = {"name": "Ada", "email": "ada@example.com", "password": "StrongPass123$"}


async def _hello(account: Annotated[Account, Depends(current_account)]) -> str:
    return f"Hello, {account.full_name}"


@pytest.fixture
async def own() -> AsyncIterator[AsyncClient]:
    """An application that knows nothing of Semel but its router and its dependency."""
    app = FastAPI()
    app.include_router(router(Semel(SETTINGS)), prefix="/people")
    app.add_api_route("/hello", _hello)
    async with running(app) as client:
        yield client


async def test_the_router_brings_everything(own: AsyncClient) -> None:
    """Sign-up, sign-in and the dependency work under a prefix; the router opens and closes Semel."""
    assert (await own.post("/people/api/auth/signup", json=_PERSON)).status_code == 201
    credentials = {"email": _PERSON["email"], "password": _PERSON["password"]}
    token = (await own.post("/people/api/auth/login", json=credentials)).json()["access_token"]
    answer = await own.get("/hello", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()) == (200, "Hello, Ada")


async def test_the_router_answers_its_errors_itself(own: AsyncClient) -> None:
    """A problem document, though the application has no handler for Semel's errors."""
    (await own.post("/people/api/auth/signup", json=_PERSON)).raise_for_status()
    answer = await own.post("/people/api/auth/signup", json=_PERSON | {"name": "Another"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")


async def test_the_dependency_refuses_as_fastapi_does(own: AsyncClient) -> None:
    """401 in the application's own shape, with the scheme to use; the OpenAPI document knows the scheme."""
    answer = await own.get("/hello")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "detail" in answer.json()
    document = (await own.get("/openapi.json")).json()
    assert document["paths"]["/hello"]["get"]["security"] == [{"HTTPBearer": []}]


class _Order(BaseModel):
    number: int


async def _order(order: _Order) -> int:
    return order.number


async def _teapot() -> None:
    raise HTTPException(418, {"brew": "tea"})


async def test_an_exception_of_an_own_route_is_a_problem() -> None:
    """An ``HTTPException`` that is none of ours has no type of ours, and is a problem document all the same."""
    app = create_app(SETTINGS)
    app.add_api_route("/tea", _teapot)
    async with running(app) as client:
        answer = await client.get("/tea")
    assert (answer.status_code, answer.headers["content-type"]) == (418, "application/problem+json")
    assert (answer.json()["type"], answer.json()["title"]) == ("about:blank", "I'm a Teapot")


async def test_own_routes_in_our_application_answer_problems() -> None:
    """FastAPI's 422 repeats the input; in ``create_app`` a route of your own does not, and it may ask who calls."""
    app = create_app(SETTINGS)
    app.add_api_route("/orders", _order, methods=["POST"])
    app.add_api_route("/hello", _hello)
    async with running(app) as client:
        wrong = await client.post("/orders", json={"number": _SECRET})
        nobody = await client.get("/hello")
        assert {"/orders", "/api/auth/signup"} <= (await client.get("/openapi.json")).json()["paths"].keys()
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_input")
    assert [fault["field"] for fault in wrong.json()["errors"]] == ["body"]
    assert _SECRET not in wrong.text
    assert (nobody.status_code, nobody.json()["code"]) == (401, "invalid_token")
