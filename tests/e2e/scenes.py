"""Scenes: a database and an identity provider of their own, with mortal processes over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from semel import Semel
from semel.config import PREFIX, Settings
from semel.ports import Store
from semel.testing import Variant
from semel.testing.fake_server import FakeProviderServer
from semel.testing.invariants import Snapshot, Told, at_rest
from tests.e2e.grounds import Ground
from tests.e2e.killing import Job, LaterClock, Process, do, open_store, serve
from tests.e2e.site import SIGN_UP
from tests.e2e.snapshot import condemned, latest, pending, take
from tests.servers import Servers, environment

LOGIN = "/api/auth/login"

SECONDS = {
    "SEMEL_PROVIDER_TIMEOUT_SECONDS": "2",
    "SEMEL_LEASE_SECONDS": "4",
    "SEMEL_SKEW_SECONDS": "0.5",
    # Longer than a dead server's lease: who comes second waits for its end, and goes on.
    "SEMEL_WAIT_SECONDS": "8",
    "SEMEL_UPKEEP": "false",
}
"""A lease so short that a test can wait for its end. The rest is awaited by putting the clock forward."""


@dataclass(frozen=True)
class Person:
    """Somebody who wants an account, and the key of that intent."""

    email: str
    password: str
    key: str = field(default_factory=lambda: f'"{uuid4()}"')

    @property
    def body(self) -> dict[str, str]:
        username = self.email.partition("@")[0]
        return {"email": self.email, "username": username, "name": "Ada", "password": self.password, "role": "Creator"}

    @property
    def credentials(self) -> dict[str, str]:
        return {"email": self.email, "password": self.password}


class Scene:
    """See the module.

    ``remote`` is the provider, ``None`` where identities are in the store; ``told`` are all successes. Whoever starts
    later is later by ``clock``.
    """

    def __init__(self, url: str, remote: FakeProviderServer | None, servers: Servers, directory: Path) -> None:
        self.url = url
        self.remote = remote
        self.told: list[Told] = []
        self.clock = LaterClock()
        self._secrets: list[str] = []
        self._servers = servers
        self._directory = directory
        self._started = count()
        self._stack = AsyncExitStack()

        self.foreign: list[str] = []

    async def close(self) -> None:
        """Stop the servers that still run."""
        await self._stack.aclose()

    @property
    def settings(self) -> Mapping[str, str]:
        provider = {"SEMEL_PROVIDER_URL": self.remote.url} if self.remote else {}
        return environment(self.url, {**SECONDS, **provider})

    def person(self) -> Person:
        self._secrets.append(self._servers.secret())
        return Person(f"u{uuid4().hex[:20]}@example.com", self._secrets[-1])

    async def server(self) -> httpx.AsyncClient:
        """Return a caller at a server that runs to the end of the scene."""
        process = await serve(self._job())
        self._stack.push_async_callback(process.kill)
        return await self._stack.enter_async_context(caller(process))

    async def victim(self, fatal: str | None) -> Process:
        """Start a server that dies at the point."""
        return await serve(self._job(fatal))

    def work(self, deed: Callable[[Semel], Awaitable[object]], fatal: str | None) -> Process:
        """Start a process that does one thing, and dies at the point."""
        return do(self._job(fatal), deed)

    async def register(self, person: Person) -> str:
        """Sign a person up in this process and return the account's id."""
        async with self.opened() as (semel, _):
            registered = await semel.register(
                email=person.email, password=person.password, idempotency_key=person.key.strip('"')
            )
        return registered.account.id

    async def sign_up(self, client: httpx.AsyncClient, person: Person) -> httpx.Response:
        """Sign a person up, again and again while the answer is to come back later."""
        headers = {"Idempotency-Key": person.key}
        answer = await client.post(SIGN_UP, json=person.body, headers=headers)
        while "Retry-After" in answer.headers:
            answer = await client.post(SIGN_UP, json=person.body, headers=headers)
        if answer.is_success:
            self.told.append(Told(who=person.email, registration=person.key, account_id=answer.json()["user_id"]))
        return answer

    async def sign_in(self, client: httpx.AsyncClient, person: Person) -> dict[str, Any]:
        """Sign a person in, which must succeed."""
        answer = await client.post(LOGIN, json=person.credentials)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        self._servers.hide(said["access_token"])
        self._servers.hide(said["refresh_token"])
        return said

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Semel, Store]]:
        """Open the library in this process, and yield its store as well."""
        settings = Settings(_env_file=None, **_named(self.settings))
        async with open_store(self.url) as store, Semel(settings, store=store, clock=self.clock) as semel:
            yield semel, store

    async def look(self) -> Snapshot:
        """Return what is there now."""
        async with open_store(self.url) as store:
            return await self._look(store)

    async def _look(self, store: Store) -> Snapshot:
        return await take(store, self.remote, self._secrets, self.foreign)

    async def over(self) -> Snapshot:
        """Put the clock forward until every lease is over and every removal due; return what is there."""
        seen = await self.look()
        self.clock.reach(latest(one.due_at for one in (*pending(seen), *condemned(seen))))
        return seen

    async def rest(self) -> Snapshot:
        """Let upkeep alone end what is there, check what must hold then, and return it.

        Once the leases are over, two passes must have ended every registration; and a third every removal, when no
        create can land any more.
        """
        await self.over()
        async with self.opened() as (semel, store):
            for _ in range(2):
                await semel.upkeep_once()
            seen = await self._look(store)
            assert not pending(seen), f"P: two passes did not end {pending(seen)}"
            if condemned(seen):
                self.clock.reach(latest(one.look_until for one in condemned(seen)))
                await semel.upkeep_once()
                seen = await self._look(store)
        assert at_rest(seen, self.told) == []
        return seen

    def check_output(self) -> None:
        """Look for secrets in what the processes printed."""
        for log in self._directory.glob("*.log"):
            self._servers.look_through(log)

    def _job(self, fatal: str | None = None) -> Job:
        files = self._directory / str(next(self._started))
        return Job(self.settings, files.with_suffix(".log"), files.with_suffix(".points"), fatal, self.clock.ahead)


@dataclass(frozen=True)
class Stage:
    """Where scenes are made: one kind of database."""

    ground: Ground
    servers: Servers
    directory: Path

    @asynccontextmanager
    async def scene(self, provider: Variant | None = None) -> AsyncIterator[Scene]:
        """Make a scene and check in the end that none of its processes has printed a secret.

        ``provider`` is the kind of remote provider; without one identities are in the store.
        """
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(self.ground.database())
            remote = await stack.enter_async_context(FakeProviderServer(provider)) if provider else None
            directory = self.directory / uuid4().hex
            directory.mkdir()
            scene = Scene(url, remote, self.servers, directory)
            stack.push_async_callback(scene.close)
            async with scene.opened():
                pass  # the first start has made the keys
            yield scene
        scene.check_output()


def caller(process: Process) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.url, timeout=60, verify=False)  # noqa: S501 - it is loopback, and http:


def _named(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that an environment makes."""
    return {name.removeprefix(PREFIX).lower(): text for name, text in variables.items() if name.startswith(PREFIX)}
