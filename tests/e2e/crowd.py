"""Callers whose requests arrive at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from tests.servers import Server

Json = Mapping[str, Any]


class Crowd:
    """Callers in turn at the servers given, each with a connection of its own.

    A request is sent but for its last byte; once all are there, the last bytes go out together. So the servers begin to
    work on all of them at once, whatever the callers' own speed.
    """

    def __init__(self, servers: Sequence[Server], size: int = 10) -> None:
        self.size = size
        self._servers = servers
        self._stack = AsyncExitStack()
        self._callers: list[httpx.AsyncClient] = []

    async def __aenter__(self) -> Self:
        # One for each server: it opens as many connections as there are requests at once, and a thousand of them would
        # take longer to make than a server keeps an idle connection.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        made = [httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) for server in self._servers]
        for client in made:
            (await (await self._stack.enter_async_context(client)).get("/healthz")).raise_for_status()
        self._callers = [made[number % len(made)] for number in range(self.size)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def sign_up(self, bodies: Sequence[Json], keys: Sequence[str | None]) -> list[httpx.Response]:
        """Send one sign-up a caller, all at once; a key of ``None`` sends none."""
        heads = [{} if key is None else {"Idempotency-Key": key} for key in keys]
        return await self.send("POST", "/api/auth/signup", bodies, heads)

    async def send(
        self, method: str, path: str, bodies: Sequence[Json], heads: Sequence[Mapping[str, str]]
    ) -> list[httpx.Response]:
        """Send one request a caller, all at once."""
        together = asyncio.Barrier(self.size)

        async def one(caller: httpx.AsyncClient, body: bytes, head: Mapping[str, str]) -> httpx.Response:
            async def content() -> AsyncIterator[bytes]:
                yield body[:-1]
                await together.wait()
                yield body[-1:]

            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **head}
            return await caller.request(method, path, content=content(), headers=headers)

        told = zip(self._callers, map(msgspec.json.encode, bodies), heads, strict=True)
        return await asyncio.gather(*(one(*each) for each in told))
