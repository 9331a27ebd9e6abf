"""The adapter at a real realm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from msgspec.structs import replace
from typing_extensions import override

from semel.ports import NewIdentity
from semel.providers.keycloak import KeycloakProvider, open_keycloak
from semel.providers.keycloak_options import KeycloakOptions
from semel.system import SystemClock, SystemIds
from semel.testing.provider_contract import ProviderBench
from tests.keycloak import Keycloak
from tests.keycloak_realms import CLIENT, SECRET
from tests.providers.web import Answering, Asked, Reply

__all__ = ["PROOF_KEY", "Realm", "UsernamesBench", "bench", "forwarding", "opened"]

PROOF_KEY: Final = b"the key of proofs of the tests"


_HOP: Final = frozenset({"connection", "content-length", "accept-encoding"})
_PASSED: Final = ("content-type", "location", "cache-control")


class UsernamesBench(ProviderBench):
    """People with usernames of their own."""

    @override
    def identity(self) -> NewIdentity:
        new = super().identity()
        return replace(new, username=f"u{new.id[-12:]}{new.id[:8]}")


def bench(provider: KeycloakProvider, *, own_usernames: bool) -> ProviderBench:
    """Return a bench whose ids do not repeat."""
    if own_usernames:
        return UsernamesBench(provider, SystemIds(), one_for_an_id=False)
    return ProviderBench(provider, SystemIds())


@asynccontextmanager
async def opened(options: KeycloakOptions, key: bytes = PROOF_KEY) -> AsyncIterator[KeycloakProvider]:
    provider = await open_keycloak(options, key, SystemClock())
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def forwarding(url: str) -> AsyncIterator[Answering]:
    """Yield what passes a request on to the server, as a proxy in front of it that keeps the host's name."""
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:

        async def forward(asked: Asked) -> Reply:
            headers = {name: text for name, text in asked.headers.items() if name not in _HOP}
            said = await client.request(asked.method, asked.target, content=asked.content, headers=headers)
            passed = {name: said.headers[name] for name in _PASSED if name in said.headers}
            return Reply(said.status_code, said.text or None, passed)

        yield forward


class Realm:
    """A realm as its administrator sees it, past the adapter."""

    def __init__(self, keycloak: Keycloak, realm: str = "semel") -> None:
        self._realm = f"{keycloak.url}/realms/{realm}"
        self._client = httpx.AsyncClient(base_url=f"{keycloak.url}/admin/realms/{realm}", timeout=60, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:  # noqa: ANN401 - as httpx has it
        """Ask with the right to manage users."""
        form = {"grant_type": "client_credentials"}
        said = await self._client.post(
            f"{self._realm}/protocol/openid-connect/token", data=form, auth=httpx.BasicAuth(*_encoded())
        )
        headers = {"Authorization": f"Bearer {said.raise_for_status().json()['access_token']}"}
        return await self._client.request(method, path, headers=headers, **given)

    async def add(self, **user: object) -> str:
        """Make a user as somebody else would; return its id."""
        said = await self.ask("POST", "/users", json={"enabled": True, **user})
        assert said.status_code == 201, said.text
        return said.headers["location"].rpartition("/")[2]

    async def user(self, provider_id: str) -> dict[str, Any]:
        said: dict[str, Any] = (await self.ask("GET", f"/users/{provider_id}")).raise_for_status().json()
        return said

    async def change(self, provider_id: str, **changes: object) -> None:
        """Change a user as its administrator would; what is not named stays."""
        said = await self.ask("PUT", f"/users/{provider_id}", json={**await self.user(provider_id), **changes})
        assert said.status_code == 204, said.text

    async def sessions(self, provider_id: str) -> int:
        """Count somebody's sessions."""
        return len((await self.ask("GET", f"/users/{provider_id}/sessions")).raise_for_status().json())


def _encoded() -> tuple[str, str]:
    return CLIENT, str(httpx.QueryParams({"": SECRET})).removeprefix("=")
