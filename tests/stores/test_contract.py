"""Every store keeps every promise of its port; the stores over a database also as several processes see it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from semel.stores.azure_connect import open_azure_tables
from semel.stores.dynamodb import open_dynamodb
from semel.stores.memory import MemoryStore
from semel.stores.migrate import migrate
from semel.stores.postgres import open_postgres
from semel.stores.sqlite import open_sqlite
from semel.system import SystemClock, SystemIds
from semel.testing.aws_faults import INVISIBLE, AwsFault, AwsFaults
from semel.testing.clock import SequentialIds
from semel.testing.store_contract import (
    RELATIONAL_CONTRACT,
    STORE_CONTRACT,
    OpenStore,
    Promise,
    StoreBench,
    processes_that_cross_lose_nothing,
    races,
)
from tests.emulators import Emulator
from tests.scale import Scale
from tests.services import PostgresServer, pgbouncer


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> OpenStore:
    """A file with the tables. The promises share it, and name fresh keys."""
    path: Path = tmp_path_factory.mktemp("contract") / "semel.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return partial(open_sqlite, f"sqlite:///{path}")


@pytest.fixture(scope="module")
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A database with the tables, shared likewise."""
    with postgres.database() as url:
        asyncio.run(migrate(url))
        yield url


@pytest.fixture(scope="module")
def postgres_direct(postgres_url: str) -> OpenStore:
    return partial(open_postgres, postgres_url, jitter=SystemIds().jitter)


@pytest.fixture(scope="module")
def postgres_pooled(postgres_url: str) -> Iterator[OpenStore]:
    with pgbouncer(postgres_url) as url:
        yield partial(open_postgres, url, jitter=SystemIds().jitter)


@pytest.fixture(scope="module")
def azure(azure_tables: Emulator) -> Iterator[OpenStore]:
    """A table, shared likewise. Processes inherit the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in azure_tables.variables.items():
            environment.setenv(name, value)
        url = azure_tables.new_url()
        asyncio.run(migrate(url))
        yield partial(open_azure_tables, url, clock=SystemClock(), jitter=SystemIds().jitter)


@pytest.fixture(scope="module")
def new_dynamodb_url(dynamodb: Emulator) -> Iterator[Callable[[], str]]:
    """Makes URLs of tables that are still to be made, where the environment leads."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in dynamodb.variables.items():
            environment.setenv(name, value)
        yield dynamodb.new_url


@pytest.fixture(scope="module")
def dynamo(new_dynamodb_url: Callable[[], str]) -> OpenStore:
    """A table, shared likewise."""
    url = new_dynamodb_url()
    asyncio.run(migrate(url))
    return partial(open_dynamodb, url, jitter=SystemIds().jitter)


@pytest.fixture
def opener(request: pytest.FixtureRequest) -> OpenStore:
    """The store named by the test's parameter."""
    found: OpenStore = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def bench(opener: OpenStore, scale: Scale) -> AsyncIterator[StoreBench]:
    """Two handles to the same data, as of two servers."""
    store = await opener()
    another = await opener()
    yield StoreBench(store, another, SystemIds(), scale=scale.pick(1, 20))
    await another.close()
    await store.close()


@pytest.mark.parametrize("promise", STORE_CONTRACT)
async def test_memory_keeps_the_promise(promise: Promise) -> None:
    """The store in memory, whose one handle stands for both."""
    store = MemoryStore()
    await promise(StoreBench(store, store))


@pytest.mark.parametrize("opener", ["sqlite", "postgres_direct", "postgres_pooled"], indirect=True)
@pytest.mark.parametrize("promise", [*STORE_CONTRACT, *RELATIONAL_CONTRACT])
async def test_a_database_keeps_the_promise(promise: Promise, bench: StoreBench) -> None:
    """With real tables, constraints and connections."""
    await promise(bench)


@pytest.mark.parametrize("opener", ["azure", "dynamo"], indirect=True)
@pytest.mark.parametrize("promise", STORE_CONTRACT)
async def test_a_table_keeps_the_promise(promise: Promise, bench: StoreBench) -> None:
    """With real entities or items, and no constraints besides."""
    await promise(bench)


# What some request meets, and how many of which operation it takes for that.
STRUCK = {
    AwsFault.CONFLICT: ("TransactGetItems", 2),
    AwsFault.SHUFFLED: ("Scan", 2),
    AwsFault.SMALL_PAGES: ("Scan", 2),
    AwsFault.STALE_INDEX: ("Query", 2),
    AwsFault.THROTTLED: ("GetItem", 1),
}


@pytest.mark.parametrize("promise", STORE_CONTRACT)
async def test_dynamodb_at_its_worst_keeps_the_promise(
    promise: Promise, new_dynamodb_url: Callable[[], str], scale: Scale
) -> None:
    """With all at once that the service may do and an emulator does not; each of it came, wherever it could."""
    ids, url = SequentialIds(promise.__name__), new_dynamodb_url()
    await migrate(url)
    faults = AwsFaults(*INVISIBLE, jitter=ids.jitter)
    store = await open_dynamodb(url, jitter=ids.jitter, session=faults.session())
    another = await open_dynamodb(url, jitter=ids.jitter, session=faults.session())
    await promise(StoreBench(store, another, SystemIds(), scale=scale.pick(1, 20)))
    await another.close()
    await store.close()
    for fault, (operation, least) in STRUCK.items():
        assert faults.met[fault] or faults.sent[operation] < least, f"{fault} never came"
    assert faults.met[AwsFault.HALF_SEEN] or promise is not races.what_one_commit_writes_is_seen_together


@pytest.mark.parametrize("opener", ["sqlite", "postgres_direct", "postgres_pooled", "azure", "dynamo"], indirect=True)
async def test_processes_lose_nothing(bench: StoreBench, opener: OpenStore, scale: Scale) -> None:
    """Four processes count on the same records in crossing orders."""
    await processes_that_cross_lose_nothing(bench, opener, rounds=scale.pick(50, 1000))


async def test_postgres_is_never_deadlocked(postgres_url: str, postgres_direct: OpenStore) -> None:
    """The order of writes keeps it so. A deadlock is tried again inside, so only the server's own count can tell."""
    store = await postgres_direct()
    for promise in (races.of_fifty_replaces_of_a_version_one_wins, races.crossing_commits_all_end):
        await promise(StoreBench(store, store, SystemIds()))
    await store.close()
    connection = await asyncpg.connect(postgres_url)
    deadlocks = await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await connection.close()
    assert deadlocks == 0
