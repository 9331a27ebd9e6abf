"""Scenes whose identity provider is beyond a network, and the callers who come to them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
from typing_extensions import override

from semel import Semel
from semel.config_names import PREFIX
from semel.gotrue_tokens import shared_key_tokens
from semel.model import Account, Secret
from semel.ports import Done, NewIdentity, RemoteProvider
from semel.protocol.engine import Registered
from semel.providers.supabase import SupabaseProvider
from semel.providers.supabase_options import SupabaseOptions
from semel.system import SystemClock
from semel.testing.invariants import Snapshot, at_rest
from tests.e2e.network import GOTRUE, Climate, Network
from tests.e2e.scenes import Person, Scene, caller
from tests.e2e.snapshot import everybody
from tests.servers import Servers

__all__ = ["Answer", "Beyond", "Callers", "NetworkScene", "Place", "Second", "judged", "second", "sign_ups", "supabase"]

_PATIENCE = 60.0
"""The time-out of who looks at a provider as its judge: it waits as long as it takes."""


@dataclass(frozen=True)
class Beyond:
    """A kind of provider: how a Semel is told where it is, what it is asked, and how a judge asks it."""

    scheme: str
    """What stands before ``http://`` in the setting."""
    variables: Mapping[str, str] = field(repr=False)
    """The other settings of whoever asks it."""
    secrets: Sequence[str] = field(repr=False)
    kinds: Mapping[str, str]
    """Its kinds of requests; see ``Network``."""
    judge: Callable[[str], RemoteProvider]
    """Opens one at an address."""


def supabase(service_key: str, anon_key: str) -> Beyond:
    """Return what a Supabase Auth server is."""
    variables = {
        "SEMEL_SUPABASE_SERVICE_KEY": service_key,
        "SEMEL_SUPABASE_ANON_KEY": anon_key,
        "SEMEL_SUPABASE_CONFIRM_EMAILS": "true",
    }

    def judge(url: str) -> RemoteProvider:
        options = SupabaseOptions(
            url=Secret(f"supabase+{url}"),
            service_key=Secret(service_key),
            anon_key=Secret(anon_key),
            timeout=_PATIENCE,
        )
        return SupabaseProvider(options, SystemClock())

    return Beyond("supabase+", variables, (service_key, anon_key), GOTRUE, judge)


class NetworkScene(Scene):
    """A scene whose provider is reached through ``network``; ``provider`` is the judge's way, which is direct."""

    def __init__(self, url: str, beyond: Beyond, network: Network, servers: Servers, directory: Path) -> None:
        super().__init__(url, None, servers, directory)
        self.network = network
        self.provider_url = beyond.scheme + network.url
        self.variables |= beyond.variables
        self._beyond = beyond
        self._judges: dict[str, RemoteProvider] = {}

    @property
    @override
    def provider(self) -> RemoteProvider:
        if self.network.target not in self._judges:
            judge = self._judges[self.network.target] = self._beyond.judge(self.network.target)
            self._stack.push_async_callback(judge.close)
        return self._judges[self.network.target]

    async def already(self) -> None:
        """Take whoever is at the provider now for somebody else."""
        self.foreign += [one.provider_id for one in await everybody(self.provider)]

    async def enter(self, semel: Semel, person: Person) -> Registered:
        """Sign a person up in this process, and keep what it is told."""
        registered = await semel.register(
            email=person.email,
            username=person.username,
            password=person.password,
            idempotency_key=person.key.strip('"'),
        )
        self.note(person, registered.account.id)
        return registered

    async def plant(self, person: Person) -> None:
        """Let somebody have the person's email at the provider, by another way than ours."""
        there = NewIdentity(str(uuid4()), person.email, Secret(self.password()), confirmed=True)
        assert isinstance(await self.provider.create(there), Done)
        self.foreign.append(there.id)

    @asynccontextmanager
    async def fronts(self, number: int) -> AsyncIterator[list[httpx.AsyncClient]]:
        """Run so many ``semel serve``, and yield a caller at each."""
        named = {name: text for name, text in self.environment.items() if name.startswith(PREFIX)}
        del named["SEMEL_DATABASE_URL"]
        async with AsyncExitStack() as stack:
            servers = [stack.enter_context(self._servers.starting(self.url, **named)) for _ in range(number)]
            # In a thread: meanwhile the network is to pass on what they ask.
            await asyncio.gather(*(asyncio.to_thread(server.wait, "/readyz") for server in servers))
            yield [await stack.enter_async_context(caller(server.url)) for server in servers]
            await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A running identity provider: what it is, and where."""

    servers: Servers
    beyond: Beyond
    url: str = ""

    @asynccontextmanager
    async def scene(self, database_url: str, climate: Climate, directory: Path) -> AsyncIterator[NetworkScene]:
        """Make a scene over a store, before this, and check in the end that no process has printed a secret."""
        async with Network(self.url, climate, self.beyond.kinds) as network:
            scene = NetworkScene(database_url, self.beyond, network, self.servers, directory)
            scene.variables["SEMEL_PROVIDER_TIMEOUT_SECONDS"] = str(climate.timeout)
            try:
                yield scene
            finally:
                await scene.close()
        scene.check_output()


@dataclass(frozen=True, kw_only=True)
class Second(Place):
    """A Semel that is the identity provider of others, and how it is started."""

    database_url: str
    variables: Mapping[str, str] = field(repr=False)


def second(servers: Servers, database_url: str) -> Second:
    """Return a Semel over a database without tables, which are made, and with keys of its own; it is not started."""
    secret = servers.secret("shared-secret-of-at-least-32-characters")
    keys = shared_key_tokens(Secret(secret), SystemClock().now())
    for key in keys.values():
        servers.hide(key)
    servers.migrate(database_url)
    return Second(
        servers=servers,
        beyond=supabase(keys["service_role"], keys["anon"]),
        database_url=database_url,
        variables={"SEMEL_GOTRUE_JWT_SECRET": secret},
    )


Answer = tuple[Person, httpx.Response]
Ask = Callable[[Person], Awaitable[httpx.Response]]
"""Sends one request of a person's to whoever listens. Raises ``httpx.TransportError``."""


@dataclass
class Callers:
    """People who sign up, and do not give up. ``told`` counts every answer, those to come back later as well."""

    scene: Scene
    dice: random.Random
    told: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    broken: int = 0

    async def crowd(self, asks: Sequence[Ask]) -> list[Answer]:
        """Sign one person up: under one key by every way at once, and of three one has a rival for the email.

        The rival is the same person with another password, and takes any way.
        """
        person = self.scene.person()
        coming = [(person, ask) for ask in asks]
        if self.dice.random() < 1 / 3:
            coming.append((self.scene.again(person), self.dice.choice(asks)))
        return list(await asyncio.gather(*(self.finally_answered(*one) for one in coming)))

    async def finally_answered(self, person: Person, ask: Ask) -> Answer:
        """Ask, a little sooner than told, until there is an answer that is not to come back later."""
        while True:
            try:
                answer = await ask(person)
            except httpx.TransportError:
                self.broken += 1
                continue
            self.told[answer.status_code, answer.json().get("code")] += 1
            if (seconds := answer.headers.get("Retry-After")) is None:
                return person, answer
            await asyncio.sleep(self.dice.random() * float(seconds))


async def sign_ups(scene: NetworkScene, seed: int, number: int, at_once: int) -> tuple[list[Answer], Callers]:
    """Let so many people and more sign up at two servers, and return once all have an answer for good."""
    callers = Callers(scene, random.Random(seed))  # noqa: S311 - it draws rivals, no secrets
    answers: list[Answer] = []
    async with scene.fronts(2) as fronts:
        asks = [partial(scene.ask, front) for front in fronts]

        async def one_after_the_other() -> None:
            while len(answers) < number:
                answers.extend(await callers.crowd(asks))

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(one_after_the_other())
    return answers, callers


def judged(rested: Snapshot, scene: Scene, answers: Sequence[Answer]) -> None:
    """Check that there is what people were told of: an account each and an identity each, and nothing else.

    Of each email one key has won. That the invariants hold, and that passwords sign in, ``Scene.rest`` has checked.
    """
    won = {person: answer.json()["user_id"] for person, answer in answers if answer.is_success}
    accounts = {one.email: one.id for one in rested.all(Account)}
    assert accounts == {person.email: won[person] for person in won}
    assert len(won) == len({person.email for person, _ in answers})
    assert {one.identity_id for one in rested.identities or ()} - set(scene.foreign) == set(accounts.values())
    assert at_rest(rested, scene.told) == []
