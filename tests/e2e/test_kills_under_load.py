"""Servers are killed at random moments, by their process ids, while many sign up; then accounts are counted.

Callers come back until they have an answer for good. Several want the same email. The servers run upkeep themselves.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import product

import httpx
import pytest

from semel.model import Account
from semel.testing import Variant
from semel.testing.invariants import at_rest
from tests.e2e.grounds import KINDS, SQL
from tests.e2e.killing import Process
from tests.e2e.scenes import Person, Scene, Stage, caller
from tests.scale import SCALE

SERVERS = SCALE.pick(2, 4)
CROWDS = SCALE.pick(4, 8)
KILLS = SCALE.pick(8, 100)
SEEDS = SCALE.pick([1], [1, 2, 3])
CASES: list[tuple[str, Variant | None]] = [
    *product(SCALE.pick(SQL, KINDS), [None, Variant.OWN]),
    *product(SCALE.pick(KINDS[len(SQL) :], []), [None]),
]

BUSY = {
    "SEMEL_PROVIDER_TIMEOUT_SECONDS": "0.5",
    "SEMEL_LEASE_SECONDS": "1",
    "SEMEL_SKEW_SECONDS": "0.25",
    "SEMEL_WAIT_SECONDS": "3",
    "SEMEL_UPKEEP": "true",
    "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.2",
}


Answer = tuple[Person, httpx.Response]


@dataclass
class Storm:
    """Servers that die and come again, and callers who do not give up."""

    scene: Scene
    dice: random.Random
    servers: list[Process] = field(default_factory=list)
    kills: int = 0
    broken: int = 0

    async def rage(self) -> list[Answer]:
        """Kill so many servers while crowds sign up, and return all final answers."""
        self.servers = [await self.scene.victim(None) for _ in range(SERVERS)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill())
            crowds = [group.create_task(self._crowd()) for _ in range(CROWDS)]
        for server in self.servers:
            await server.kill()
        return [answer for crowd in crowds for answer in crowd.result()]

    async def _kill(self) -> None:
        while self.kills < KILLS:
            await asyncio.sleep(self.dice.uniform(0.05, 0.3))
            place = self.dice.randrange(SERVERS)
            dying = self.servers[place]
            # First the new one: a caller always finds somebody who listens.
            self.servers[place] = await self.scene.victim(None)
            await dying.kill()
            self.kills += 1

    async def _crowd(self) -> list[Answer]:
        """Sign up one person after the other, each twice under one key and once under another, at the same time."""
        answers: list[Answer] = []
        while self.kills < KILLS:
            person = self.scene.person()
            intents = (person, person, self.scene.again(person))
            answers += zip(intents, await asyncio.gather(*map(self._answer, intents)), strict=True)
        return answers

    async def _answer(self, person: Person) -> httpx.Response:
        """Ask, anywhere, until there is an answer that is not to come back later."""
        while True:
            async with caller(self.dice.choice(self.servers).url) as client:
                try:
                    answer = await self.scene.ask(client, person)
                except httpx.TransportError:
                    self.broken += 1
                    continue
            if "Retry-After" not in answer.headers:
                return answer


@pytest.mark.timeout(SCALE.pick(120, 900))
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("stage", "provider"),
    CASES,
    ids=[f"{store}-{'remote' if provider else 'embedded'}" for store, provider in CASES],
    indirect=["stage"],
)
async def test_servers_killed_under_load(stage: Stage, provider: Variant | None, seed: int) -> None:
    """For each email one account, of one key, and the password of its success signs in; 409 for the other key."""
    async with stage.scene(provider) as scene:
        scene.variables |= BUSY
        storm = Storm(scene, random.Random(seed))  # noqa: S311 - it draws moments, no secrets
        answers = await storm.rage()
        assert storm.broken > 0
        scene.variables["SEMEL_UPKEEP"] = "false"
        rested = await scene.rest()
        won = {person: answer.json()["user_id"] for person, answer in answers if answer.is_success}
        assert {answer.status_code for _, answer in answers} == {201, 409}
        assert {one.email: one.id for one in rested.all(Account)} == {person.email: won[person] for person in won}
        assert len(won) == len({person.email for person, _ in answers})
        client = await scene.server()
        for person, account_id in won.items():
            assert (await scene.sign_in(client, person))["account"]["id"] == account_id
        assert at_rest(await scene.look(), scene.told) == []
