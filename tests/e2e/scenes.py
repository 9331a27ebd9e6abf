"""Scenes: a database and an identity provider of their own, with mortal processes over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from typing_extensions import override

from semel import Invite, Scope, Semel
from semel.config import Settings
from semel.config_names import PREFIX
from semel.intents import registration_id
from semel.invitations import scope_of
from semel.model import Identity, Name, Secret
from semel.ports import RemoteProvider, Store, Verified
from semel.system import Argon2Hasher, Argon2Options
from semel.testing import FakeProvider, Fault, Variant, VirtualClock
from semel.testing.fake_provider import TIMEOUT
from semel.testing.fake_server import FakeProviderServer
from semel.testing.invariants import Snapshot, Told, at_rest
from tests.e2e.grounds import Ground
from tests.e2e.killing import Job, LaterClock, Process, do, open_store, serve
from tests.e2e.site import SIGN_UP
from tests.e2e.snapshot import condemned, latest, pending, take
from tests.servers import Server, Servers, environment

LOGIN = "/api/auth/login"
_HASHER = Argon2Hasher(Argon2Options(memory_kib=8, time_cost=1))

SECONDS = {
    "SEMEL_PROVIDER_TIMEOUT_SECONDS": "2",
    "SEMEL_LEASE_SECONDS": "4",
    "SEMEL_SKEW_SECONDS": "0.5",
    # Longer than a dead server's lease: who comes second waits for its end, and goes on.
    "SEMEL_WAIT_SECONDS": "8",
    "SEMEL_UPKEEP": "false",
    # Whoever looks at what is at rest a year later still wants to see what happened.
    "SEMEL_EVENTS_KEPT_DAYS": "3650",
}
"""A lease so short that a test can wait for its end. The rest is awaited by putting the clock forward."""


@dataclass(frozen=True)
class Way:
    """How an account is asked for: where, with which further headers and fields, in which scope of keys."""

    path: str = SIGN_UP
    scope: str = "anonymous"
    head: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    fields: Mapping[str, str] = field(default_factory=lambda: {"name": "Ada", "role": "Creator"}, hash=False)
    says_email: bool = True
    """Whether the email is part of the body."""


@dataclass(frozen=True)
class Person:
    """Somebody who wants an account, and the key of that intent."""

    email: str
    password: str
    username: str
    way: Way = Way()
    key: str = field(default_factory=lambda: f'"{uuid4()}"')

    @property
    def body(self) -> dict[str, str]:
        email = {"email": self.email} if self.way.says_email else {}
        return {**self.way.fields, "username": self.username, "password": self.password, **email}

    @property
    def credentials(self) -> dict[str, str]:
        return {"email": self.email, "password": self.password}


class Held(VirtualClock):
    """Calls that the provider holds back until they are let go; ``there`` tells of each that has come."""

    def __init__(self) -> None:
        super().__init__(flowing=False)
        self.there: asyncio.Queue[None] = asyncio.Queue()

    @override
    async def sleep(self, seconds: float) -> None:
        self.there.put_nowait(None)
        await super().sleep(seconds)

    def let_go(self) -> None:
        self.advance(TIMEOUT)


class Scene:
    """See the module.

    ``remote`` is the provider, ``None`` where identities are in the store, and ``provider_url`` how processes reach it;
    ``foreign`` are its ids of what is somebody else's; ``told`` are all successes. Whoever starts does so with the
    settings ``variables``, and as late as ``clock`` says.
    """

    def __init__(self, url: str, remote: FakeProviderServer | None, servers: Servers, directory: Path) -> None:
        self.url = url
        self.remote = remote
        self.provider_url = remote.url if remote else None
        self.foreign: list[str] = []
        self.told: list[Told] = []
        self.variables = {**SECONDS, "SEMEL_MAIL_DIRECTORY": str(directory / "mail")}
        self.clock = LaterClock()
        self._secrets: list[str] = []
        self._passwords: dict[tuple[str, str], Secret] = {}
        self._servers = servers
        self._directory = directory
        self._started = count()
        self._stack = AsyncExitStack()
        self._store: Store | None = None

    async def close(self) -> None:
        """End the processes that still run, and close the store."""
        await self._stack.aclose()

    @property
    def provider(self) -> RemoteProvider | None:
        """The provider as a judge looks at it: nothing goes wrong on the way."""
        return self.remote.provider if self.remote else None

    @property
    def environment(self) -> Mapping[str, str]:
        provider = {"SEMEL_PROVIDER_URL": self.provider_url} if self.provider_url else {}
        return environment(self.url, {**self.variables, **provider})

    def person(self) -> Person:
        name = f"u{uuid4().hex[:20]}"
        return Person(f"{name}@example.com", self.password(), name)

    def password(self) -> str:
        """Return a new password, which no process may ever print, and no record may hold."""
        self._secrets.append(self._servers.secret())
        return self._secrets[-1]

    def again(self, person: Person) -> Person:
        """Return the same person with another intent: another password, another key."""
        return Person(person.email, self.password(), person.username, person.way)

    async def invited(self, person: Person) -> Person:
        """Invite a person and return who accepts that."""
        async with self.opened() as (semel, _):
            token = (await semel.invite(Invite(email=person.email, invited_by="the tests"))).token
        path = f"/api/invitations/{self._servers.hide(token.reveal())}/accept"
        way = Way(path, scope_of(token), fields={"full_name": "Ada"}, says_email=False)
        return replace(person, way=way)

    async def administered(self, person: Person) -> Person:
        """Return a person for whom an administrator asks."""
        async with self.opened() as (semel, _):
            made = await semel.create_api_key("of the tests", tuple(Scope))
        head = {"Authorization": f"Bearer {self._servers.hide(made.token.reveal())}"}
        return replace(person, way=Way("/api/users", f"key/{made.key.id}", head, {"full_name": "Ada"}))

    async def server(self) -> httpx.AsyncClient:
        """Return a caller at a server of its own."""
        process = await self.victim(None)
        return await self._stack.enter_async_context(caller(process.url))

    async def victim(self, fatal: str | None) -> Process:
        """Start a server that dies at the point."""
        return self._watched(await serve(self._job(fatal)))

    def work(self, deed: Callable[[Semel], Awaitable[object]], fatal: str | None) -> Process:
        """Start a process that does one thing, and dies at the point."""
        return self._watched(do(self._job(fatal), deed))

    def _watched(self, process: Process) -> Process:
        self._stack.push_async_callback(process.kill)
        return process

    async def register(self, person: Person) -> str:
        """Sign a person up in this process and return the account's id."""
        async with self.opened() as (semel, _):
            registered = await semel.register(
                email=person.email, password=person.password, idempotency_key=person.key.strip('"')
            )
        return registered.account.id

    async def ask(self, client: httpx.AsyncClient, person: Person) -> httpx.Response:
        """Ask once to sign a person up."""
        head = {"Idempotency-Key": person.key, **person.way.head}
        answer = await client.post(person.way.path, json=person.body, headers=head)
        if answer.is_success:
            self.note(person, account_in(answer))
        return answer

    def note(self, person: Person, account_id: str) -> None:
        """Keep what a caller was told, and the password it was told for."""
        registration = registration_id(person.way.scope, person.key.strip('"'))
        asked = (Name("email", person.email), Name("username", person.username))
        self.told.append(Told(who=person.email, registration=registration, account_id=account_id, asked=asked))
        self._passwords[account_id, person.email] = Secret(person.password)

    async def sign_up(self, client: httpx.AsyncClient, person: Person) -> httpx.Response:
        """Ask again and again while the answer is to come back later."""
        while "Retry-After" in (answer := await self.ask(client, person)).headers:
            pass
        return answer

    async def sign_in(self, client: httpx.AsyncClient, person: Person) -> dict[str, Any]:
        """Sign a person in, which must succeed."""
        answer = await client.post(LOGIN, json=person.credentials)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        self._servers.hide(said["access_token"])
        self._servers.hide(said["refresh_token"])
        return said

    def hold(self, operation: str, times: int = 1) -> Held:
        """Hold the provider's next such calls back."""
        assert self.remote is not None
        held = Held()
        self.remote.provider = FakeProvider(Variant.OWN, self.remote.plan, held)
        self.remote.plan.next(operation, *[Fault.SLOW] * times)
        return held

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Semel, Store]]:
        """Open the library in this process, and yield its store as well."""
        settings = Settings(_env_file=None, **_named(self.environment))
        store = await self._opened()
        async with Semel(settings, store=store, clock=self.clock) as semel:
            yield semel, store

    async def look(self) -> Snapshot:
        """Return what is there now."""
        return await self._look(await self._opened())

    async def _opened(self) -> Store:
        """Return the store, opened once: an SDK takes its time, during which the provider answers nobody."""
        if self._store is None:
            self._store = await self._stack.enter_async_context(open_store(self.url))
        return self._store

    async def _look(self, store: Store) -> Snapshot:
        return await take(store, self.provider, self._secrets, self.foreign)

    async def over(self) -> None:
        """Put the clock forward until every lease is over and every removal due."""
        seen = await self.look()
        self.clock.reach(latest(one.due_at for one in (*pending(seen), *condemned(seen))))

    async def rest(self) -> Snapshot:
        """Let upkeep alone end what is there, check what must hold then, and return it.

        Once the leases are over, two passes must have ended every registration. Removals end when no create can land
        any more.
        """
        async with self.opened() as (semel, store):
            self.clock.reach(latest(one.due_at for one in pending(await self._look(store))))
            for _ in range(2):
                await semel.upkeep_once()
            seen = await self._look(store)
            assert not pending(seen), f"P: two passes did not end {pending(seen)}"
            self.clock.reach(latest(one.look_until for one in condemned(seen)))
            while condemned(seen):
                await semel.upkeep_once()
                seen = await self._look(store)
                self.clock.reach(latest(one.due_at for one in condemned(seen)))
        assert at_rest(seen, [await self._tried(one, seen) for one in self.told]) == []
        return seen

    async def _tried(self, told: Told, seen: Snapshot) -> Told:
        """Say whether the password that a success was told for is the account's."""
        account_id, password = told.account_id or "", self._passwords[told.account_id or "", told.who]
        if self.provider is not None:
            found = await self.provider.verify_password(account_id, told.who, password)
            return msgspec.structs.replace(told, opens=found is Verified.RIGHT)
        digest = next((one.credential for one in seen.all(Identity) if one.id == account_id), None)
        return msgspec.structs.replace(told, opens=digest is not None and await _HASHER.verify(digest, password))

    def check_output(self) -> None:
        """Look for secrets in what the processes printed."""
        for log in self._directory.glob("*.log"):
            self._servers.look_through(log)

    @contextmanager
    def real_server(self) -> Iterator[Server]:
        """Run the command ``semel serve``, which can be told to stop."""
        named = {name: text for name, text in self.environment.items() if name.startswith(PREFIX)}
        del named["SEMEL_DATABASE_URL"]
        with self._servers.running(self.url, **named) as server:
            yield server

    def _job(self, fatal: str | None = None) -> Job:
        files = self._directory / str(next(self._started))
        return Job(self.environment, files.with_suffix(".log"), files.with_suffix(".points"), fatal, self.clock.ahead)


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
            url = await self.ground.new()
            remote = await stack.enter_async_context(FakeProviderServer(provider)) if provider else None
            directory = self.directory / uuid4().hex
            directory.mkdir()
            scene = Scene(url, remote, self.servers, directory)
            stack.push_async_callback(scene.close)
            async with scene.opened():
                pass  # the first start has made the keys
            yield scene
        scene.check_output()


def account_in(answer: httpx.Response) -> str:
    """Return the id of the account that a success speaks of."""
    said: dict[str, str] = answer.json()
    return said.get("user_id") or said["id"]


def caller(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60, verify=False)  # noqa: S501 - it is loopback, and http:


def _named(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of an environment, by their own names."""
    return {name.removeprefix(PREFIX).lower(): text for name, text in variables.items() if name.startswith(PREFIX)}
