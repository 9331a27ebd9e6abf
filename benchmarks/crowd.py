"""A thousand sign-ups for one email at the same moment, each with a key of its own, at two servers.

Counted is what they are told, and how many accounts there are afterwards. The last bytes of all requests are sent once
all the rest has been, so that the servers meet them together.
"""

from __future__ import annotations

import asyncpg

from benchmarks.http import Served, Site, ask, sites
from benchmarks.turns import Bench, Benchmark, Effort, Table
from semel.stores.schema import SCHEMA
from semel.system import Argon2Options

__all__ = ["CROWD", "run"]

HEADS = ("", "201", "409", "other answers", "accounts", "seconds")
_HASH = Argon2Options()
SERVED = {
    "the hash costs nothing": Served("benchmarks.semel_app:application"),
    "the default hash": Served(
        "semel.cli.serve:application",
        {"SEMEL_ARGON2_MEMORY_KIB": str(_HASH.memory_kib), "SEMEL_ARGON2_ITERATIONS": str(_HASH.time_cost)},
    ),
}


async def _accounts(database: str) -> int:
    connection = await asyncpg.connect(database)
    count: int = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.accounts")
    await connection.close()
    return count


async def _round(site: Site, count: int) -> tuple[int, int, int, int, float]:
    before = await _accounts(site.database)
    answers = await ask(site.servers, count, count, "--one-person")
    made, refused = (answers.statuses.pop(status, 0) for status in ("201", "409"))
    others = sum(answers.statuses.values())
    return made, refused, others, await _accounts(site.database) - before, round(answers.seconds, 2)


async def run(bench: Bench) -> Table:
    """Count; each round has an email of its own."""
    rows: list[tuple[str | float, ...]] = []
    async with sites(bench.postgres, SERVED) as found:
        for number in range(1, bench.effort.rounds + 1):
            bench.say(f"round {number} of {bench.effort.rounds}")
            for name, site in found.items():
                rows.append((name, *await _round(site, bench.effort.count)))
    return Table(f"{bench.effort.count:,} sign-ups at once for one email", HEADS, tuple(rows))


CROWD = Benchmark("crowd", Effort(count=1000, rounds=3), run)
