"""Ten people who are one, over two `semel serve`, with identities in a real Keycloak."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from semel.model import Account
from tests.e2e.crowd import Crowd
from tests.e2e.grounds import Ground
from tests.e2e.keycloak_scenes import KeycloakScene, postgres_ground, scene_at
from tests.e2e.killing import warm_up
from tests.e2e.scenes import Person
from tests.keycloak import Keycloak
from tests.scale import SCALE
from tests.servers import Servers

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start

ROUNDS = SCALE.pick(3, 40)


@pytest.fixture(scope="module")
def made(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    warm_up()
    with postgres_ground(request, servers, tmp_path_factory.mktemp("ground")) as ground:
        yield ground


@dataclass
class Race:
    """Callers at two servers, of one store or of two, and what they were told."""

    scenes: list[KeycloakScene]
    crowd: Crowd

    async def round(self, people: list[Person]) -> list[httpx.Response]:
        """Let ten sign up at once, in turn at the one server and at the other."""
        answers = await self.crowd.sign_up([one.body for one in people], [one.key for one in people])
        for number, (person, answer) in enumerate(zip(people, answers, strict=True)):
            if answer.is_success:
                self.scenes[number % len(self.scenes)].note(person, answer.json()["user_id"])
        return answers


@pytest.fixture
async def race(
    request: pytest.FixtureRequest, keycloak: Keycloak, made: Ground, servers: Servers, tmp_path: Path
) -> AsyncIterator[Race]:
    stores: int = getattr(request, "param", 1)
    async with AsyncExitStack() as stack:
        scenes = [
            await stack.enter_async_context(scene_at(keycloak, "races", made, servers, tmp_path)) for _ in range(stores)
        ]
        running = [stack.enter_context(scenes[number % stores].real_server()) for number in range(2)]
        crowd = await stack.enter_async_context(Crowd(running))
        yield Race(scenes, crowd)


async def rested(race: Race) -> list[Account]:
    """Return all accounts once everything is at rest, the invariants having been checked."""
    return [account for scene in race.scenes for account in (await scene.rest()).all(Account)]


async def test_different_keys(race: Race) -> None:
    """One 201 and nine 409 a round; one account and one identity."""
    scene = race.scenes[0]
    for _ in range(ROUNDS):
        person = scene.person()
        answers = await race.round([scene.again(person) for _ in range(race.crowd.size)])
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert len(await rested(race)) == ROUNDS


async def test_one_key(race: Race) -> None:
    """Ten times the same 201 with the same id, each for the right password."""
    scene = race.scenes[0]
    for _ in range(ROUNDS):
        answers = await race.round([scene.person()] * race.crowd.size)
        assert Counter(answer.status_code for answer in answers) == {201: 10}
        assert len({answer.json()["user_id"] for answer in answers}) == 1
    assert len(await rested(race)) == ROUNDS


async def test_several_under_each_of_two_keys(race: Race) -> None:
    """Five of one key win together, and the five of the other key lose together."""
    scene = race.scenes[0]
    for _ in range(ROUNDS):
        person = scene.person()
        rival = scene.again(person)
        answers = await race.round([person, person, rival, rival, person, person, rival, rival, person, rival])
        assert Counter(answer.status_code for answer in answers) == {201: 5, 409: 5}
        assert len({answer.json()["user_id"] for answer in answers if answer.is_success}) == 1
    assert len(await rested(race)) == ROUNDS


@pytest.mark.parametrize("race", [2], indirect=True)
async def test_two_stores_at_one_realm(race: Race) -> None:
    """Only Keycloak stands between them: one 201, and the other store's people hear that the identity is there."""
    for _ in range(ROUNDS):
        person = race.scenes[0].person()
        people = [race.scenes[number % 2].again(person) for number in range(race.crowd.size)]
        answers = await race.round(people)
        codes = Counter(answer.json().get("code", "made") for answer in answers)
        assert codes["made"] == 1
        assert codes.keys() == {"made", "user_already_exists", "identity_already_exists"}
    assert len(await rested(race)) == ROUNDS
