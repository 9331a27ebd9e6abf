"""Supabase's official clients, unchanged, against our servers."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from supabase_auth import SyncGoTrueClient, SyncMemoryStorage

from tests.gotrue.tokens import key

PASSWORD: Final = "Correct-horse-9"
OTHER_PASSWORD: Final = "Battery-staple-8"

_STORIES: Final = Path(__file__).with_name("stories.mjs")


class Clients:
    """Makes Python clients of one server; they are closed when it is left."""

    def __init__(self, api: str) -> None:
        self.api = api
        self._made = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._made.close()

    def anon(self, storage: SyncMemoryStorage | None = None) -> SyncGoTrueClient:
        """Return one with the key that every browser may have. Without a storage it refreshes nothing by itself."""
        return self._client("anon", storage)

    def service(self) -> SyncGoTrueClient:
        """Return one with the key that may do everything."""
        return self._client("service_role", None)

    def _client(self, role: str, storage: SyncMemoryStorage | None) -> SyncGoTrueClient:
        given = key(role)
        client = SyncGoTrueClient(
            url=self.api,
            headers={"Authorization": f"Bearer {given}", "apikey": given},
            storage=storage,
            auto_refresh_token=storage is not None,
        )
        return self._made.enter_context(client)


def somebody(name: str = "ada") -> str:
    """Return an email that nobody has yet."""
    return f"{name}.{uuid4().hex}@clients.example.com"


async def story(name: str, api: str) -> asyncio.subprocess.Process:
    """Start a story of the JavaScript client, which prints what happens and fails by its exit status."""
    return await asyncio.create_subprocess_exec(
        "node",
        str(_STORIES),
        name,
        api,
        key("anon"),
        key("service_role"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
