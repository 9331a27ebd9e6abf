"""Servers are killed at random moments, by their process ids, while many sign up; then accounts are counted.

Callers come back until they have an answer for good. Several want the same email. The servers run upkeep themselves.
"""

from __future__ import annotations

import random
from itertools import product

import pytest

from semel.testing import Variant
from tests.e2e.grounds import KINDS, SQL
from tests.e2e.scenes import Stage
from tests.e2e.storm import Storm, one_account_each
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
        dice = random.Random(seed)  # noqa: S311 - it draws moments, no secrets
        storm = Storm(scene, dice, KILLS, CROWDS, SERVERS)
        answers = await storm.rage()
        assert storm.broken > 0
        scene.variables["SEMEL_UPKEEP"] = "false"
        await one_account_each(scene, answers)
