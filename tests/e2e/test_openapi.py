"""Schemathesis reads the OpenAPI document of a real server and sends what it can think of."""

from collections.abc import Iterator
from typing import Any

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


@pytest.fixture(scope="module")
def document(servers: Servers) -> Iterator[BaseSchema]:
    with servers.running("memory:") as server:
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize(("operation", "mode"), _TRIALS, ids=[f"{one.name}-{mode}" for one, mode in _TRIALS])
def test_every_answer_is_as_declared(document: BaseSchema, operation: Operation, mode: GenerationMode) -> None:
    """No 5xx; status, media type, headers and body of every answer are in the document, for good requests and bad."""

    @given(case=document[operation.path][operation.method].as_strategy(generation_mode=mode))
    @settings(max_examples=SCALE.pick(60, 1000), suppress_health_check=list(HealthCheck))
    def answers(case: Case[Any]) -> None:
        # No schema can say which emails exist and which passwords are common.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    answers()
