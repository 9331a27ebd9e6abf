"""A FastAPI application's rollback over Supabase, and Semel in its place, each before the same Supabase.

What happens to them happens at a chosen point, not by luck. That Supabase is a second Semel, and the profiles are in
its database. Both columns are printed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx
import pytest
from typing_extensions import override

from semel.model import Account
from semel.ports import Found
from tests.e2e.beyond import NetworkScene, Second
from tests.e2e.grounds import PostgresGround
from tests.e2e.killing import Process, warm_up
from tests.e2e.network import Climate, Weather
from tests.e2e.scenes import Person, caller
from tests.e2e.site import SIGN_UP
from tests.e2e.stories.auth_routes import PROFILES
from tests.servers import Server
from tests.services import PostgresServer, free_port
from tests.tables import Line

ROOT = Path(__file__).parents[3]
TITLE = "a rollback over Supabase, and Semel in its place"
CROWD = 10
TRIES = 5
TIMEOUT = 2.0

Told = list[int | None]
"""The statuses of answers; ``None`` where the connection broke before there was one."""


class Side(ABC):
    """A server before the Supabase. ``scene`` is Semel's, and makes people for both."""

    def __init__(self, scene: NetworkScene) -> None:
        self.scene = scene

    @abstractmethod
    async def start(self) -> None:
        """Start the server."""

    @abstractmethod
    async def kill(self) -> None:
        """End it as a power cut would."""

    @abstractmethod
    async def ask(self, person: Person) -> httpx.Response:
        """Ask once to sign a person up."""

    @abstractmethod
    async def halves(self, person: Person) -> tuple[int, int]:
        """Return how many identities, and how many profiles or accounts, a person has once all is at rest."""

    async def told(self, person: Person) -> int | None:
        """Return the status of one answer."""
        try:
            return (await self.ask(person)).status_code
        except httpx.TransportError:
            return None

    async def comes_back(self, person: Person) -> Told:
        """Ask as somebody honest does: again, while it did not work."""
        told: Told = []
        while len(told) < TRIES and (not told or (told[-1] or 500) >= 500):
            told.append(await self.told(person))
        return told

    async def identities(self, person: Person) -> list[str]:
        found = await self.scene.provider.find_by_email(person.email)
        return [found.identity_id] if isinstance(found, Found) else []

    async def made(self, person: Person) -> None:
        """Return once the person has an identity."""
        async with asyncio.timeout(60):
            while not await self.identities(person):
                pass


class Rollback(Side):
    """The specimen."""

    def __init__(self, scene: NetworkScene, made: Second) -> None:
        super().__init__(scene)
        self._made = made
        self._stack = AsyncExitStack()
        self._server: Server | None = None

    @override
    async def start(self) -> None:
        port = free_port()
        command = [str(Path(sys.executable).with_name("uvicorn")), "tests.e2e.stories.auth_routes:app"]
        variables = {
            **os.environ,
            "SUPABASE_URL": self.scene.network.url,
            "SUPABASE_SERVICE_KEY": self._made.beyond.secrets[0],
            "DATABASE_URL": self._made.database_url,
        }
        running = self._made.servers.process([*command, "--port", str(port)], port, variables, ROOT)
        self._server = self._stack.enter_context(running)
        await asyncio.to_thread(self._server.wait, "/readyz")

    @override
    async def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
        await self._stack.aclose()

    @override
    async def ask(self, person: Person) -> httpx.Response:
        assert self._server is not None
        async with caller(self._server.url) as client:
            return await client.post(SIGN_UP, json=person.body)

    @override
    async def halves(self, person: Person) -> tuple[int, int]:
        there = await self.identities(person)
        connection = await asyncpg.connect(self._made.database_url)
        try:
            rows = await connection.fetch("SELECT 1 FROM public.profiles WHERE id = ANY($1::uuid[])", there)
        finally:
            await connection.close()
        return len(there), len(rows)


class InItsPlace(Side):
    """Semel."""

    process: Process

    @override
    async def start(self) -> None:
        self.process = await self.scene.victim(None)

    @override
    async def kill(self) -> None:
        await self.process.kill()

    @override
    async def ask(self, person: Person) -> httpx.Response:
        async with caller(self.process.url) as client:
            return await self.scene.ask(client, person)

    @override
    async def halves(self, person: Person) -> tuple[int, int]:
        rested = await self.scene.rest()
        accounts = [one for one in rested.all(Account) if one.email == person.email]
        return len(await self.identities(person)), len(accounts)


@pytest.fixture
async def scene(second_semel: Second, postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[NetworkScene]:
    warm_up()
    with postgres.database() as database:
        url = await PostgresGround(database).new()
        async with second_semel.scene(url, Climate(TIMEOUT), tmp_path) as scene:
            scene.variables["SEMEL_UPKEEP"] = "true"
            await scene.already()
            yield scene


@pytest.fixture(params=[Rollback, InItsPlace])
async def side(request: pytest.FixtureRequest, scene: NetworkScene, second_semel: Second) -> AsyncIterator[Side]:
    side = Rollback(scene, second_semel) if request.param is Rollback else InItsPlace(scene)
    if isinstance(side, Rollback):
        connection = await asyncpg.connect(second_semel.database_url)
        await connection.execute(PROFILES.replace("TABLE", "TABLE IF NOT EXISTS"))
        await connection.close()
    await side.start()
    yield side
    await side.kill()


def _note(line: Line, side: Side, what: str, halves: tuple[int, int], told: Told) -> None:
    identities, others = halves
    line(TITLE, f"{what:<45} {type(side).__name__:<12} {identities - others} identities without a profile; told {told}")


async def test_killed_between_the_halves(side: Side, line: Line) -> None:
    """The identity is made, and nobody is left to make the profile, or to take the identity back."""
    person = side.scene.person()
    side.scene.network.next("create", Weather.UNANSWERED)
    asking = asyncio.create_task(side.told(person))
    await side.made(person)
    await side.kill()
    first = await asking
    await side.start()
    told = [first, *await side.comes_back(person)]
    halves = await side.halves(person)
    _note(line, side, "killed when the identity is made", halves, told)
    if isinstance(side, Rollback):
        assert (halves, told) == ((1, 0), [None, *[500] * TRIES])
    else:
        assert (halves, told[-1]) == ((1, 1), 201)
        assert set(told) <= {None, 503, 201}


async def test_the_answer_is_lost(side: Side, line: Line) -> None:
    """The identity is made, and who asked for it does not know."""
    person = side.scene.person()
    side.scene.network.next("create", Weather.RESET_AFTER)
    told = await side.comes_back(person)
    halves = await side.halves(person)
    _note(line, side, "the answer of the identity provider is lost", halves, told)
    if isinstance(side, Rollback):
        assert (halves, told) == ((1, 0), [500] * TRIES)
    else:
        assert (halves, told[0], told[-1]) == ((1, 1), 503, 201)
        assert set(told) == {503, 201}


async def test_one_person_clicks_ten_times(side: Side, line: Line) -> None:
    """Nobody did anything wrong: it worked, and most are told that it did not."""
    person = side.scene.person()
    told = sorted(await asyncio.gather(*(side.told(person) for _ in range(CROWD))), key=str)
    halves = await side.halves(person)
    _note(line, side, f"{CROWD} clicks at once", halves, told)
    assert halves == (1, 1)
    if isinstance(side, Rollback):
        assert told == [200, *[500] * (CROWD - 1)]
    else:
        assert told == [201] * CROWD
