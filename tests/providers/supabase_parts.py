"""An adapter at a server of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from semel.model import Secret
from semel.providers.supabase import SupabaseProvider
from semel.providers.supabase_options import SupabaseOptions
from semel.system import SystemClock
from tests.providers.gotrue import ANON_KEY, SERVICE_KEY
from tests.providers.web import Answering, WebServer


def options(server: WebServer, **changes: object) -> SupabaseOptions:
    given = {
        "url": Secret(f"supabase+{server.url}"),
        "service_key": Secret(SERVICE_KEY),
        "anon_key": Secret(ANON_KEY),
        **changes,
    }
    return SupabaseOptions(**given)  # type: ignore[arg-type]


@asynccontextmanager
async def served(answering: Answering, **changes: object) -> AsyncIterator[tuple[SupabaseProvider, WebServer]]:
    """A provider at a server that answers so."""
    async with WebServer(answering) as server:
        provider = SupabaseProvider(options(server, **changes), SystemClock())
        try:
            yield provider, server
        finally:
            await provider.close()
