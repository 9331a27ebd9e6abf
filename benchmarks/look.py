"""What a sign-up costs whose email is taken, beside one that succeeds, with the password hash that is the default.

Semel looks before it hashes, so the one that will be refused costs two reads. *hashed first* is what every other
order costs: the hash is made, then the insert is refused.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import msgspec

from benchmarks.people import IDS, intent, registrar
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Table, ratios, take_turns, timed
from semel.errors import UserAlreadyExists
from semel.intents import Intent
from semel.ports import Store
from semel.providers.embedded import EmbeddedPasswords
from semel.registrar import Registrar
from semel.stores.migrate import migrate
from semel.stores.postgres import open_postgres
from semel.system import Argon2Hasher

__all__ = ["LOOK", "run"]

TASKS = 4


async def _new(registering: Registrar, count: int) -> float:
    return await timed([registering.register] * TASKS, [intent() for _ in range(count)])


async def _refused(registering: Registrar, taken: Intent, count: int) -> float:
    async def ask(asked: Intent) -> None:
        with suppress(UserAlreadyExists):
            await registering.register(asked)
            raise RuntimeError("a second account for one email")

    return await timed([ask] * TASKS, [msgspec.structs.replace(intent(), email=taken.email) for _ in range(count)])


async def _contenders(store: Store, hasher: Argon2Hasher) -> list[Contender]:
    looking, hashing = EmbeddedPasswords(hasher), EmbeddedPasswords(hasher)
    hashing.slow = False  # so the engine thinks that no look is worth its while
    taken, base = intent(), "a new person"
    await registrar(store, looking).register(taken)
    return [
        Contender(base, base, partial(_new, registrar(store, looking))),
        Contender("a taken email", base, partial(_refused, registrar(store, looking), taken)),
        Contender("a taken email, hashed first", base, partial(_refused, registrar(store, hashing), taken)),
    ]


async def run(bench: Bench) -> Table:
    """Measure."""
    hasher = Argon2Hasher()
    with bench.postgres.database() as url:
        await migrate(url)
        store = await open_postgres(url, jitter=IDS.jitter)
        contenders = await _contenders(store, hasher)
        found = await take_turns(bench, contenders)
        await store.close()
    hasher.close()
    return ratios("Refusals, with the default hash", contenders, found)


LOOK = Benchmark("look", Effort(count=60, rounds=5, seconds=30), run)
