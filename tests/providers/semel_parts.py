"""A second Semel as identity provider: a server with Supabase's API, and the adapter's options for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from semel.gotrue_tokens import shared_key_tokens
from semel.model import Secret
from semel.providers.supabase_options import SupabaseOptions
from tests.servers import Server, Servers


@contextmanager
def serving(servers: Servers, directory: Path, **settings: str) -> Iterator[tuple[Server, SupabaseOptions]]:
    """Run a server of two processes, and yield it with the adapter's options."""
    url, secret = f"sqlite:///{directory}/provider.db", servers.secret("jwt") + "x" * 32
    keys = shared_key_tokens(Secret(servers.hide(secret)), datetime.now(UTC))
    servers.migrate(url)
    given = {"SEMEL_GOTRUE_JWT_SECRET": secret, "SEMEL_WORKERS": "2", **settings}
    with servers.running(url, **given) as server:
        yield (
            server,
            SupabaseOptions(
                url=Secret(f"supabase+{server.url}"),
                service_key=Secret(servers.hide(keys["service_role"])),
                anon_key=Secret(servers.hide(keys["anon"])),
                timeout=30.0,
            ),
        )
