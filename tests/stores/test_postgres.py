"""What the PostgreSQL store says to its server, and what it asks of it before it starts."""

import asyncio
import secrets
from datetime import UTC, timedelta
from typing import Any

import pytest

from semel.errors import ConfigurationInvalid, InvalidInput, StoreRejected, StoreUnavailable, WriteRefused
from semel.model import Account, Identifier, Identity, Record
from semel.ports import Delete, Insert, Ref, Replace, Row
from semel.stores.migrate import migrate
from semel.stores.postgres_sql import Statements
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import WHEN, identity, key, registration
from tests.docs.how_to import HowTo
from tests.proxy import Proxy
from tests.services import free_port, pgbouncer
from tests.stores.postgres_parts import connected, opened, sign_up, silent_host

IDS = SequentialIds("postgres")


async def test_a_commit_is_one_round_trip(any_url: str) -> None:
    """Also behind a pooler: once a connection has met a statement, nothing else is ever sent."""
    async with Proxy.before(any_url) as proxy, opened(proxy.through(any_url)) as store:
        await store.commit(sign_up(IDS), IDS.token())
        before = proxy.round_trips
        for turn in range(1, 4):
            await store.commit(sign_up(IDS), IDS.token())
            assert proxy.round_trips == before + turn


async def test_a_refusal_is_one_round_trip(any_url: str) -> None:
    """The connection stays as it was, and is used on."""
    async with Proxy.before(any_url) as proxy, opened(proxy.through(any_url)) as store:
        writes = sign_up(IDS)
        await store.commit(writes, IDS.token())
        before, connections = proxy.round_trips, proxy.connections
        for turn in range(1, 4):
            with pytest.raises(WriteRefused) as refused:
                await store.commit(writes, IDS.token())
            assert refused.value.positions == (0, 1, 2, 3)
            assert proxy.round_trips == before + turn
        assert proxy.connections == connections


async def test_any_number_and_mixture_is_read_in_one_round_trip(any_url: str) -> None:
    """Fifty records of several types, of which every second is there."""
    async with Proxy.before(any_url) as proxy, opened(proxy.through(any_url)) as store:
        records: list[Record] = [make(IDS) for _ in range(17) for make in (identity, key, registration)]
        await store.commit([Insert(record) for record in records[::2]], token := IDS.token())
        refs = [Ref(type(record), record.key) for record in records]
        await store.get_many(refs)
        before = proxy.round_trips
        found = await store.get_many(refs)
        assert proxy.round_trips == before + 1
        assert found[::2] == [record.but(version=token) for record in records[::2]]
        assert not any(found[1::2])


def test_a_statement_depends_on_verbs_and_types_alone() -> None:
    """Whatever the records say, so that few statements are ever prepared."""
    statements, full, empty = Statements("semel"), sign_up(IDS), sign_up(IDS, email=None, role=None, full_name=None)
    assert statements.commit(full, 1)[0] == statements.commit(empty, 2)[0]
    assert len(statements.commit(full, 1)[0]) < 2000, "the server's log shows it at each refusal"


async def test_several_statements_of_a_kind_name_the_refused_ones(postgres_url: str) -> None:
    """Positions are those that the caller gave, though the store writes in another order."""
    async with opened(postgres_url) as store:
        first, second, third = (identity(IDS) for _ in range(3))
        await store.commit([Insert(first), Insert(third)], token := IDS.token())
        stale, fresh = third.but(version=token + 1), first.but(version=token)
        with pytest.raises(WriteRefused) as refused:
            await store.commit([Replace(stale), Insert(second), Delete(fresh), Insert(key(IDS))], IDS.token())
        assert refused.value.positions == (0,)


async def test_what_has_waited_longest_is_due_first(postgres_url: str) -> None:
    """Whatever the order in which it was written: a limit leaves out the others."""
    async with opened(postgres_url) as store:
        waiting = [identity(IDS).but(due_at=WHEN + timedelta(hours=hours)) for hours in (3, 1, 5, 0, 4, 2)]
        await store.commit([Insert(one) for one in waiting], IDS.token())
        due = await store.due(Identity, WHEN + timedelta(days=1), 4)
    assert [one.due_at for one in due] == [WHEN + timedelta(hours=hours) for hours in range(4)]


async def test_nothing_to_do_is_done(postgres_url: str) -> None:
    """A commit without writes and a look without references ask nobody."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        before = proxy.round_trips
        await store.commit([], IDS.token())
        assert await store.get_many([]) == []
        assert proxy.round_trips == before


async def test_schemas_are_worlds_apart(postgres_url: str) -> None:
    """One database may hold several stores, each in the schema that its URL names."""
    other = f"{postgres_url}?schema=tenant_b"
    await migrate(other)
    async with opened(postgres_url) as store, opened(other) as neighbour:
        writes = sign_up(IDS)
        await store.commit(writes, IDS.token())
        await neighbour.commit(writes, IDS.token())
        await neighbour.commit([Insert(identity(IDS))], IDS.token())
        assert len((await store.page(Identity, None, 10)).records) == 1


async def test_the_time_is_the_servers(any_url: str) -> None:
    """In UTC, whatever zone the server thinks in."""
    async with connected(any_url) as connection:
        await connection.execute("SET timezone TO 'Asia/Kathmandu'")
        async with opened(any_url) as store:
            before = await connection.fetchval("SELECT clock_timestamp()")
            now = await store.ping()
            after = await connection.fetchval("SELECT clock_timestamp()")
    assert before < now < after
    assert now.utcoffset() == timedelta(0)


async def test_the_time_is_asked_of_our_own_tables(postgres_url: str) -> None:
    """A schema that is renamed away leaves a server that answers, and a store that does not."""
    async with opened(postgres_url) as store, connected(postgres_url) as owner:
        await owner.execute("ALTER SCHEMA semel RENAME TO semel_backup")
        with pytest.raises(StoreRejected):
            await store.ping()
        await owner.execute("ALTER SCHEMA semel_backup RENAME TO semel")
        await store.ping()


@pytest.mark.parametrize("schema", ["user", "select", "order"])
async def test_a_schema_may_be_called_as_a_word_of_sql_is(postgres_database: str, schema: str) -> None:
    """All statements quote it, those of the migrations too."""
    url = f"{postgres_database}?schema={schema}"
    await migrate(url)
    async with opened(url) as store:
        writes = sign_up(IDS)
        await store.commit(writes, IDS.token())
        with pytest.raises(WriteRefused):
            await store.commit(writes, IDS.token())


async def test_records_come_back_in_utc(any_url: str, postgres_url: str) -> None:
    """Whatever zone the role or the database has been given."""
    async with connected(postgres_url) as connection:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {database} SET timezone TO 'Asia/Kathmandu'")
    async with opened(any_url) as store:
        writes = sign_up(IDS)
        await store.commit(writes, IDS.token())
        found = await store.get(Account, writes[0].record.key)
    assert found is not None
    assert found.created_at.tzinfo is UTC


async def test_a_foreign_cursor_is_bad_input(postgres_url: str) -> None:
    """A cursor of another list, or of nobody, changes nothing and says what to do."""
    async with opened(postgres_url) as store:
        for cursor in ("x", "7", '["one"]', '["a","b","c"]'):
            with pytest.raises(InvalidInput, match="start without one"):
                await store.page(Identifier, cursor, 10)


async def test_few_rights_are_enough(postgres_url: str) -> None:
    """Those that the how-to grants, for a role that owns nothing; with one less the store refuses."""
    (grants,) = (block.code for block in HowTo.read("postgresql").blocks if "GRANT" in block.code)
    role, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    place = postgres_url.rpartition("@")[2]
    async with connected(postgres_url) as owner:
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        await owner.execute(grants.replace("app", role))
        try:
            async with opened(f"postgresql://{role}:{password}@{place}") as store:
                await store.commit(sign_up(IDS), IDS.token())
                await owner.execute(f"REVOKE INSERT ON semel.accounts FROM {role}")
                with pytest.raises(StoreRejected, match="42501"):
                    await store.commit(sign_up(IDS), IDS.token())
        finally:
            await owner.execute(f"DROP OWNED BY {role}")
            await owner.execute(f"DROP ROLE {role}")


async def test_the_bounds_of_the_role_are_enough_behind_a_pooler(postgres_url: str) -> None:
    """As the how-to sets them."""
    (bounds,) = (block.code for block in HowTo.read("postgresql").blocks if "ALTER ROLE" in block.code)
    async with connected(postgres_url) as owner:
        role = await owner.fetchval("SELECT current_user")
        try:
            await owner.execute(bounds.replace("app", role))
            with pgbouncer(postgres_url, bounds="SELECT 1") as through:
                async with opened(through) as store:
                    await store.ping()
        finally:
            await owner.execute(f"ALTER ROLE {role} RESET ALL")


async def test_closing_twice_is_closing(postgres_url: str) -> None:
    """Afterwards the store opens no connection any more."""
    async with opened(postgres_url) as store:
        await store.close()
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.ping()


async def test_the_start_asks_for_the_migration(postgres_database: str) -> None:
    """Without our tables, and with those of another revision."""
    with pytest.raises(ConfigurationInvalid, match="run `semel migrate`"):
        async with opened(postgres_database):
            pass
    await migrate(postgres_database)
    async with connected(postgres_database) as connection:
        await connection.execute("UPDATE semel.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationInvalid, match="start that release"):
        async with opened(postgres_database):
            pass


async def test_the_start_detects_a_pooler_that_the_url_does_not_mention(pgbouncer_url: str) -> None:
    """One clear line, and not an error of a prepared statement in the middle of the night."""
    with pytest.raises(ConfigurationInvalid, match=r"add \?pooler=transaction"):
        async with opened(pgbouncer_url.partition("?")[0]):
            pass


async def test_the_start_detects_a_pooler_that_swallows_settings(postgres_url: str) -> None:
    """Also where the pooler lets our settings pass, for show."""
    ignored = "statement_timeout, lock_timeout"
    with (
        pgbouncer(postgres_url, ignored=ignored) as through,
        pytest.raises(ConfigurationInvalid, match=r"add \?pooler=transaction"),
    ):
        async with opened(through.partition("?")[0]):
            pass


async def test_the_start_asks_for_a_bound_behind_a_pooler(postgres_url: str) -> None:
    """There the store cannot set one, and without it a commit could land at any time."""
    with (
        pgbouncer(postgres_url, bounds="SET statement_timeout = 0") as through,
        pytest.raises(ConfigurationInvalid, match="SET statement_timeout"),
    ):
        async with opened(through):
            pass


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"password": "correct horse"}, ConfigurationInvalid),
        ({"dbname": "nowhere"}, ConfigurationInvalid),
        ({"port": "1"}, StoreUnavailable),
        ({"sslmode": "require"}, StoreUnavailable),
    ],
)
async def test_the_start_says_what_the_server_does_not_take(
    postgres_url: str, change: dict[str, Any], error: type[Exception]
) -> None:
    """And never shows a password."""
    with pytest.raises(error) as raised:
        async with opened(postgres_url, **change):
            pass
    password = postgres_url.split(":")[2].partition("@")[0]
    assert "correct horse" not in str(raised.value)
    assert password not in str(raised.value)


async def test_the_first_host_that_takes_writes_is_used(postgres_url: str) -> None:
    """Of several, one that is down is passed over."""
    login, _, place = postgres_url.removeprefix("postgresql://").rpartition("@")
    async with opened(f"postgres://{login}@127.0.0.1:{free_port()},{place}") as store:
        await store.commit(sign_up(IDS), IDS.token())


async def test_a_host_that_says_nothing_is_passed_over(postgres_url: str) -> None:
    """Each has the time-out to itself; the one that is left must take writes all the same."""
    login, _, place = postgres_url.removeprefix("postgresql://").rpartition("@")
    with silent_host() as silent:
        url = f"postgresql://{login}@{silent},{place}"
        async with opened(url, connect_timeout=1) as store:
            await store.commit(sign_up(IDS), IDS.token())
        with pytest.raises(StoreUnavailable, match="takes writes"):
            async with opened(url, connect_timeout=1, options="-c default_transaction_read_only=on"):
                pass


async def test_the_only_host_is_not_waited_for_for_ever() -> None:
    """But for as long as the URL says."""
    with silent_host() as silent, pytest.raises(StoreUnavailable, match="TimeoutError"):
        async with asyncio.timeout(30), opened(f"postgresql://{silent}", connect_timeout=1):
            pass


@pytest.mark.parametrize(("given", "name"), [({}, "semel"), ({"application_name": "shop"}, "shop")])
async def test_the_server_is_told_who_asks(postgres_url: str, given: dict[str, Any], name: str) -> None:
    """For whoever looks at its activity."""
    async with opened(postgres_url, **given) as store, connected(postgres_url) as observer:
        await store.ping()
        others = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
        assert await observer.fetchval(others, observer.get_server_pid()) == name


async def test_a_row_is_part_of_the_same_round_trip(any_url: str, postgres_url: str) -> None:
    """The application's own row costs no second one."""
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE public.people (id text PRIMARY KEY)")
    row = Row("public.people", {"id": "id"})
    async with Proxy.before(any_url) as proxy, opened(proxy.through(any_url), also=row) as store:
        await store.commit(sign_up(IDS), IDS.token())
        before = proxy.round_trips
        await store.commit(sign_up(IDS), IDS.token())
        assert proxy.round_trips == before + 1
    async with connected(postgres_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM public.people") == 2
