"""Schemathesis reads the OpenAPI document of a real server and sends what it can think of."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from semel.http.app import OPERATIONS
from semel.http.operations import Operation
from tests.scale import SCALE
from tests.servers import Servers

_TRIALS = [
    *((one, GenerationMode.POSITIVE) for one in OPERATIONS),
    *((one, GenerationMode.NEGATIVE) for one in OPERATIONS if one.body is not None),
]


_SIGNED_IN = [one for one in OPERATIONS if one.bearer or one.name == "refresh"]


@pytest.fixture(scope="module")
def url(servers: Servers) -> Iterator[str]:
    with servers.running("memory:") as server:
        yield server.url


@pytest.fixture(scope="module")
def document(url: str) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.fixture
def sign_in(url: str, servers: Servers) -> Callable[[], dict[str, str]]:
    """Opens a session of somebody who has signed up."""
    person = {"email": f"{secrets.token_hex(8)}@example.com", "password": servers.secret()}
    httpx.post(f"{url}/api/auth/signup", json=person).raise_for_status()

    def sign_in() -> dict[str, str]:
        tokens: dict[str, str] = httpx.post(f"{url}/api/auth/login", json=person).raise_for_status().json()
        return tokens

    return sign_in


@pytest.mark.parametrize(("operation", "mode"), _TRIALS, ids=[f"{one.name}-{mode}" for one, mode in _TRIALS])
def test_every_answer_is_as_declared(document: BaseSchema, operation: Operation, mode: GenerationMode) -> None:
    """No 5xx; status, media type, headers and body of every answer are in the document, for good requests and bad."""

    @given(case=document[operation.path][operation.method].as_strategy(generation_mode=mode))
    @settings(max_examples=SCALE.pick(60, 1000), suppress_health_check=list(HealthCheck))
    def answers(case: Case[Any]) -> None:
        # No schema can say which emails exist and which passwords are common.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    answers()


@pytest.mark.parametrize("operation", _SIGNED_IN, ids=[one.name for one in _SIGNED_IN])
def test_a_success_is_as_declared(
    document: BaseSchema, sign_in: Callable[[], dict[str, str]], operation: Operation
) -> None:
    """With a good token, which no generator finds: the declared success, of the declared shape."""

    @given(case=document[operation.path][operation.method].as_strategy())
    @settings(max_examples=SCALE.pick(5, 100), suppress_health_check=list(HealthCheck))
    def succeeds(case: Case[Any]) -> None:
        tokens = sign_in()
        if operation.body is not None:
            case.body = {"refresh_token": tokens["refresh_token"]}
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert answer.status_code == operation.status

    succeeds()
