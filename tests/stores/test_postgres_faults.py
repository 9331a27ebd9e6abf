"""What the PostgreSQL store says when something breaks: never that a commit failed which then happens."""

import asyncio
import traceback

import pytest

from semel.errors import (
    CommitUnknown,
    ConfigurationInvalid,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)
from semel.model import Account, KeyRecord
from semel.ports import Insert, Replace
from semel.stores.postgres_connect import connect
from semel.stores.postgres_pool import Pool, Session
from semel.stores.postgres_url import parse_url
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import identity, key
from tests.proxy import Proxy
from tests.services import pgbouncer
from tests.stores.postgres_parts import blocked, connected, finished, opened, sign_up, table_locked

IDS = SequentialIds("faults")


async def test_a_lost_answer_is_unknown_and_the_commit_there(postgres_url: str) -> None:
    """The connection breaks after the server has answered."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        await store.commit([Insert(key(IDS))], IDS.token())
        record, token = key(IDS), IDS.token()
        proxy.cut_before_answer()
        with pytest.raises(CommitUnknown):
            await store.commit([Insert(record)], token)
        assert await store.get(KeyRecord, record.key) == record.but(version=token)


async def test_a_lost_request_is_unknown_as_well(postgres_url: str) -> None:
    """From here it cannot be told from the other."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        await store.commit([Insert(key(IDS))], IDS.token())
        record = key(IDS)
        proxy.cut_before_request()
        with pytest.raises(CommitUnknown):
            await store.commit([Insert(record)], IDS.token())
        assert await store.get(KeyRecord, record.key) is None


async def test_a_blocked_commit_lands_after_its_caller_was_told_unknown(postgres_url: str) -> None:
    """It waits for a lock when the connection breaks, and goes on when there is nobody left to hear of it."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        record, token = key(IDS), IDS.token()
        await store.commit([Insert(key(IDS))], IDS.token())
        async with table_locked(postgres_url) as rival:
            proxy.cut_after_request()
            with pytest.raises(CommitUnknown):
                await store.commit([Insert(record)], token)
            process = await blocked(rival)
            assert await store.get(KeyRecord, record.key) is None
        async with connected(postgres_url) as observer:
            await finished(observer, process)
        assert await store.get(KeyRecord, record.key) == record.but(version=token)
        with pytest.raises(WriteRefused):
            await store.commit([Insert(record)], IDS.token())


async def test_a_commit_whose_server_process_is_shut_down_is_unknown(postgres_url: str) -> None:
    """As when an administrator restarts the database; the store goes on with another connection."""
    async with opened(postgres_url) as store:
        async with table_locked(postgres_url) as rival:
            commit = asyncio.ensure_future(store.commit([Insert(key(IDS))], IDS.token()))
            await rival.execute("SELECT pg_terminate_backend($1)", await blocked(rival))
            with pytest.raises(CommitUnknown):
                await commit
        await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_commit_that_waits_for_a_lock_too_long_is_undone(postgres_url: str) -> None:
    """The server says so itself, hence nothing is in doubt."""
    record = key(IDS)
    async with opened(postgres_url, lock_timeout=50) as store:
        async with table_locked(postgres_url):
            with pytest.raises(StoreUnavailable, match="55P03"):
                await store.commit([Insert(record)], IDS.token())
        assert await store.get(KeyRecord, record.key) is None
        await store.commit([Insert(record)], IDS.token())


async def test_a_statement_that_takes_too_long_is_undone(postgres_url: str) -> None:
    """By the bound of the session, or by that of the pooler's own connections."""
    with pgbouncer(postgres_url, bounds="SET statement_timeout = 100") as through:
        for url in (f"{postgres_url}?statement_timeout=100", through):
            async with opened(url) as store:
                async with table_locked(postgres_url):
                    with pytest.raises(StoreUnavailable, match="57014"):
                        await store.commit([Insert(key(IDS))], IDS.token())
                await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_silent_connection_is_not_waited_for_for_ever(postgres_url: str) -> None:
    """Beyond the server's own bound an answer is lost. The connection is given up, and another one serves."""
    async with (
        Proxy.before(postgres_url) as proxy,
        opened(proxy.through(postgres_url), statement_timeout=50, pool_size=1) as store,
    ):
        await store.ping()
        proxy.silence()
        with pytest.raises(CommitUnknown):
            await store.commit([Insert(key(IDS))], IDS.token())
        await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_reading_is_tried_once_more_on_a_new_connection(postgres_url: str) -> None:
    """One that breaks is nobody's concern; two in a row are."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        for cut in (proxy.cut_before_request, proxy.cut_before_answer):
            cut()
            await store.ping()
        proxy.cut_before_answer()
        proxy.cut_before_answer()
        with pytest.raises(StoreUnavailable):
            await store.ping()


async def test_a_reading_does_not_stumble_over_one_dead_connection_after_the_other(postgres_url: str) -> None:
    """All that were idle have died unnoticed: the second try opens a new one."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        await asyncio.gather(*(store.ping() for _ in range(3)))
        proxy.wear_out()
        await store.ping()


async def test_a_server_that_is_down_is_unavailable_until_it_is_back(postgres_url: str) -> None:
    """Nothing is sent meanwhile, so nothing is in doubt."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        await proxy.down()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.ping()
            with pytest.raises(StoreUnavailable):
                await store.commit([Insert(key(IDS))], IDS.token())
        await proxy.up()
        await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_caller_that_goes_away_leaves_no_connection_behind(postgres_url: str) -> None:
    """Of a pool of one, whose statement is still under way."""
    async with opened(postgres_url, pool_size=1) as store:
        async with table_locked(postgres_url) as rival:
            commit = asyncio.ensure_future(store.commit([Insert(key(IDS))], IDS.token()))
            await blocked(rival)
            commit.cancel()
            with pytest.raises(asyncio.CancelledError):
                await commit
            await store.ping()
        await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_commit_under_way_outlives_the_store_and_its_connection_does_not(postgres_url: str) -> None:
    """Closing waits for nobody; what is lent is closed when it comes back."""
    record, token = key(IDS), IDS.token()
    async with opened(postgres_url, application_name="closing") as store, opened(postgres_url) as another:
        async with table_locked(postgres_url) as rival:
            commit = asyncio.ensure_future(store.commit([Insert(record)], token))
            await blocked(rival)
            await store.close()
        await commit
        assert await another.get(KeyRecord, record.key) == record.but(version=token)
        async with connected(postgres_url) as observer:
            while await observer.fetchval("SELECT 1 FROM pg_stat_activity WHERE application_name = 'closing'"):
                continue


async def test_a_request_waits_for_a_connection_but_not_for_ever(postgres_url: str) -> None:
    """Then it fails, where it would only pile up; the next one that finds room is served."""
    pool = Pool(lambda: connect(parse_url(postgres_url)), 1, wait_seconds=0.05)

    async def ask(session: Session) -> object:
        return await session.fetch("SELECT 1", (), 5)

    async def keep(_: Session) -> None:
        with pytest.raises(StoreUnavailable, match="in use") as refused:
            await pool.run(ask)
        assert refused.value.retry_after

    await pool.run(keep)
    assert await pool.run(ask)
    await pool.close()


@pytest.mark.parametrize(("idle", "trusted"), [(50, True), (61, False)])
async def test_a_connection_that_was_idle_for_long_is_not_trusted(
    postgres_url: str,
    idle: float,
    trusted: bool,  # noqa: FBT001
) -> None:
    """Something on the way may have forgotten it without a word: another is opened in its place."""
    pool = Pool(lambda: connect(parse_url(postgres_url)), 1, wait_seconds=5)

    async def itself(session: Session) -> Session:
        return session

    first = await pool.run(itself)
    first.idle_since -= idle
    assert (await pool.run(itself) is first) is trusted
    assert first.connection.is_closed() is not trusted
    await pool.close()


async def test_a_deadlock_is_nobodys_concern(postgres_url: str) -> None:
    """With somebody else, who locks our rows in another order: the store's side is undone, and tried again."""
    async with opened(postgres_url, options="-c deadlock_timeout=20ms") as store, connected(postgres_url) as rival:
        first, second = sorted((key(IDS), key(IDS)), key=lambda record: record.key)
        await store.commit([Insert(first), Insert(second)], token := IDS.token())
        lock = "SELECT 1 FROM semel.keys WHERE id = $1 FOR UPDATE"
        async with rival.transaction():
            await rival.execute(lock, second.id)
            writes = [Replace(record.but(version=token)) for record in (first, second)]
            commit = asyncio.ensure_future(store.commit(writes, IDS.token()))
            await blocked(rival)
            await rival.execute(lock, first.id)
        await commit


async def test_serialization_failures_are_nobodys_concern(postgres_url: str) -> None:
    """Where the database is set to an isolation that has them: of all that replace one version, one wins."""
    async with opened(postgres_url, options="-c default_transaction_isolation=serializable") as store:
        record = identity(IDS)
        await store.commit([Insert(record)], token := IDS.token())
        writes = [Replace(record.but(version=token))]
        commits = (store.commit(writes, IDS.token()) for _ in range(20))
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + 19 * ["WriteRefused"]


async def test_a_table_that_is_gone_is_refused_and_works_when_it_is_back(any_url: str, postgres_url: str) -> None:
    """The test by renaming: nothing is changed meanwhile."""
    async with opened(any_url) as store, connected(postgres_url) as connection:
        writes = sign_up(IDS)
        await store.commit(sign_up(IDS), IDS.token())
        await connection.execute("ALTER TABLE semel.accounts RENAME TO accounts_backup")
        with pytest.raises(StoreRejected, match="42P01"):
            await store.commit(writes, IDS.token())
        await connection.execute("ALTER TABLE semel.accounts_backup RENAME TO accounts")
        refs = [write.record for write in writes]
        assert [await store.get(type(record), record.key) for record in refs] == [None] * 4
        await store.commit(writes, IDS.token())


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("53100", StoreRejected),
        ("25006", StoreRejected),
        ("P0001", StoreRejected),
        ("23505", StoreRejected),
        ("53200", StoreUnavailable),
        ("40001", StoreUnavailable),
    ],
)
async def test_whatever_undoes_the_statement_changes_nothing(
    postgres_url: str, state: str, error: type[Exception]
) -> None:
    """A full disk, a database set to read only, somebody's trigger or constraint, a failure that never ends."""
    async with opened(postgres_url) as store, connected(postgres_url) as connection:
        await connection.execute(f"""
            CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION USING ERRCODE = '{state}', DETAIL = NEW.credential; END $$;
            CREATE TRIGGER fail AFTER INSERT ON semel.identities FOR EACH ROW EXECUTE FUNCTION public.fail();
        """)
        writes = sign_up(IDS)
        with pytest.raises(error, match=state) as raised:
            await store.commit(writes, IDS.token())
        shown = "".join(traceback.format_exception(raised.value))
        assert "argon2id" not in shown, "an error of the driver shows the values of a row"
        assert await store.get(Account, writes[0].record.key) is None


async def test_a_database_set_to_read_only_is_refused(postgres_url: str) -> None:
    """As managed databases are when their disk is full."""
    async with opened(postgres_url, options="-c default_transaction_read_only=on", target_session_attrs="any") as store:
        with pytest.raises(StoreRejected, match="25006"):
            await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_standby_is_not_written_to(postgres_url: str) -> None:
    """A server that takes no writes is passed over, by default."""
    with pytest.raises((StoreUnavailable, ConfigurationInvalid)):
        async with opened(postgres_url, options="-c default_transaction_read_only=on"):
            pass


async def test_a_statement_is_prepared_anew_on_each_connection(postgres_url: str) -> None:
    """What the last connection had prepared is gone with it."""
    async with Proxy.before(postgres_url) as proxy, opened(proxy.through(postgres_url)) as store:
        for _ in range(2):
            await store.commit(sign_up(IDS), IDS.token())
            await proxy.down()
            await proxy.up()
