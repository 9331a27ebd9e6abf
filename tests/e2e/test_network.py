"""Exactly once across a network: two servers before a third that is their identity provider, and anything in between.

What happens to which request is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from semel.testing.invariants import at_rest
from tests.e2e.beyond import NetworkScene, Second, judged, sign_ups
from tests.e2e.grounds import PostgresGround
from tests.e2e.killing import open_store
from tests.e2e.network import Climate, Weather
from tests.e2e.snapshot import take
from tests.scale import SCALE
from tests.services import PostgresServer
from tests.tables import Line

SIGN_UPS = SCALE.pick(400, 2000)
SEEDS = SCALE.pick([1], [1, 2, 3])
AT_ONCE = 32
"""So many people that the servers are never too slow for the time-out: else nothing would ever be answered."""
SHARE = 0.3
TIMEOUT = 1.0
LATENESS = 3.0
TITLE = "what a network did to sign-ups, and how often"

FAST = {
    "SEMEL_LEASE_SECONDS": "2",
    "SEMEL_SKEW_SECONDS": "0.25",
    "SEMEL_WAIT_SECONDS": "5",
    "SEMEL_REMOVAL_HORIZON_SECONDS": "8",
    "SEMEL_UPKEEP": "true",
    "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.5",
}


@pytest.fixture
async def scene(
    second_semel: Second, postgres: PostgresServer, tmp_path: Path, seed: int
) -> AsyncIterator[NetworkScene]:
    with postgres.database() as database:
        url = await PostgresGround(database).new()
        async with second_semel.scene(url, Climate(TIMEOUT, LATENESS, SHARE, seed), tmp_path) as scene:
            scene.variables |= FAST
            await scene.already()
            yield scene


@pytest.mark.timeout(SCALE.pick(300, 900))
@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_the_network_does(seed: int, scene: NetworkScene, second_semel: Second, line: Line) -> None:
    """Every success has one account and one identity, no failure has either, and there is no 5xx but 503."""
    answers, callers = await sign_ups(scene, seed, SIGN_UPS, AT_ONCE)
    await scene.network.settle()
    scene.variables["SEMEL_UPKEEP"] = "false"
    judged(await scene.rest(), scene, answers)
    async with open_store(second_semel.database_url) as store:
        assert at_rest(await take(store, None)) == []
    met = scene.network.weather()
    line(TITLE, f"seed {seed}: {len(answers)} sign-ups, {callers.told.total()} answers, {sum(met.values())} accidents")
    for weather in Weather:
        line(TITLE, f"seed {seed}: {weather:<12} {met[weather]:>6}")
    assert set(met) == set(Weather)
    assert {status for status, _ in callers.told} == {201, 409, 503}
    assert {answer.status_code for _, answer in answers} == {201, 409}
