"""The fake provider keeps every promise of its port, in each variant, here and over a connection."""

from collections.abc import AsyncIterator

import pytest

from semel.ports import RemoteProvider, Sessions
from semel.testing import FakeProvider, Variant
from semel.testing.fake_provider import ProviderFace
from semel.testing.fake_server import FakeProviderClient, FakeProviderServer
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT


@pytest.fixture(params=Variant)
def variant(request: pytest.FixtureRequest) -> Variant:
    found: Variant = request.param
    return found


@pytest.fixture
async def over_tcp(variant: Variant) -> AsyncIterator[ProviderFace]:
    async with FakeProviderServer(variant) as server:
        yield FakeProviderClient(server.url)


def bench(provider: ProviderFace, variant: Variant) -> ProviderBench:
    return ProviderBench(provider, one_for_an_id=variant is not Variant.MARKER)


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_the_fake_keeps_the_promise(promise: ProviderPromise, variant: Variant) -> None:
    """In memory."""
    await promise(bench(FakeProvider(variant), variant))


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_the_client_keeps_the_promise(promise: ProviderPromise, over_tcp: ProviderFace, variant: Variant) -> None:
    """Through a server."""
    await promise(bench(over_tcp, variant))


def test_both_have_the_ports_methods() -> None:
    """Each is a remote provider that signs people in."""
    for provider in (FakeProvider(), FakeProviderClient("fake+tcp://127.0.0.1:1")):
        assert isinstance(provider, RemoteProvider)
        assert isinstance(provider, Sessions)
