"""Removal at a real Keycloak: what lost there the proof that it is ours goes with its account all the same."""

from collections.abc import AsyncIterator

import pytest

from semel.deletion import delete_account
from semel.intents import Intent, Policy
from semel.model import Identity, Secret
from semel.ports import Absent
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.providers.keycloak import KeycloakProvider
from semel.registrar import Registrar
from semel.stores.memory import MemoryStore
from semel.system import SystemIds
from semel.testing import VirtualClock
from semel.upkeep import Upkeep
from tests.keycloak import Keycloak
from tests.protocol.worlds import Noted
from tests.providers.keycloak_parts import Realm, opened

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start


@pytest.fixture
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    realm = Realm(keycloak)
    yield realm
    await realm.close()


@pytest.mark.parametrize("own_usernames", [False, True], ids=["our ids", "own usernames"])
async def test_what_an_administrator_took_our_proof_from_is_removed(
    keycloak: Keycloak, realm: Realm, *, own_usernames: bool
) -> None:
    """Without its proof it is somebody's, and absent by our id; the id that Keycloak gave it leads to it."""
    name = SystemIds().uuid()[-12:]
    async with opened(keycloak.options(own_usernames=own_usernames)) as provider:
        engine = _engine(provider)
        asked = Intent(email=f"{name}@example.org", username=f"u{name}", password=Secret("correct horse battery"))
        account = (await Registrar(engine, Policy()).register(asked)).account
        record = await engine.store.get(Identity, (account.id,))
        theirs = (record and record.provider_id) or ""
        await realm.change(theirs, attributes={})
        assert await provider.find(account.id) == Absent()
        await delete_account(engine, account.id)
        await Upkeep(engine).once()
        await Upkeep(engine).once()
        assert await provider.find(theirs) == Absent()


def _engine(provider: KeycloakProvider) -> Engine:
    clock = VirtualClock()
    store = MemoryStore(clock.now)
    options = Options(provider_timeout=30.0, lease=120.0)
    return Engine(
        store, provider, clock=clock, ids=SystemIds(), events=Noted(), fingerprint_key=b"key", options=options
    )
