"""The provider contract on a provider of your own: `make test-provider`, which names it in ``SEMEL_TEST_PROVIDER_URL``.

Not collected by itself: a test that cannot run fails, and not everybody has such a provider.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from semel.model import Secret
from semel.ports import Absent, Done, Found
from semel.providers.keycloak import KeycloakProvider, open_keycloak
from semel.providers.keycloak_options import KeycloakOptions
from semel.providers.supabase import SupabaseProvider, open_supabase
from semel.providers.supabase_options import SupabaseOptions
from semel.system import SystemClock, SystemIds
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT


class NamesWhatItGives(SystemIds):
    """Ids that do not repeat, and are known afterwards."""

    def __init__(self) -> None:
        self.given: list[str] = []

    @override
    def uuid(self) -> str:
        self.given.append(super().uuid())
        return self.given[-1]


def secret(name: str) -> Secret:
    return Secret(os.environ[f"SEMEL_TEST_{name}"])


async def open_yours() -> KeycloakProvider | SupabaseProvider:
    url = secret("PROVIDER_URL")
    if url.reveal().startswith("keycloak"):
        client_id = os.environ["SEMEL_TEST_KEYCLOAK_CLIENT_ID"]
        client_secret = secret("KEYCLOAK_CLIENT_SECRET")
        options = KeycloakOptions(url=url, client_id=client_id, client_secret=client_secret, timeout=30.0)
        return await open_keycloak(options, b"make test-provider", SystemClock())
    service_key, anon_key = secret("SUPABASE_SERVICE_KEY"), secret("SUPABASE_ANON_KEY")
    return await open_supabase(
        SupabaseOptions(url=url, service_key=service_key, anon_key=anon_key, timeout=30.0), SystemClock()
    )


async def left(identity_id: str, provider: KeycloakProvider | SupabaseProvider) -> bool:
    """Delete what has this id; tell whether that is not known to be done."""
    found = await provider.find(identity_id)
    return not isinstance(found, Absent) and not (
        isinstance(found, Found) and isinstance(await provider.delete(found.provider_id), Done)
    )


@pytest.fixture
async def bench() -> AsyncIterator[ProviderBench]:
    """A bench that leaves nothing behind."""
    ids = NamesWhatItGives()
    provider = await open_yours()
    yield ProviderBench(provider, ids)
    await provider.close()
    cleaning = await open_yours()  # a promise may have closed the other
    remaining = [name for name in ids.given if await left(name, cleaning)]
    await cleaning.close()
    assert remaining == []


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_it_keeps_the_promise(promise: ProviderPromise, bench: ProviderBench) -> None:
    """On the real thing."""
    await promise(bench)
