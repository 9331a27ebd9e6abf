"""The promises of ``ports.Store``, for whoever writes a store: one suite for every store and for every wrapper of one.

Each promise is a coroutine function that is given a ``StoreBench`` and raises ``BrokenPromiseError``. With pytest and
pytest-asyncio a new store adds this much, and a failing line then reads "which promise, on which store"::

    @pytest.fixture
    async def bench():
        store, another = await open_store(URL), await open_store(URL)
        yield StoreBench(store, another)
        await another.close()
        await store.close()

    @pytest.mark.parametrize("promise", STORE_CONTRACT)
    async def test_keeps_the_promise(promise, bench):
        await promise(bench)

    async def test_keeps_it_between_processes(bench):
        await processes_that_cross_lose_nothing(bench, functools.partial(open_store, URL))

A store with the unique columns and the references of the SQL tables keeps ``RELATIONAL_CONTRACT`` besides. A whole run
takes a few seconds; run it on data that nobody needs. ``docs/write-a-store.md`` says the rest, with a whole sample.
"""

from semel.testing.promises import BrokenPromiseError
from semel.testing.store_contract.bench import Promise, StoreBench
from semel.testing.store_contract.processes import OpenStore, processes_that_cross_lose_nothing
from semel.testing.store_contract.races import RACES
from semel.testing.store_contract.reads import READS
from semel.testing.store_contract.relations import RELATIONS
from semel.testing.store_contract.upkeep import UPKEEP
from semel.testing.store_contract.writes import WRITES

__all__ = [
    "RELATIONAL_CONTRACT",
    "STORE_CONTRACT",
    "BrokenPromiseError",
    "OpenStore",
    "Promise",
    "StoreBench",
    "processes_that_cross_lose_nothing",
]

STORE_CONTRACT: tuple[Promise, ...] = (*WRITES, *READS, *UPKEEP, *RACES)
"""What every store promises."""

RELATIONAL_CONTRACT: tuple[Promise, ...] = RELATIONS
"""What a store promises besides, if it keeps secondary constraints."""
