"""The benchmarks run, so that they cannot rot. What they measure is no test; what they count is."""

from functools import partial

import pytest

from benchmarks import accounts, engine_clouds, remote
from benchmarks.__main__ import BENCHMARKS
from benchmarks.counts import COUNTS
from benchmarks.crowd import CROWD
from benchmarks.layers import LAYERS
from benchmarks.turns import Bench, Benchmark, Effort, Table
from tests.scale import SCALE
from tests.services import PostgresServer

LITTLE = Effort(count=20, rounds=1)
COUNTED = (COUNTS, CROWD)
SMALL = {
    "accounts": partial(accounts.run, sizes=(0, 30)),
    "accounts-clouds": partial(engine_clouds.run_filled, sizes=(0, 30)),
    "remote-latency": partial(remote.run_latency, latencies=(0.0, 0.02), callers=(4, 16)),
}


async def _run(benchmark: Benchmark, postgres: PostgresServer, effort: Effort = LITTLE) -> Table:
    run = SMALL.get(benchmark.name, benchmark.run)
    return await run(Bench(postgres, effort, lambda _: None))


@pytest.mark.parametrize("benchmark", [one for one in BENCHMARKS if one not in COUNTED], ids=lambda one: one.name)
async def test_a_benchmark_runs(benchmark: Benchmark, postgres: PostgresServer) -> None:
    """With next to nothing to do each gives a row of figures for each of its contenders."""
    table = await _run(benchmark, postgres)
    assert len(table.rows) > 1
    # A layer's time is what remains of two measurements: of next to nothing that may be nothing.
    assert all(len(row) == len(table.heads) and (row[1] or benchmark is LAYERS) for row in table.rows)


async def test_what_a_sign_up_costs(postgres: PostgresServer) -> None:
    """Embedded: one commit, one round trip, and a look before a slow hash. Remote: two commits and one call."""
    found = {name: figures for name, *figures in (await _run(COUNTS, postgres)).rows}
    assert found["a new person"] == [1, 1, 0, 0, 1]
    assert found["a new person, the hash slow"] == [2, 1, 1, 0, 1]
    assert found["a new person, the provider remote"] == [2, 2, 0, 1, 0]


async def test_a_refusal_costs_no_slow_hash(postgres: PostgresServer) -> None:
    """Two reads, no commit, no hash, and no call of a remote provider."""
    found = {name: figures for name, *figures in (await _run(COUNTS, postgres)).rows}
    assert found["a taken email, the hash slow"] == [2, 0, 2, 0, 0]
    assert found["a taken email, the provider remote"] == [2, 1, 1, 0, 0]


async def test_a_crowd_makes_one_account(postgres: PostgresServer) -> None:
    """Of all who want one email at the same moment one gets it, and all others hear that: no answer is a fault."""
    size = SCALE.pick(200, 1000)
    rows = (await _run(CROWD, postgres, Effort(count=size, rounds=1))).rows
    assert {row[0]: row[1:5] for row in rows} == {
        "the hash costs nothing": (1, size - 1, 0, 1),
        "the default hash": (1, size - 1, 0, 1),
    }
