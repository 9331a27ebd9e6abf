"""A server in this process with Supabase's API on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import AsyncClient, Response

from semel import Semel
from semel.gotrue_tokens import shared_key_tokens
from semel.http import create_app
from semel.model import Secret
from semel.ports import Store
from tests.http.conftest import running, settings

SECRET = "0123456789abcdef0123456789abcdef"
KEYS = shared_key_tokens(Secret(SECRET), datetime.now(UTC))
ADMIN = {"Authorization": f"Bearer {KEYS['service_role']}"}
PASSWORD = "Correct-horse-9"
DATED = {"X-Supabase-Api-Version": "2024-01-01"}


class Api:
    """The API as a client sees it."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def ask(self, method: str, path: str, bearer: str | None = None, **sent: Any) -> Response:  # noqa: ANN401
        """Ask, with the version that clients name."""
        headers = {**DATED, **({"Authorization": f"Bearer {bearer}"} if bearer else {}), **sent.pop("headers", {})}
        return await self.client.request(method, f"/auth/v1{path}", headers=headers, **sent)

    async def admin(self, method: str, path: str, **sent: Any) -> Response:  # noqa: ANN401 - as httpx takes it
        """Ask with the key of the service."""
        return await self.ask(method, f"/admin{path}", KEYS["service_role"], **sent)

    async def sign_up(self, email: str, **more: Any) -> Response:  # noqa: ANN401 - as JSON has it
        return await self.ask("POST", "/signup", json={"email": email, "password": PASSWORD, **more})

    async def sign_in(self, email: str, password: str = PASSWORD) -> Response:
        body = {"email": email, "password": password}
        return await self.ask("POST", "/token", params={"grant_type": "password"}, json=body)

    async def refresh(self, token: str) -> Response:
        return await self.ask("POST", "/token", params={"grant_type": "refresh_token"}, json={"refresh_token": token})


@asynccontextmanager
async def serving(store: Store | None = None, **changes: Any) -> AsyncIterator[Api]:  # noqa: ANN401 - as settings take it
    """Run a server with these settings."""
    given = settings(gotrue_jwt_secret=SECRET, upkeep=False, **changes)
    app = create_app(given, semel=None if store is None else Semel(given, store=store))
    async with running(app) as client:
        yield Api(client)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


def refusal(answer: Response) -> tuple[int, str]:
    """Return what a refusal is known by, having looked at its shape."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert {"code", "message"} <= body.keys()
    return answer.status_code, body["code"]
