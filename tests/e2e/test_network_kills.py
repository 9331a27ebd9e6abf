"""Whoever is part of a sign-up is killed in the middle of it: Semel, the identity provider, and the database of both.

Two servers are before a second Semel. Callers come back until they have an answer for good. Several want one email.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typing_extensions import override

from semel.stores.migrate import migrate
from semel.testing.invariants import at_rest
from tests.e2e.beyond import NetworkScene, Second, judged, second
from tests.e2e.killing import Job, Process, open_store, serve, warm_up
from tests.e2e.network import Climate
from tests.e2e.snapshot import take
from tests.e2e.storm import Storm
from tests.scale import SCALE
from tests.servers import Servers, environment
from tests.services import PostgresCluster, postgres_cluster
from tests.tables import Line

STRIKES = SCALE.pick(12, 100)
CROWDS = SCALE.pick(4, 8)
SEEDS = SCALE.pick([1], [1, 2, 3])
TIMEOUT = 1.0
TITLE = "who was killed while people signed up, and how often"

BUSY = {
    "SEMEL_LEASE_SECONDS": "2",
    "SEMEL_SKEW_SECONDS": "0.25",
    "SEMEL_WAIT_SECONDS": "5",
    "SEMEL_REMOVAL_HORIZON_SECONDS": "8",
    "SEMEL_UPKEEP": "true",
    "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.2",
}


@dataclass
class Downfall(Storm):
    """Strikes whoever is next in turn: a server, the provider, the database in either way."""

    scene: NetworkScene
    provider: ProviderProcess = field(kw_only=True)
    cluster: PostgresCluster = field(kw_only=True)
    fallen: Counter[str] = field(default_factory=Counter)

    @override
    async def strike(self) -> None:
        victim = ("semel", "provider", "database, fast", "database, immediate")[self.struck % 4]
        self.fallen[victim] += 1
        match victim:
            case "semel":
                await super().strike()
            case "provider":
                await self.provider.restart()
                self.scene.network.target = self.provider.url
            case "database, fast":
                await self._restart(signal.SIGINT)
            case _:
                await self._restart(signal.SIGQUIT)

    async def _restart(self, how: signal.Signals) -> None:
        await asyncio.to_thread(self.cluster.stop, how)
        self.cluster.launch()
        await asyncio.to_thread(self.cluster.wait)


class ProviderProcess:
    """The second Semel, killed and started again: each time it listens elsewhere."""

    def __init__(self, made: Second, directory: Path) -> None:
        self._job = Job(
            environment(made.database_url, made.variables), directory / "provider.log", directory / "provider.points"
        )
        self._process: Process | None = None

    @property
    def url(self) -> str:
        assert self._process is not None
        return self._process.url

    async def restart(self) -> None:
        await self.kill()
        self._process = await serve(self._job)

    async def kill(self) -> None:
        if self._process is not None:
            await self._process.kill()


@pytest.fixture(scope="module")
def cluster(servers: Servers) -> Iterator[PostgresCluster]:
    """A database server that nobody else uses."""
    warm_up()
    with postgres_cluster() as cluster:
        yield cluster
        assert cluster.server.log is not None
        servers.look_through(cluster.server.log)


@asynccontextmanager
async def _provider(made: Second, directory: Path) -> AsyncIterator[ProviderProcess]:
    provider = ProviderProcess(made, directory)
    await provider.restart()
    try:
        yield provider
    finally:
        await provider.kill()


@pytest.mark.timeout(SCALE.pick(300, 900))
@pytest.mark.parametrize("seed", SEEDS)
async def test_everybody_is_killed_under_load(
    cluster: PostgresCluster, servers: Servers, tmp_path: Path, seed: int, line: Line
) -> None:
    """For each email one account and one identity, of one key, whose password signs in; no 5xx but 503."""
    with cluster.server.database() as theirs, cluster.server.database() as ours:
        made = second(servers, theirs)
        await migrate(ours)
        async with (
            _provider(made, tmp_path) as provider,
            replace(made, url=provider.url).scene(ours, Climate(TIMEOUT), tmp_path) as scene,
        ):
            scene.variables |= BUSY
            dice = random.Random(seed)  # noqa: S311 - it draws moments, no secrets
            storm = Downfall(scene, dice, STRIKES, CROWDS, provider=provider, cluster=cluster)
            answers = await storm.rage()
            scene.variables["SEMEL_UPKEEP"] = "false"
            judged(await scene.rest(), scene, answers)
        async with open_store(theirs) as store:
            assert at_rest(await take(store, None)) == []
    line(
        TITLE, f"seed {seed}: {len(answers)} sign-ups, {storm.told.total()} answers, {storm.broken} broken connections"
    )
    for victim, times in storm.fallen.items():
        line(TITLE, f"seed {seed}: {victim:<20} {times:>4}")
    assert storm.broken > 0
    assert min(storm.fallen.values()) == STRIKES // 4
    assert {status for status, _ in storm.told} == {201, 409, 503}
    assert {answer.status_code for _, answer in answers} == {201, 409}
