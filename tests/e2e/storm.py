"""Servers that are killed at random moments, by their process ids, while many sign up; and callers who come back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx

from semel.model import Account
from semel.testing.invariants import at_rest
from tests.e2e.killing import Process
from tests.e2e.scenes import Person, Scene, caller

__all__ = ["Answer", "Storm", "one_account_each"]

Answer = tuple[Person, httpx.Response]


@dataclass
class Storm:
    """Servers that die and come again, and callers who do not give up."""

    scene: Scene
    dice: random.Random
    strikes: int
    """How often something is killed."""
    crowds: int
    number: int = 2
    """Of servers."""
    pause: float = 0.0
    """The seconds after which a caller comes back."""
    servers: list[Process] = field(default_factory=list)
    struck: int = 0
    broken: int = 0
    told: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    """Every answer, those to come back later as well."""
    finals: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    """One for each answer for good."""

    async def rage(self) -> list[Answer]:
        """Strike so many times while crowds sign up, and return all final answers."""
        self.servers = [await self.scene.victim(None) for _ in range(self.number)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._strikes())
            crowds = [group.create_task(self._crowd()) for _ in range(self.crowds)]
        for server in self.servers:
            await server.kill()
        return [answer for crowd in crowds for answer in crowd.result()]

    async def _strikes(self) -> None:
        while self.struck < self.strikes:
            await self.lull()
            await self.strike()
            self.struck += 1

    async def lull(self) -> None:
        """Let some time pass before the next strike."""
        await asyncio.sleep(self.dice.uniform(0.05, 0.3))

    async def strike(self) -> None:
        """Kill a server."""
        place = self.dice.randrange(self.number)
        dying = self.servers[place]
        # First the new one: a caller always finds somebody who listens.
        self.servers[place] = await self.scene.victim(None)
        await dying.kill()

    async def _crowd(self) -> list[Answer]:
        """Sign up one person after the other, each twice under one key and once under another, at the same time."""
        answers: list[Answer] = []
        while self.struck < self.strikes:
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
            self.told[answer.status_code, answer.json().get("code")] += 1
            if "Retry-After" not in answer.headers:
                self.finals.put_nowait(None)
                return answer
            await asyncio.sleep(self.pause)


async def one_account_each(scene: Scene, answers: list[Answer]) -> None:
    """Expect for each email one account, of one key, whose password signs in, and 409 for the other key."""
    rested = await scene.rest()
    won = {person: answer.json()["user_id"] for person, answer in answers if answer.is_success}
    assert {answer.status_code for _, answer in answers} == {201, 409}
    assert {one.email: one.id for one in rested.all(Account)} == {person.email: won[person] for person in won}
    assert len(won) == len({person.email for person, _ in answers})
    client = await scene.server()
    for person, account_id in won.items():
        assert (await scene.sign_in(client, person))["account"]["id"] == account_id
    assert at_rest(await scene.look(), scene.told) == []
