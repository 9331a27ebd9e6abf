"""The provider contract on a provider of your own: `make test-provider`, which names it in ``SEMEL_TEST_PROVIDER_URL``.

Not collected by itself: a test that cannot run fails, and not everybody has such a provider.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from semel.model import Secret
from semel.ports import Done
from semel.providers.supabase import open_supabase
from semel.providers.supabase_options import SupabaseOptions
from semel.system import SystemClock, SystemIds
from semel.testing.provider_contract import PROVIDER_CONTRACT, SESSIONS_CONTRACT, ProviderBench, ProviderPromise


class NamesWhatItGives(SystemIds):
    """Ids that do not repeat, and are known afterwards."""

    def __init__(self) -> None:
        self.given: list[str] = []

    @override
    def uuid(self) -> str:
        self.given.append(super().uuid())
        return self.given[-1]


def options() -> SupabaseOptions:
    return SupabaseOptions(
        url=Secret(os.environ["SEMEL_TEST_PROVIDER_URL"]),
        service_key=Secret(os.environ["SEMEL_TEST_SUPABASE_SERVICE_KEY"]),
        anon_key=Secret(os.environ["SEMEL_TEST_SUPABASE_ANON_KEY"]),
        timeout=30.0,
    )


@pytest.fixture
async def bench() -> AsyncIterator[ProviderBench]:
    """A bench that leaves nothing behind."""
    ids = NamesWhatItGives()
    provider = await open_supabase(options(), SystemClock())
    yield ProviderBench(provider, ids)
    await provider.close()
    cleaning = await open_supabase(options(), SystemClock())  # a promise may have closed the other
    left = [name for name in ids.given if await cleaning.delete(name) != Done()]
    await cleaning.close()
    assert left == []


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_it_keeps_the_promise(promise: ProviderPromise, bench: ProviderBench) -> None:
    """On the real thing."""
    await promise(bench)
