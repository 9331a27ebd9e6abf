"""Supabase's adapter at a second Semel: the provider contract, over real HTTP, with two processes that race."""

from collections.abc import AsyncIterator, Iterator

import pytest

from semel.providers.supabase import open_supabase
from semel.providers.supabase_options import SupabaseOptions
from semel.system import SystemClock, SystemIds
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT
from tests.providers.semel_parts import serving
from tests.servers import Servers


@pytest.fixture(scope="module", params=["HS256", "ES256"])
def options(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SupabaseOptions]:
    """One server for each way to sign access tokens."""
    with serving(servers, tmp_path_factory.mktemp("semel"), SEMEL_GOTRUE_ALGORITHM=request.param) as (_, options):
        yield options


@pytest.fixture
async def bench(options: SupabaseOptions) -> AsyncIterator[ProviderBench]:
    """The adapter, which has asked with both of its keys."""
    provider = await open_supabase(options, SystemClock())
    yield ProviderBench(provider, SystemIds())
    await provider.close()


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_it_keeps_the_promise(promise: ProviderPromise, bench: ProviderBench) -> None:
    """A Semel whose provider is a Semel may rest on it as on Supabase."""
    await promise(bench)
