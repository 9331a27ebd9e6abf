"""The application's own row on PostgreSQL: it comes and goes with the account."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import Any, TypeAlias, cast
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Boolean, ClauseElement, Column, MetaData, Table, Text, Uuid, insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

from semel.errors import (
    ApplicationRefused,
    CommitUnknown,
    ConfigurationInvalid,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)
from semel.model import Account
from semel.ports import Also, Insert, Row
from semel.stores.postgres import PostgresStore
from semel.testing.clock import SequentialIds
from semel.testing.store_contract import RELATIONAL_CONTRACT, Promise, StoreBench
from semel.testing.store_contract.samples import identity
from tests.proxy import Proxy
from tests.stores.postgres_parts import PROFILES, connected, opened, sign_up

Connection: TypeAlias = "asyncpg.Connection[Any]"
IDS = SequentialIds("also")

ROW = Row(
    "public.profiles",
    {
        "id": "id",
        "name": "full_name",
        "email": "email_canonical",
        "role": "role",
        "onboarding_completed": "onboarding_completed",
    },
)


async def plain_sql(connection: Connection, account: Account) -> None:
    """What an application writes that has no other library."""
    await connection.execute(
        "INSERT INTO public.profiles (id, name, email, role) VALUES ($1, $2, $3, $4)",
        account.id,
        account.full_name,
        account.email_canonical,
        account.role,
    )


profiles = Table(
    "profiles",
    MetaData(schema="public"),
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("role", Text),
    Column("onboarding_completed", Boolean),
)


async def execute(connection: Connection, statement: ClauseElement) -> None:
    """Run a statement of SQLAlchemy's on the connection that a callback is given."""
    compiled = cast("SQLCompiler", statement.compile(dialect=PGDialect_asyncpg()))  # type: ignore[no-untyped-call]
    values = compiled.construct_params()
    await connection.execute(str(compiled), *(values[name] for name in compiled.positiontup or ()))


async def with_sqlalchemy(connection: Connection, account: Account) -> None:
    """What an application writes that has its tables declared."""
    values = {"id": UUID(account.id), "name": account.full_name, "email": account.email_canonical}
    await execute(connection, insert(profiles).values(**values, role=account.role, onboarding_completed=False))


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Connection]:
    """A connection to a database that has the application's table."""
    async with connected(postgres_url) as connection:
        await connection.execute(PROFILES)
        yield connection


@pytest.fixture(params=[ROW, plain_sql, with_sqlalchemy], ids=["row", "plain_sql", "sqlalchemy"])
def also(request: pytest.FixtureRequest) -> Also:
    """The three ways to say it."""
    given: Also = request.param
    return given


async def nothing_is_left(store: PostgresStore, database: Connection, account: Account) -> None:
    assert await store.get(Account, account.key) is None
    assert await database.fetchval("SELECT count(*) FROM public.profiles WHERE id = $1", account.id) == 0


def made(name: str) -> tuple[list[Any], Account]:
    """Return the writes of a sign-up and its account."""
    writes = sign_up(IDS, email=name, email_canonical=name)
    account = writes[0].record
    assert isinstance(account, Account)
    return writes, account


async def test_the_row_comes_with_the_account(any_url: str, database: Connection, also: Also) -> None:
    """With the account's values; nothing else that is committed calls for one."""
    async with opened(any_url, also=also) as store:
        writes, account = made("a@example.org")
        await store.commit(writes, IDS.token())
        await store.commit([Insert(identity(IDS))], IDS.token())
    (row,) = await database.fetch("SELECT * FROM public.profiles")
    assert tuple(row.values()) == (UUID(account.id), "A Person", "a@example.org", "Creator", False)


async def test_a_refused_commit_leaves_no_row(postgres_url: str, database: Connection, also: Also) -> None:
    """The refusal is ours and names our writes."""
    async with opened(postgres_url, also=also) as store:
        writes, _ = made("a@example.org")
        await store.commit(writes[3:], IDS.token())
        with pytest.raises(WriteRefused) as refused:
            await store.commit(writes, IDS.token())
        assert refused.value.positions == (3,)
    assert await database.fetchval("SELECT count(*) FROM public.profiles") == 0


async def test_a_refused_row_leaves_no_account(postgres_url: str, database: Connection, also: Also) -> None:
    """The application's own unique column says no; without what stood in the way the same commit is done."""
    async with opened(postgres_url, also=also) as store:
        await database.execute("INSERT INTO public.profiles VALUES (gen_random_uuid(), 'B', 'a@example.org', 'Editor')")
        writes, account = made("a@example.org")
        with pytest.raises(ApplicationRefused, match="UniqueViolationError"):
            await store.commit(writes, IDS.token())
        await nothing_is_left(store, database, account)
        await database.execute("DELETE FROM public.profiles")
        await store.commit(writes, IDS.token())


async def test_the_applications_table_gone_is_the_applications_refusal(
    postgres_url: str, database: Connection, also: Also
) -> None:
    """While our own table gone is the store's, with the same statement."""
    async with opened(postgres_url, also=also) as store:
        writes, _ = made("a@example.org")
        await database.execute("ALTER TABLE public.profiles RENAME TO profiles_backup")
        with pytest.raises(ApplicationRefused, match="UndefinedTableError"):
            await store.commit(writes, IDS.token())
        await database.execute("ALTER TABLE public.profiles_backup RENAME TO profiles")
        await database.execute("ALTER TABLE semel.accounts RENAME TO accounts_backup")
        with pytest.raises(StoreRejected, match="42P01"):
            await store.commit(writes, IDS.token())
        await database.execute("ALTER TABLE semel.accounts_backup RENAME TO accounts")
        await store.commit(writes, IDS.token())


async def test_a_constraint_that_waits_for_the_end_refuses_as_well(
    postgres_url: str, database: Connection, also: Also
) -> None:
    """The application's own, checked when the transaction is committed."""
    await database.execute("""
        CREATE TABLE public.invited (email text PRIMARY KEY);
        ALTER TABLE public.profiles ADD FOREIGN KEY (email) REFERENCES public.invited DEFERRABLE INITIALLY DEFERRED;
    """)
    async with opened(postgres_url, also=also) as store:
        writes, account = made("a@example.org")
        with pytest.raises(ApplicationRefused, match="ForeignKeyViolationError"):
            await store.commit(writes, IDS.token())
        await nothing_is_left(store, database, account)


async def test_a_row_that_is_swallowed_is_refused(postgres_url: str, database: Connection) -> None:
    """A trigger in the application's table that keeps the row out must not leave an account without one."""
    await database.execute("""
        CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER swallow BEFORE INSERT ON public.profiles FOR EACH ROW EXECUTE FUNCTION public.swallow();
    """)
    async with opened(postgres_url, also=ROW) as store:
        writes, account = made("a@example.org")
        with pytest.raises(ApplicationRefused, match="did not take"):
            await store.commit(writes, IDS.token())
        await nothing_is_left(store, database, account)


async def test_a_value_that_does_not_fit_is_the_applications_refusal(postgres_url: str, database: Connection) -> None:
    """The driver itself refuses to send it."""
    async with opened(postgres_url, also=Row("public.profiles", {"id": "email", "role": "role"})) as store:
        writes, account = made("a@example.org")
        with pytest.raises(ApplicationRefused, match="DataError"):
            await store.commit(writes, IDS.token())
        await nothing_is_left(store, database, account)


async def test_a_row_of_unknown_fields_stops_the_start(postgres_url: str) -> None:
    """Not the first sign-up."""
    with pytest.raises(ConfigurationInvalid, match="'mail', which is no field of an account"):
        async with opened(postgres_url, also=Row("public.profiles", {"email": "mail"})):
            pass


async def test_names_of_the_row_are_quoted(postgres_url: str, database: Connection) -> None:
    """They may be any that PostgreSQL has, and none is code."""
    table, column = 'or"der', 'select"; --'
    await database.execute('CREATE TABLE public."or""der" ("select""; --" text)')
    async with opened(postgres_url, also=Row(f"public.{table}", {column: "id"})) as store:
        writes, account = made("a@example.org")
        await store.commit(writes, IDS.token())
    assert await database.fetchval('SELECT * FROM public."or""der"') == account.id


def plain_function(_: Connection, account: Account) -> None:
    raise ValueError(account.id)


async def cannot(_: Connection, account: Account) -> None:
    raise LookupError(account.id)


async def swallows_an_error(connection: Connection, _: Account) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("INSERT INTO nowhere VALUES (1)")


@pytest.mark.parametrize("callback", [plain_function, cannot, swallows_an_error])
async def test_whatever_a_callback_raises_leaves_nothing(
    postgres_url: str, database: Connection, callback: Callable[[Connection, Account], Awaitable[None] | None]
) -> None:
    """Or does not raise, though the server has given up its transaction."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url), also=callback) as store:
        await store.ping()
        connections = proxy.connections
        for _ in range(2):
            writes, account = made("a@example.org")
            with pytest.raises(ApplicationRefused):
                await store.commit(writes, IDS.token())
            await nothing_is_left(store, database, account)
        assert proxy.connections == connections, "none was thrown away"


async def test_a_callback_sees_the_account_and_runs_again_after_a_deadlock(
    postgres_url: str, database: Connection
) -> None:
    """It may be called more than once; what it did before is undone."""
    calls = []

    async def callback(connection: Connection, account: Account) -> None:
        await plain_sql(connection, account)
        calls.append(await connection.fetchval("SELECT version FROM semel.accounts WHERE id = $1", account.id))
        if len(calls) == 1:
            await connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")

    async with opened(postgres_url, also=callback) as store:
        writes, _ = made("a@example.org")
        await store.commit(writes, token := IDS.token())
    assert calls == [token, token]
    assert await database.fetchval("SELECT count(*) FROM public.profiles") == 1


async def test_a_callback_that_ends_the_transaction_leaves_the_outcome_unknown(postgres_url: str) -> None:
    """It must not; nobody can say then what came of the commit."""
    for statement in ("COMMIT", "ROLLBACK"):

        async def callback(connection: Connection, _: Account, statement: str = statement) -> None:
            await connection.execute(statement)

        async with opened(postgres_url, also=callback) as store:
            writes, account = made(f"{statement}@example.org")
            with pytest.raises(CommitUnknown):
                await store.commit(writes, IDS.token())
            assert (await store.get(Account, account.key) is None) is (statement == "ROLLBACK")


async def test_a_connection_lost_in_a_callback_leaves_the_outcome_unknown(
    postgres_url: str, database: Connection
) -> None:
    """For who asks; nothing was committed, and the next sign-up works."""
    broken: list[bool] = []

    async def callback(connection: Connection, account: Account) -> None:
        if not broken:
            broken.append(await database.fetchval("SELECT pg_terminate_backend($1)", connection.get_server_pid()))
        await plain_sql(connection, account)

    async with opened(postgres_url, also=callback) as store:
        writes, account = made("a@example.org")
        with pytest.raises(CommitUnknown):
            await store.commit(writes, IDS.token())
        await nothing_is_left(store, database, account)
        await store.commit(writes, IDS.token())


async def test_a_lost_answer_to_the_commit_of_a_callback_is_unknown(postgres_url: str, database: Connection) -> None:
    """The connection breaks when the transaction is being committed."""
    async with Proxy.before(postgres_url) as proxy:

        async def callback(connection: Connection, account: Account) -> None:
            await plain_sql(connection, account)
            proxy.cut_before_answer()

        async with opened(proxy.through(postgres_url), also=callback) as store:
            writes, account = made("a@example.org")
            with pytest.raises(CommitUnknown):
                await store.commit(writes, IDS.token())
            assert await store.get(Account, account.key) is not None
    assert await database.fetchval("SELECT count(*) FROM public.profiles") == 1


async def test_a_callback_that_never_ends_is_not_waited_for(postgres_url: str, database: Connection) -> None:
    """The transaction is given up with its connection; it is known that nothing came of it, so nobody tries again."""

    async def callback(connection: Connection, account: Account) -> None:
        await plain_sql(connection, account)
        await asyncio.Event().wait()

    async with opened(postgres_url, also=callback, statement_timeout=50) as store:
        writes, account = made("a@example.org")
        with pytest.raises(StoreUnavailable, match="too long"):
            await store.commit(writes, IDS.token())
        await nothing_is_left(store, database, account)


async def test_a_rollback_without_an_answer_is_not_waited_for(postgres_url: str, database: Connection) -> None:
    """What the application said stands: nothing was committed."""
    async with Proxy.before(postgres_url) as proxy:

        async def callback(_: Connection, account: Account) -> None:
            proxy.silence()
            raise LookupError(account.id)

        async with opened(proxy.through(postgres_url), also=callback, statement_timeout=50) as store:
            writes, account = made("a@example.org")
            with pytest.raises(ApplicationRefused):
                await store.commit(writes, IDS.token())
            await nothing_is_left(store, database, account)


async def test_a_transaction_of_a_callback_is_a_savepoint(any_url: str, database: Connection) -> None:
    """On the same connection as often as it likes: what it takes back is not there, the account is."""

    async def callback(connection: Connection, account: Account) -> None:
        async with connection.transaction():
            await plain_sql(connection, account)
        with suppress(LookupError):
            async with connection.transaction():
                await connection.execute("DELETE FROM public.profiles")
                raise LookupError

    async with opened(any_url, also=callback, pool_size=1) as store:
        for name in ("a@example.org", "b@example.org"):
            await store.commit(made(name)[0], IDS.token())
    assert await database.fetchval("SELECT count(*) FROM public.profiles") == 2


async def test_a_callback_costs_no_more_round_trips_than_its_steps(any_url: str, database: Connection) -> None:
    """BEGIN, our statement, its own, COMMIT, once a connection has met them."""
    assert await database.fetchval("SELECT count(*) FROM public.profiles") == 0

    async def callback(connection: Connection, _: Account) -> None:
        await connection.execute("INSERT INTO public.profiles (id, role) VALUES (gen_random_uuid(), 'Creator')")

    async with Proxy.before(any_url) as proxy, opened(proxy.through(any_url), also=callback) as store:
        await store.commit(made("a@example.org")[0], IDS.token())
        before = proxy.round_trips
        await store.commit(made("b@example.org")[0], IDS.token())
        assert proxy.round_trips == before + 4


@pytest.mark.parametrize("refuses", [False, True])
async def test_what_a_callback_does_to_its_session_ends_with_it(
    postgres_url: str,
    database: Connection,
    refuses: bool,  # noqa: FBT001
) -> None:
    """Settings, a role, a lock, a temporary table, a cursor, an ear: the next one on the connection meets none."""
    found: list[tuple[object, ...]] = []
    look = """SELECT current_setting('statement_timeout'), current_setting('search_path'), session_user, current_user,
        to_regclass('pg_temp.mine'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
        (SELECT count(*) FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM pg_listening_channels())"""

    async def callback(connection: Connection, _: Account) -> None:
        found.append(tuple(await connection.fetchrow(look) or ()))
        await connection.execute("SELECT pg_advisory_lock(1); CREATE TEMP TABLE mine (id int)")
        await connection.execute("LISTEN news; DECLARE mine CURSOR WITH HOLD FOR SELECT 1")
        await connection.execute("SET statement_timeout = 0; SET search_path = nowhere")
        await connection.execute("SET SESSION AUTHORIZATION pg_monitor; SET ROLE pg_read_all_stats")
        if refuses:
            raise LookupError

    async with opened(postgres_url, also=callback, pool_size=1) as store:
        for name in ("a@example.org", "b@example.org"):
            with pytest.raises(ApplicationRefused) if refuses else nullcontext():
                await store.commit(made(name)[0], IDS.token())
    assert found[0] == found[1]
    assert await database.fetchval("SELECT count(*) FROM semel.accounts") == (0 if refuses else 2)


async def test_the_role_that_a_session_begins_with_is_kept(postgres_url: str, database: Connection) -> None:
    """Where the URL, or the role itself, names another one to act as."""
    await database.execute("GRANT USAGE ON SCHEMA semel TO pg_monitor")
    await database.execute("GRANT ALL ON ALL TABLES IN SCHEMA semel TO pg_monitor")
    roles: list[str] = []

    async def callback(connection: Connection, _: Account) -> None:
        roles.append(await connection.fetchval("SELECT current_user"))

    async with opened(postgres_url, also=callback, pool_size=1, options="-c role=pg_monitor") as store:
        for name in ("a@example.org", "b@example.org"):
            await store.commit(made(name)[0], IDS.token())
    assert roles == ["pg_monitor"] * 2


async def test_a_constraint_that_waits_for_the_end_meets_the_callbacks_settings(
    postgres_url: str, database: Connection
) -> None:
    """A trigger that is put off to the end may ask who it is that writes."""
    await database.execute("""
        CREATE FUNCTION public.ask() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM 1 / (current_setting(''app.who'') = ''ada'')::int; RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER ask AFTER INSERT ON public.profiles DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION public.ask();
    """)

    async def callback(connection: Connection, account: Account) -> None:
        await connection.execute("SET LOCAL app.who = 'ada'")
        await plain_sql(connection, account)

    async with opened(postgres_url, also=callback) as store:
        await store.commit(made("a@example.org")[0], IDS.token())
    assert await database.fetchval("SELECT count(*) FROM public.profiles") == 1


@pytest.mark.parametrize("also", [ROW, plain_sql], ids=["row", "plain_sql"])
@pytest.mark.parametrize("promise", RELATIONAL_CONTRACT)
async def test_accounts_keep_their_promises(
    promise: Promise, also: Also, postgres_url: str, database: Connection
) -> None:
    """With a row beside each, as without; here the rows end with the accounts."""
    await database.execute("""
        ALTER TABLE public.profiles ALTER role DROP NOT NULL, ALTER id TYPE text COLLATE "C",
        ADD FOREIGN KEY (id) REFERENCES semel.accounts ON DELETE CASCADE
    """)
    async with opened(postgres_url, also=also) as store, opened(postgres_url, also=also) as another:
        await promise(StoreBench(store, another))
