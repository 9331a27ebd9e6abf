"""Keycloak itself is killed while many sign up, and comes back; then accounts and identities are counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from tests.e2e.grounds import Ground
from tests.e2e.keycloak_scenes import postgres_ground, scene_at
from tests.e2e.killing import warm_up
from tests.e2e.storm import Storm, one_account_each
from tests.keycloak import MortalKeycloak, keycloak_server
from tests.scale import SCALE
from tests.servers import Servers

KILLS = SCALE.pick(2, 20)
CROWDS = SCALE.pick(3, 6)

BUSY = {
    "SEMEL_PROVIDER_TIMEOUT_SECONDS": "2",
    "SEMEL_LEASE_SECONDS": "5",
    "SEMEL_SKEW_SECONDS": "0.5",
    "SEMEL_WAIT_SECONDS": "3",
    "SEMEL_UPKEEP": "true",
    "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.5",
}


@pytest.fixture
def mortal() -> Iterator[MortalKeycloak]:
    with keycloak_server() as server:
        yield server


@pytest.fixture
def made(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Ground]:
    warm_up()
    with postgres_ground(request, servers, tmp_path) as ground:
        yield ground


@dataclass
class KeycloakStorm(Storm):
    """The provider dies; the servers stay."""

    mortal: MortalKeycloak | None = None

    @override
    async def lull(self) -> None:
        for _ in range(self.dice.randint(5, 15)):
            await self.finals.get()

    @override
    async def strike(self) -> None:
        assert self.mortal is not None
        self.mortal.kill()
        self.mortal.start()
        await asyncio.to_thread(self.mortal.wait)


@pytest.mark.timeout(SCALE.pick(300, 1800))
async def test_keycloak_killed_under_load(
    mortal: MortalKeycloak, made: Ground, servers: Servers, tmp_path: Path
) -> None:
    """Nobody's success is lost, nobody's identity is left over, and whoever comes back has the one answer."""
    async with scene_at(mortal.keycloak, "races", made, servers, tmp_path) as scene:
        scene.variables |= BUSY
        dice = random.Random(1)  # noqa: S311 - it draws moments, no secrets
        storm = KeycloakStorm(scene, dice, KILLS, CROWDS, pause=0.2, mortal=mortal)
        answers = await storm.rage()
        assert any(status == 503 for status, _ in storm.told)
        scene.variables["SEMEL_UPKEEP"] = "false"
        await one_account_each(scene, answers)
