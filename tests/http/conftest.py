"""The whole application in this process, over the store in memory."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from starlette.types import Receive, Scope, Send

from semel.config import Settings
from semel.http import create_app
from tests.servers import UNDECLARED


def settings(**changes: Any) -> Settings:  # noqa: ANN401 - as the settings take them
    """Return settings for a server in this process."""
    usual = {
        "database_url": "memory:",
        "argon2_memory_kib": 8,
        "argon2_iterations": 1,
        "allow_special_use_emails": True,
        "rate_limits": "off",  # all requests come from one address
        "max_body_bytes": 20_000,
        "cors_origins": ("https://app.example.com",),
    }
    return Settings(_env_file=None, **{**usual, **changes})


SETTINGS = settings()


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Run the application's lifespan, and yield a client whose requests carry its state, as a server's do."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with AsyncClient(transport=ASGITransport(with_state), base_url="http://testserver") as client:
            yield client


@pytest.fixture(autouse=True)
def every_answer_is_declared(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test provokes, the OpenAPI document knows of it."""
    yield
    lines = [record.msg for record in caplog.get_records("call") if isinstance(record.msg, dict)]
    assert [line for line in lines if line.get("event") == UNDECLARED] == []


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with running(create_app(SETTINGS)) as client:
        yield client
