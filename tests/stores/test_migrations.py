"""Migrations make what is declared, once, whatever runs beside them, and leave an application's tables alone."""

import asyncio
import multiprocessing
import re
import runpy
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, NullPool, Table, Text, create_engine, text
from sqlalchemy.schema import CreateSchema

from semel.errors import ConfigurationInvalid, StoreRejected, StoreUnavailable
from semel.model import RECORD_TYPES, Account, Identity
from semel.ports import Ref, Store
from semel.stores.migrate import Migrated, migrate
from semel.stores.migrations.steps import config_of
from semel.stores.postgres import open_postgres
from semel.stores.postgres_migrate import LOCK, engine, migrate_server
from semel.stores.postgres_url import parse_url
from semel.stores.schema import REVISION, SCHEMA, VERSION_TABLE, declare, is_semel_table, version_table
from semel.stores.sqlite import open_sqlite
from tests.docs.how_to import HowTo
from tests.services import PostgresServer, free_port
from tests.stores.postgres_parts import connected

T = TypeVar("T")
NewDatabase = Callable[[], str]
IncludeName = Callable[[str | None, str, Mapping[str, str | None]], bool]

PROCESSES = 2
START_SECONDS = 60.0
_gate: list[Barrier] = []

TABLES = "SELECT type, name, tbl_name, sql FROM sqlite_master"
CATALOGUE = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
           a.attcollation::regcollation::text, col_description(c.oid, a.attnum), obj_description(c.oid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'semel'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', ''
    FROM pg_constraint WHERE connamespace = 'semel'::regnamespace
    UNION ALL SELECT tablename, indexname, indexdef, '', '', '', '' FROM pg_indexes WHERE schemaname = 'semel'
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Make empty databases of either kind, and return their URLs."""
    numbers = count()
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            yield lambda: stack.enter_context(server.database())


async def work_on(url: str, work: Callable[[Connection], T]) -> T:
    """Do some work in a transaction."""
    if url.startswith("sqlite:"):
        with create_engine(url, poolclass=NullPool).begin() as connection:
            return work(connection)
    async with engine(parse_url(url)).begin() as asynchronous:
        return await asynchronous.run_sync(work)


async def execute(url: str, statement: str) -> None:
    await work_on(url, lambda connection: connection.execute(text(statement)))


def catalogue(connection: Connection) -> list[tuple[object, ...]]:
    """Return all that the database knows of our tables but the version table, in some fixed order.

    In whichever order a table has its columns: one that was added stands last, and every statement names them.
    """
    sqlite = connection.dialect.name == "sqlite"
    rows = connection.execute(text(TABLES if sqlite else CATALOGUE))
    found = [tuple(map(str, row)) for row in rows if VERSION_TABLE not in str(row)]
    return sorted((*row[:-1], parts(row[-1])) if sqlite else row for row in found)


def parts(statement: str) -> str:
    """Return what a statement lists, in the order of the alphabet."""
    return str(sorted(" ".join(part.split()) for part in re.split("[,)]", statement)))


def create_declared(connection: Connection) -> None:
    """Create the tables as they are declared, without migrations."""
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    if schema is not None:
        connection.execute(CreateSchema(schema))
    declare(schema).create_all(connection)


async def test_migrations_make_what_is_declared(new_database: NewDatabase) -> None:
    """Columns, types, keys, references, indexes and comments are the same, built in either way."""
    migrated, declared = new_database(), new_database()
    await migrate(migrated)
    await work_on(declared, create_declared)
    made = await work_on(migrated, catalogue)
    assert len(made) > len(RECORD_TYPES)
    assert made == await work_on(declared, catalogue)


async def test_the_newest_revision_is_the_one_that_stores_ask_for(new_database: NewDatabase) -> None:
    """A database is left at the head of the scripts."""
    assert await migrate(new_database()) == Migrated(None, REVISION)
    assert ScriptDirectory.from_config(config_of()).get_current_head() == REVISION


async def test_migrating_again_changes_nothing(new_database: NewDatabase) -> None:
    """Not even where a row is: the second time nothing is written."""
    url = new_database()
    await migrate(url)
    before = await work_on(url, catalogue)
    assert await migrate(url) == Migrated(REVISION, REVISION)
    assert await work_on(url, catalogue) == before


def meet(barrier: Barrier) -> None:
    _gate.append(barrier)


def migrate_together(url: str) -> Migrated:
    """Migrate once every process has come this far."""
    _gate[0].wait(START_SECONDS)
    return asyncio.run(migrate(url))


def test_of_processes_that_migrate_at_once_one_does_the_work(new_database: NewDatabase) -> None:
    """The others wait for it and find nothing left to do."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, meet, (context.Barrier(PROCESSES),)) as pool:
        for url in [new_database() for _ in range(3)]:
            befores = [done.before for done in pool.map(migrate_together, [url] * PROCESSES)]
            assert sorted(befores, key=str) == [REVISION] * (PROCESSES - 1) + [None]


async def test_databases_are_migrated_at_once_by_one_process(new_database: NewDatabase) -> None:
    """Alembic keeps what it works on in global variables; that shows in none of them."""
    urls = [new_database() for _ in range(3)]
    assert await asyncio.gather(*map(migrate, urls)) == [Migrated(None, REVISION)] * 3
    first, *others = [await work_on(url, catalogue) for url in urls]
    assert all(other == first for other in others)


async def test_a_migration_that_fails_leaves_nothing(new_database: NewDatabase) -> None:
    """A table of this name is in the way of the last step: none of the others stays."""
    url, schema = new_database(), ""
    if url.startswith("postgresql"):
        await execute(url, f"CREATE SCHEMA {SCHEMA}")
        schema = f"{SCHEMA}."
    await execute(url, f"CREATE TABLE {schema or 'semel_'}sessions (mine text)")
    before = await work_on(url, catalogue)
    with pytest.raises(StoreRejected):
        await migrate(url)
    assert await work_on(url, catalogue) == before


OLD_ACCOUNT = """
    INSERT INTO {at}identities (id, state, tries, version) VALUES ('{id}', 'owned', 0, 7);
    INSERT INTO {at}accounts (id, roles, is_active, onboarding_completed, attributes, created_at, updated_at, epoch,
                            identifiers, registration, sessions, version)
    VALUES ('{id}', '[]', {yes}, {yes}, '{{}}', '{now}', '{now}', 0, '[]', 'r', '[]', 7)
"""
"""What the first release writes of an account."""


async def insert_old_account(url: str, name: str) -> None:
    """Write an account as the first release does."""
    sqlite = url.startswith("sqlite")
    table, yes = ("semel_", "1") if sqlite else (f"{SCHEMA}.", "true")
    now = "2026-01-01T00:00:00.000000+00:00"
    statements = OLD_ACCOUNT.format(at=table, id=name, yes=yes, now=now).split(";")

    def insert(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    await work_on(url, insert)


async def test_a_database_of_the_first_release_is_brought_on(new_database: NewDatabase) -> None:
    """What it holds is read as before, its tables become those declared, and the first release goes on writing them."""
    url, declared = new_database(), new_database()
    await migrate_to(url, "0001")
    await insert_old_account(url, "ann")
    assert await migrate(url) == Migrated("0001", REVISION)
    await work_on(declared, create_declared)
    assert await work_on(url, catalogue) == await work_on(declared, catalogue)
    await insert_old_account(url, "bob")
    async with opened(url) as store:
        for name in ("ann", "bob"):
            account, identity = await store.get_many([Ref(Account, (name,)), Ref(Identity, (name,))])
            assert isinstance(account, Account)
            assert isinstance(identity, Identity)
            assert (account.banned_until, account.version, identity.details) == (None, 7, None)


async def migrate_to(url: str, revision: str) -> None:
    """Leave a database at an older revision."""
    schema = None if url.startswith("sqlite") else SCHEMA

    def upgrade(connection: Connection) -> None:
        if schema is not None:
            connection.execute(CreateSchema(schema))
        command.upgrade(config_of(connection, schema), revision)

    await work_on(url, upgrade)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """Open the store of a database."""
    store: Store = await (open_sqlite(url) if url.startswith("sqlite") else open_postgres(url, jitter=lambda: 0.5))
    try:
        yield store
    finally:
        await store.close()


async def test_a_database_of_a_newer_release_is_left_alone(new_database: NewDatabase) -> None:
    """The release that made it is named as the remedy."""
    url = new_database()
    await migrate(url)
    table = version_table(None) if url.startswith("sqlite") else f"{SCHEMA}.{VERSION_TABLE}"
    await execute(url, f"UPDATE {table} SET version_num = '9999'")  # noqa: S608 - constants
    with pytest.raises(ConfigurationInvalid, match="newer"):
        await migrate(url)


@pytest.fixture
def include_name(tmp_path: Path) -> IncludeName:
    """The filter that the how-to gives an application."""
    HowTo.read("your-own-row").write_files(tmp_path)
    found: IncludeName = runpy.run_path(str(tmp_path / "names.py"))["include_name"]
    return found


async def test_an_application_on_postgresql_generates_nothing_about_us(
    postgres_database: str, include_name: IncludeName
) -> None:
    """Alembic looks at the application's schema alone; where it is told to look at all of them, with the filter."""
    await migrate(postgres_database)
    # PostgreSQL looks first for a schema with the name of the role, and that of the tests is ours.
    await execute(postgres_database, f"ALTER DATABASE {postgres_database.rpartition('/')[2]} SET search_path = public")
    assert await work_on(postgres_database, generated) == ["add_table"]
    everywhere = partial(generated, include_schemas=True)
    assert await work_on(postgres_database, partial(everywhere, include_name=include_name)) == ["add_table"]
    assert "remove_table" in await work_on(postgres_database, everywhere)


async def test_an_application_in_our_file_generates_nothing_about_us(tmp_path: Path, include_name: IncludeName) -> None:
    """With the filter that we document; without it, its next migration would drop our tables."""
    url = f"sqlite:///{tmp_path}/shared.db"
    await migrate(url)
    assert await work_on(url, partial(generated, include_name=include_name)) == ["add_table"]
    assert "remove_table" in await work_on(url, generated)


def test_only_what_is_ours_is_excluded() -> None:
    """By name where there are no schemas, by schema where there are."""
    assert is_semel_table("semel_accounts")
    assert is_semel_table("semel_alembic_version")
    assert is_semel_table("accounts", "semel")
    assert is_semel_table("accounts", "people", ours="people")
    assert not any(map(is_semel_table, ["accounts", "semel_members", None]))
    assert not is_semel_table("semel_accounts", "public")


def generated(connection: Connection, **options: object) -> list[str]:
    """Return what ``alembic revision --autogenerate`` of an application with one new table would write."""
    application = MetaData()
    Table("profiles", application, Column("id", Text, primary_key=True))
    context = MigrationContext.configure(connection, opts=options)
    changes: list[tuple[Any, ...]] = compare_metadata(context, application)
    return [change[0] for change in changes]


async def test_a_pooler_may_stand_between(pgbouncer_database: str) -> None:
    """PgBouncer in transaction mode: the lock lasts as long as the transaction."""
    assert await migrate(pgbouncer_database) == Migrated(None, REVISION)
    assert await migrate(pgbouncer_database) == Migrated(REVISION, REVISION)


async def test_the_schema_is_the_urls(postgres_database: str) -> None:
    """Two realms can share a database."""
    assert await migrate(f"{postgres_database}?schema=one") == Migrated(None, REVISION)
    assert await migrate(f"{postgres_database}?schema=two") == Migrated(None, REVISION)
    await execute(postgres_database, "SELECT id FROM one.accounts UNION SELECT id FROM two.accounts")


async def test_a_server_that_is_down_is_said_to_be() -> None:
    """Nothing listens at the port."""
    with pytest.raises(StoreUnavailable):
        await migrate(f"postgresql://semel@127.0.0.1:{free_port()}/semel")


@pytest.mark.parametrize("change", ["dbname=nowhere", "password=wrong", "user=nobody"])
async def test_what_the_settings_can_mend_is_said_as_at_a_start(postgres_database: str, change: str) -> None:
    """A database, a password or a role that is not there is no passing trouble."""
    with pytest.raises(ConfigurationInvalid, match="user, password, database or options"):
        await migrate(f"{postgres_database}?{change}")


async def test_a_server_that_takes_no_writes_is_said_to_be(postgres_database: str) -> None:
    """As at a start: another host may, or this one a moment later."""
    with pytest.raises(StoreUnavailable, match="takes writes"):
        await migrate(f"{postgres_database}?options=-c%20default_transaction_read_only=on")


async def test_the_urls_options_hold_for_migrations(postgres_database: str) -> None:
    """And the name under which the server knows us."""
    asked = text("SELECT current_setting('search_path'), current_setting('application_name')")
    url = f"{postgres_database}?options=-c%20search_path=shop&application_name=shop"
    assert await work_on(url, lambda connection: tuple(connection.execute(asked).one())) == ("shop", "shop")


async def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(postgres_database: str) -> None:
    """Neither that of migrations nor one on a table: it gives up, and leaves all as it was."""
    async with connected(postgres_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", LOCK)
        with pytest.raises(StoreUnavailable, match="55P03"):
            await migrate_server(parse_url(postgres_database), lock_seconds=0.05)
    assert await migrate(postgres_database) == Migrated(None, REVISION)
    async with connected(postgres_database) as other, other.transaction():
        await other.execute("LOCK TABLE semel.alembic_version")
        with pytest.raises(StoreUnavailable, match="55P03"):
            await migrate_server(parse_url(postgres_database), lock_seconds=0.05)


async def test_a_directory_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    """The file is made, its directory is not."""
    with pytest.raises(ConfigurationInvalid, match="directory"):
        await migrate(f"sqlite:///{tmp_path}/missing/semel.db")
