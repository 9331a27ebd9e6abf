"""Accounts that follow the identities of a provider in the same database, by a foreign key."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from semel import Semel, Settings
from semel.errors import ConfigurationInvalid, StoreRejected, StoreUnavailable
from semel.model import Account, Identity, Secret
from semel.ports import NewIdentity, Row
from semel.states import IdentityState, RegistrationState
from semel.stores.migrate import Migrated, migrate
from semel.stores.postgres import open_postgres
from semel.stores.postgres_identity import NO_TABLE
from semel.stores.postgres_migrate import migrate_server
from semel.stores.postgres_url import parse_url
from semel.stores.schema import ACCOUNT_FOLLOWS, REVISION
from semel.testing.clock import SequentialIds
from tests.services import pgbouncer
from tests.stores.auth_users import AUTH_USERS, TableProvider
from tests.stores.postgres_parts import connected, opened, sign_up

EMAIL = "ada@gmail.com"
PASSWORD = "correct horse battery"
USERS = "auth.users"
IDS = SequentialIds("identity")
KEYS = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1"
MADE = "SELECT xmin::text FROM pg_constraint WHERE conname = $1"
OURS = """
    SELECT attname FROM pg_attribute WHERE attrelid = 'semel.accounts'::regclass AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT indexname FROM pg_indexes WHERE schemaname = 'semel' AND tablename = 'accounts'
    UNION ALL SELECT conname FROM pg_constraint WHERE conrelid = 'semel.accounts'::regclass
    UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid = 'semel.accounts'::regclass
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'semel'::regnamespace
"""

Connection: TypeAlias = "asyncpg.Connection[Any]"


@pytest.fixture
async def database(postgres_database: str) -> AsyncIterator[Connection]:
    """A connection to a database that has the provider's table, and none of ours."""
    async with connected(postgres_database) as connection:
        await connection.execute(AUTH_USERS)
        yield connection


@pytest.fixture
async def provider(database: Connection, postgres_database: str) -> TableProvider:
    """The provider, and accounts that follow it."""
    await migrate(postgres_database, USERS)
    return TableProvider(database)


@pytest.fixture(params=[None, Row("public.profiles", {"id": "id"})], ids=["alone", "row"])
async def semel(
    provider: TableProvider, database: Connection, postgres_database: str, request: pytest.FixtureRequest
) -> AsyncIterator[Semel]:
    """Semel over both, alone and with a row of the application's."""
    await database.execute("CREATE TABLE public.profiles (id uuid PRIMARY KEY)")
    settings = Settings(
        _env_file=None,
        database_url=postgres_database,
        provider_url="fake+tcp://127.0.0.1:1",
        identity_table=USERS,
        upkeep=False,
    )
    async with Semel(settings, provider=provider, also=request.param) as semel:
        yield semel


async def accounts(database: Connection) -> int:
    return int(await database.fetchval("SELECT count(*) FROM semel.accounts"))


async def test_a_sign_up_and_a_deletion_go_their_way(semel: Semel, database: Connection) -> None:
    """The identity is made before the account, and the account ends before the identity."""
    account = (await semel.register(email=EMAIL, password=PASSWORD)).account
    both = "SELECT u.id FROM auth.users u JOIN semel.accounts a ON a.identity_id = u.id"
    assert await database.fetchval(both) == UUID(account.id)
    await semel.delete_account(account.id)
    assert (await accounts(database), await database.fetchval("SELECT count(*) FROM auth.users")) == (0, 0)


async def test_self_heal_goes_its_way(semel: Semel, provider: TableProvider, database: Connection) -> None:
    """Whoever signs in with an identity that has no account is given one."""
    account = (await semel.register(email=EMAIL, password=PASSWORD)).account
    await database.execute("DELETE FROM semel.identifiers; DELETE FROM semel.accounts; DELETE FROM semel.identities")
    await database.execute("DELETE FROM semel.events; DELETE FROM semel.registrations; DELETE FROM public.profiles")
    assert (await semel.sign_in(EMAIL, PASSWORD)).account.id == account.id
    assert provider.calls["create"] == await accounts(database) == 1


async def test_an_identity_past_semel_is_not_deleted(semel: Semel, database: Connection) -> None:
    """From a dashboard, say: the database refuses, and no half of the account is lost."""
    account = (await semel.register(email=EMAIL, password=PASSWORD)).account
    with pytest.raises(asyncpg.ForeignKeyViolationError, match=ACCOUNT_FOLLOWS):
        await database.execute("DELETE FROM auth.users WHERE id = $1", account.id)
    assert (await semel.account(account.id)).email == EMAIL
    assert (await semel.sign_in(EMAIL, PASSWORD)).account.id == account.id


async def test_no_account_is_made_for_an_identity_that_is_not_there(
    semel: Semel, provider: TableProvider, database: Connection
) -> None:
    """Commit 2 is refused for good: the registration fails, its identity is condemned, and it works once it may."""
    provider.lost = True
    with pytest.raises(StoreRejected, match="SEMEL_IDENTITY_TABLE") as refused:
        await semel.register(email=EMAIL, password=PASSWORD, idempotency_key="a key of ada's form")
    registration = await semel.registration(refused.value.registration_id or "")
    assert (registration.state, registration.failure) == (RegistrationState.FAILED, "store_rejected")
    assert [one.state for one in await semel.removals()] == [IdentityState.CONDEMNED]
    assert [await database.fetchval(f"SELECT count(*) FROM {table}") for table in LEFT] == [0, 0, 0]  # noqa: S608
    provider.lost = False
    again = await semel.register(email=EMAIL, password=PASSWORD, idempotency_key="a key of ada's form")
    assert (again.account.id != registration.account_id, await accounts(database)) == (True, 1)


LEFT = ("semel.accounts", "semel.identifiers", "public.profiles")


async def test_migrating_is_repeatable_and_reversible(database: Connection, postgres_database: str) -> None:
    """The second time nothing is written, nor without the setting; ``none`` makes all as before it."""
    await migrate(postgres_database)
    before = sorted(await database.fetch(OURS))
    assert await migrate(postgres_database, USERS) == Migrated(REVISION, REVISION, USERS)
    assert await database.fetchval(KEYS, ACCOUNT_FOLLOWS) == (
        "FOREIGN KEY (identity_id) REFERENCES auth.users(id) DEFERRABLE"
    )
    made = await database.fetchval(MADE, ACCOUNT_FOLLOWS)
    for setting in (USERS, None):
        assert await migrate(postgres_database, setting) == Migrated(REVISION, REVISION, USERS)
        assert await database.fetchval(MADE, ACCOUNT_FOLLOWS) == made
    for _ in range(2):
        assert await migrate(postgres_database, NO_TABLE) == Migrated(REVISION, REVISION)
    assert sorted(await database.fetch(OURS)) == before


async def test_another_table_takes_the_place_of_the_first(database: Connection, postgres_database: str) -> None:
    """Whatever the setting says now."""
    await database.execute("CREATE TABLE public.people (id uuid UNIQUE)")
    await migrate(postgres_database, USERS)
    await migrate(postgres_database, "public.people")
    assert "REFERENCES people(id)" in await database.fetchval(KEYS, ACCOUNT_FOLLOWS)


async def test_accounts_without_an_identity_are_told_of(database: Connection, postgres_database: str) -> None:
    """One line, with the query that lists them; no server relies on it, and it works once they are mended."""
    await migrate(postgres_database)
    writes = sign_up(IDS)
    async with opened(postgres_database) as store:
        await store.commit(writes, IDS.token())
    with pytest.raises(ConfigurationInvalid, match=r"identity is not in auth\.users; they are as before") as refused:
        await migrate(postgres_database, USERS)
    assert "\n" not in refused.value.detail
    listed = await database.fetch(refused.value.detail.split("`")[1])
    assert [row["id"] for row in listed] == [writes[0].record.key[0]]
    assert "NOT VALID" in await database.fetchval(KEYS, ACCOUNT_FOLLOWS)
    with pytest.raises(ConfigurationInvalid, match="or not all of them do: run `semel migrate`"):
        await open_postgres(postgres_database, jitter=IDS.jitter, identity_table=USERS)
    await database.execute("INSERT INTO auth.users SELECT id::uuid, email FROM semel.accounts")
    await migrate(postgres_database, USERS)
    async with opened(postgres_database) as store:
        assert await store.get(Account, writes[0].record.key) == writes[0].record.but(version=await version(store))


async def version(store: Any) -> int:  # noqa: ANN401 - a store
    page = await store.page(Identity, None, 1)
    return int(page.records[0].version)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("nowhere.users", "no table with a unique column"),
        ("auth.nobody", "no table with a unique column"),
        ("public.texts", "no table with a unique column"),
        ("public.several", "no table with a unique column"),
        ("public.nameless", "no table with a unique column"),
        ("public.seen", "no table with a unique column"),
    ],
)
async def test_an_unfit_table_is_refused(database: Connection, postgres_database: str, table: str, says: str) -> None:
    """By one line that names the setting, and nothing is changed: not even the tables are there."""
    await database.execute("CREATE TABLE public.texts (id text PRIMARY KEY); CREATE TABLE public.several (id uuid)")
    await database.execute(
        "CREATE TABLE public.nameless (name uuid UNIQUE); CREATE VIEW public.seen AS TABLE auth.users"
    )
    with pytest.raises(ConfigurationInvalid, match=says) as refused:
        await migrate(postgres_database, table)
    assert "SEMEL_IDENTITY_TABLE" in refused.value.detail
    assert await database.fetchval("SELECT to_regclass('semel.accounts')") is None


async def test_a_role_without_the_right_is_told_which(database: Connection, postgres_database: str) -> None:
    """As on Supabase, where another role owns ``auth.users``."""
    await database.execute("CREATE ROLE porter LOGIN PASSWORD 'porter'; CREATE SCHEMA semel AUTHORIZATION porter")
    url = f"{postgres_database}?user=porter&password=porter"
    try:
        with pytest.raises(ConfigurationInvalid, match=r"GRANT USAGE ON SCHEMA auth and REFERENCES ON auth\.users"):
            await migrate(url, USERS)
        await database.execute("GRANT USAGE ON SCHEMA auth TO porter; GRANT REFERENCES ON auth.users TO porter")
        await migrate(url, USERS)
    finally:
        await database.execute("DROP OWNED BY porter CASCADE; DROP ROLE porter")


async def test_a_server_does_not_start_on_accounts_that_follow_another_table(
    database: Connection, postgres_database: str
) -> None:
    """Nor none: its guarantee would be missing in silence."""
    await database.execute("CREATE TABLE public.people (id uuid UNIQUE)")
    for migrated, said in (
        (None, "follow no table, or not all of them do"),
        ("public.people", r"follow public\.people"),
    ):
        await migrate(postgres_database, migrated)
        with pytest.raises(ConfigurationInvalid, match=rf"auth\.users, and the accounts {said}: run `semel migrate`"):
            await open_postgres(postgres_database, jitter=IDS.jitter, identity_table=USERS)
    with pytest.raises(ConfigurationInvalid, match=r"is none, and the accounts follow public\.people"):
        await open_postgres(postgres_database, jitter=IDS.jitter, identity_table=NO_TABLE)


async def test_a_server_starts_without_the_setting(provider: TableProvider, postgres_database: str) -> None:
    """The key is there all the same, and holds."""
    async with opened(postgres_database) as store:
        with pytest.raises(StoreRejected, match="SEMEL_IDENTITY_TABLE"):
            await store.commit(sign_up(IDS), IDS.token())
        writes = sign_up(IDS)
        await provider.create(NewIdentity(writes[0].record.key[0], EMAIL, Secret(PASSWORD), confirmed=True))
        await store.commit(writes, IDS.token())


@pytest.fixture
async def populated(database: Connection, postgres_database: str) -> Connection:
    """Some accounts that follow nothing yet, and their identities."""
    await migrate(postgres_database)
    async with opened(postgres_database) as store:
        for _ in range(3):
            await store.commit(sign_up(IDS), IDS.token())
    await database.execute("INSERT INTO auth.users SELECT id::uuid FROM semel.accounts")
    return database


async def test_people_sign_up_while_it_is_made(populated: Connection, postgres_database: str) -> None:
    """The table is not written anew, and its index waits for whoever has begun without keeping others waiting."""
    place = await populated.fetchval(PLACE)
    async with connected(postgres_database) as reader, opened(postgres_database) as store:
        begun = reader.transaction(isolation="repeatable_read")
        await begun.start()
        await reader.fetchval("SELECT count(*) FROM auth.users")
        migrating = asyncio.create_task(migrate(postgres_database, USERS))
        while not await populated.fetchval(WAITS):
            assert not migrating.done(), "nobody was waited for: the index was not made beside others' work"
            await asyncio.sleep(0)
        writes = sign_up(IDS)
        await populated.execute("INSERT INTO auth.users VALUES ($1)", writes[0].record.key[0])
        await store.commit(writes, IDS.token())
        await begun.rollback()
        await migrating
    assert await populated.fetchval(PLACE) == place
    assert await populated.fetchval("SELECT count(*) FROM semel.accounts WHERE identity_id::text = id") == 4
    assert await populated.fetchval(WHOLE)


PLACE = "SELECT relfilenode FROM pg_class WHERE oid = 'semel.accounts'::regclass"
WAITS = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for old snapshots%'"
WHOLE = f"SELECT convalidated FROM pg_constraint WHERE conname = '{ACCOUNT_FOLLOWS}'"  # noqa: S608 - a constant
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'semel.ix_semel_accounts_identity_id'::regclass"
NOTED = """
    CREATE TABLE public.noted (transaction bigint, held boolean);
    CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.noted SELECT txid_current(),
            (SELECT convalidated FROM pg_constraint WHERE conname = 'fk_semel_accounts_identity_id');
    END $$;
    CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.note()
"""


async def test_the_key_is_made_first_and_checked_afterwards(populated: Connection, postgres_database: str) -> None:
    """In transactions of their own: to make it shuts others out for a moment, to check it shuts out nobody."""
    await populated.execute(NOTED)
    await migrate(postgres_database, USERS)
    noted = await populated.fetch("SELECT transaction, held FROM public.noted ORDER BY transaction")
    assert [row["held"] for row in noted] == [None, False, True]
    assert len({row["transaction"] for row in noted}) == 3


NO_KEY = f"ALTER TABLE semel.accounts DROP CONSTRAINT {ACCOUNT_FOLLOWS}"
NO_INDEX = "DROP INDEX semel.ix_semel_accounts_identity_id"
HALF_AN_INDEX = """
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'semel.ix_semel_accounts_identity_id'::regclass
"""
NO_VALUES = """
    ALTER TABLE semel.accounts DISABLE TRIGGER USER;
    UPDATE semel.accounts SET identity_id = NULL;
    ALTER TABLE semel.accounts ENABLE TRIGGER USER
"""
NOT_CHECKED = f"UPDATE pg_constraint SET convalidated = false WHERE conname = '{ACCOUNT_FOLLOWS}'"  # noqa: S608


@pytest.mark.parametrize("left", [[NO_KEY, NO_INDEX, NO_VALUES], [NO_KEY, HALF_AN_INDEX], [NO_KEY], [NOT_CHECKED]])
async def test_an_interrupted_run_is_taken_up_by_the_next(
    populated: Connection, postgres_database: str, left: list[str]
) -> None:
    """Wherever it was; an index that was begun is of no use, and made again."""
    await migrate(postgres_database, USERS)
    await populated.execute(";".join(left))
    await migrate(postgres_database, USERS)
    assert [await populated.fetchval(query) for query in (WHOLE, VALID)] == [True, True]
    assert await populated.fetchval("SELECT count(*) FROM semel.accounts WHERE identity_id::text = id") == 3


async def test_any_number_may_migrate_at_once(populated: Connection, postgres_database: str) -> None:
    """One does it, and the others find it done."""
    done = await asyncio.gather(*(migrate_server(parse_url(postgres_database), USERS) for _ in range(4)))
    assert done == [Migrated(REVISION, REVISION, USERS)] * 4
    assert [await populated.fetchval(query) for query in (WHOLE, VALID)] == [True, True]


async def test_who_is_at_it_already_is_not_waited_for_for_ever(populated: Connection, postgres_database: str) -> None:
    """It is said, and nothing is changed."""
    async with populated.transaction():
        await populated.execute("SELECT pg_advisory_xact_lock($1)", int.from_bytes(b"follow", "big"))
        with pytest.raises(StoreUnavailable, match="Another `semel migrate` is at work"):
            await migrate_server(parse_url(postgres_database), USERS, lock_seconds=0.2)
    assert await populated.fetchval(KEYS, ACCOUNT_FOLLOWS) is None


async def test_an_index_that_takes_too_long_through_a_pooler_is_told(
    populated: Connection, postgres_database: str
) -> None:
    """Nobody can lift the role's bound there; past the pooler the next run goes on."""
    with pgbouncer(postgres_database, bounds="SET statement_timeout = 3000") as through:
        async with connected(postgres_database) as reader, reader.transaction(isolation="repeatable_read"):
            await reader.fetchval("SELECT count(*) FROM auth.users")
            with pytest.raises(ConfigurationInvalid, match="a database URL that leads past it"):
                await migrate(through, USERS)
    await migrate(postgres_database, USERS)
    assert [await populated.fetchval(query) for query in (WHOLE, VALID)] == [True, True]


async def test_a_pooler_may_stand_between(database: Connection, pgbouncer_database: str) -> None:
    """As for all other steps."""
    await migrate(pgbouncer_database, USERS)
    assert await database.fetchval(KEYS, ACCOUNT_FOLLOWS)
