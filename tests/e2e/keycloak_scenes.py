"""Scenes whose identities are in a realm of a real Keycloak. Others may use the realm at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from typing_extensions import override

from semel.keys import Keys, Purpose
from semel.model import Secret
from semel.ports import Found, FoundPage, Store, Verified
from semel.providers.keycloak import KeycloakProvider
from semel.system import SystemClock, SystemIds
from semel.testing.invariants import Snapshot, Told, records_of
from tests.e2e.grounds import Ground, ground
from tests.e2e.scenes import Scene
from tests.keycloak import Keycloak
from tests.keycloak_realms import SECRET
from tests.servers import Servers

__all__ = ["KeycloakScene", "postgres_ground", "scene_at"]

PATIENT = {
    "SEMEL_PROVIDER_TIMEOUT_SECONDS": "5",
    "SEMEL_LEASE_SECONDS": "12",
    "SEMEL_SKEW_SECONDS": "1",
    "SEMEL_WAIT_SECONDS": "20",
}
"""A real password hash on a machine that does much else takes its time."""


class KeycloakScene(Scene):
    """What is foreign there is whatever has no proof under the key of the scene's own store."""

    def __init__(self, url: str, keycloak: Keycloak, realm: str, servers: Servers, directory: Path) -> None:
        super().__init__(url, None, servers, directory)
        servers.hide(SECRET)
        self.variables |= PATIENT | keycloak.variables(realm)
        self._options = keycloak.options(realm)

    @asynccontextmanager
    async def judge(self, store: Store) -> AsyncIterator[KeycloakProvider]:
        """Open the provider as the scene's servers do."""
        keys = await Keys.open(store, SystemClock(), SystemIds())
        provider = KeycloakProvider(self._options, keys.secret(Purpose.PROOF), SystemClock())
        try:
            yield provider
        finally:
            await provider.close()

    @override
    async def _look(self, store: Store) -> Snapshot:
        async with self.judge(store) as provider:
            found = await _everybody(provider)
        foreign = frozenset(one.provider_id for one in found if one.identity_id == one.provider_id)
        return Snapshot(
            records=await records_of(store),
            identities=tuple(found),
            foreign=foreign,
            secrets=tuple(self._secrets),
        )

    @override
    async def _tried(self, told: Told, seen: Snapshot) -> Told:
        account_id = told.account_id or ""
        password: Secret = self._passwords[account_id, told.who]
        async with self.judge(await self._opened()) as provider:
            said = await provider.verify_password(account_id, told.who, password)
        return replace(told, opens=said is Verified.RIGHT)


async def _everybody(provider: KeycloakProvider) -> list[Found]:
    found: dict[str, Found] = {}
    cursor: str | None = None
    while True:
        page = await provider.page(cursor, 100)
        assert isinstance(page, FoundPage), page
        found |= {one.provider_id: one for one in page.identities}
        cursor = page.cursor
        if cursor is None:
            return list(found.values())


@asynccontextmanager
async def scene_at(
    keycloak: Keycloak, realm: str, made: Ground, servers: Servers, directory: Path
) -> AsyncIterator[KeycloakScene]:
    """Make a scene with a store of its own; in the end none of its processes has printed a secret."""
    place = directory / uuid4().hex
    place.mkdir()
    scene = KeycloakScene(await made.new(), keycloak, realm, servers, place)
    try:
        async with scene.opened():
            pass  # the first start has made the keys
        yield scene
    finally:
        await scene.close()
    scene.check_output()


@contextmanager
def postgres_ground(request: pytest.FixtureRequest, servers: Servers, directory: Path) -> Iterator[Ground]:
    """Yield where stores are made: PostgreSQL."""
    with ground("postgres", request, servers, directory) as made:
        yield made
