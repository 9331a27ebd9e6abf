"""The SQLite store beyond the contract: its groups, its faults, its end."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from semel.errors import (
    CommitUnknown,
    InvalidInput,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)
from semel.model import Account, Identifier, Identity, KeyRecord, SessionFamily
from semel.ports import Delete, Insert, Replace, Write
from semel.stores.schema import ACCOUNT_IDENTITY, IDENTIFIER_ACCOUNT, SESSION_ACCOUNT
from semel.stores.sqlite import SqliteStore, open_sqlite
from semel.stores.sqlite_file import Place, connect
from semel.stores.sqlite_worker import Worker
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import WHEN, filled, identifier, identity, key, registration
from tests.stores.postgres_parts import sign_up
from tests.stores.sqlite_parts import altered, files_in, files_open, missing, opened, together

IDS = SequentialIds("sqlite")


@pytest.fixture
def path(sqlite_path: Path) -> Path:
    return sqlite_path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(path) as store:
        yield store


async def test_commits_asked_for_at_once_share_one_wait_for_the_disk(store: SqliteStore) -> None:
    """Fifty sign-ups of one pass of the loop are one COMMIT."""
    commits = [sign_up(IDS) for _ in range(50)]
    assert await together(store, *commits) == [None] * 50
    assert store.groups == 1
    assert not await missing(store, *commits)


async def test_commits_that_arrive_while_the_disk_is_waited_for_are_the_next_group(store: SqliteStore) -> None:
    """Many passes of the loop, few groups: never one each."""
    commits = [sign_up(IDS) for _ in range(200)]
    tasks = []
    for writes in commits:
        tasks.append(asyncio.create_task(store.commit(writes, IDS.token())))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert store.groups < len(commits) / 2
    assert not await missing(store, *commits)


async def test_a_refused_commit_harms_no_neighbour(store: SqliteStore) -> None:
    """It goes back to where it began, the others stay, in one group."""
    standing = key(IDS)
    await store.commit([Insert(standing)], IDS.token())
    good = [sign_up(IDS), sign_up(IDS)]
    refused: list[Write] = [Insert(new := key(IDS)), Insert(standing)]
    first, refusal, second = await together(store, good[0], refused, good[1])
    assert (first, second) == (None, None)
    assert isinstance(refusal, WriteRefused)
    assert refusal.positions == (1,)
    assert store.groups == 2
    assert not await missing(store, *good)
    assert await store.get(KeyRecord, new.key) is None


async def test_a_taken_email_names_the_accounts_write(store: SqliteStore) -> None:
    """The unique column refuses as the primary key does, whether the account is new or changed."""
    first, second = (sign_up(IDS, email_canonical=f"{name}@example.org") for name in "ab")
    assert await together(store, first, second) == [None, None]
    changed = await store.get(Account, second[0].record.key)
    assert changed is not None
    stolen = Replace(changed.but(email_canonical="a@example.org"))
    commits: list[tuple[list[Write], int]] = [
        (sign_up(IDS, email_canonical="a@example.org"), 0),
        ([Insert(key(IDS)), stolen], 1),
    ]
    for writes, position in commits:
        (refusal,) = await together(store, writes)
        assert isinstance(refusal, WriteRefused)
        assert refusal.positions == (position,)


def of_an_account_without_identity(_: Sequence[Write]) -> list[Write]:
    return [write for write in sign_up(IDS) if not isinstance(write.record, Identity)]


def of_an_identifier_of_nobody(_: Sequence[Write]) -> list[Write]:
    return [Insert(identifier(IDS).but(account_id=IDS.uuid()))]


def of_a_session_of_nobody(_: Sequence[Write]) -> list[Write]:
    return [Insert(filled(SessionFamily, IDS))]


def of_an_identity_taken_from_its_account(standing: Sequence[Write]) -> list[Write]:
    return [Delete(write.record) for write in standing if isinstance(write.record, Identity)]


def of_an_account_taken_from_its_identifier(standing: Sequence[Write]) -> list[Write]:
    return [Delete(write.record) for write in standing if isinstance(write.record, Account)]


@pytest.mark.parametrize(
    ("broken", "constraint"),
    [
        (of_an_account_without_identity, ACCOUNT_IDENTITY),
        (of_an_identifier_of_nobody, IDENTIFIER_ACCOUNT),
        (of_a_session_of_nobody, SESSION_ACCOUNT),
        (of_an_identity_taken_from_its_account, ACCOUNT_IDENTITY),
        (of_an_account_taken_from_its_identifier, IDENTIFIER_ACCOUNT),
    ],
)
async def test_a_broken_reference(
    broken: Callable[[Sequence[Write]], list[Write]], constraint: str, store: SqliteStore
) -> None:
    """It is noticed when the group is committed, named, and the neighbours stay."""
    token = IDS.token()
    standing = sign_up(IDS)
    await store.commit(standing, token)
    stored = [Insert(write.record.but(version=token)) for write in standing]
    good = [sign_up(IDS), sign_up(IDS)]
    first, refusal, second = await together(store, good[0], broken(stored), good[1])
    assert (first, second) == (None, None)
    assert isinstance(refusal, WriteRefused)
    assert (refusal.positions, refusal.constraint) == ((), constraint)
    assert not await missing(store, standing, *good)


async def test_a_refusal_that_rested_on_an_undone_neighbour_is_taken_back(store: SqliteStore) -> None:
    """The first insert of the key goes with its broken reference; the second, refused beside it, is done after all."""
    wanted = Insert(key(IDS))
    undone, done = await together(store, [wanted, *of_a_session_of_nobody(())], [wanted])
    assert isinstance(undone, WriteRefused)
    assert done is None
    assert not await missing(store, [wanted])


async def test_a_full_disk_refuses_what_does_not_fit_and_no_more(path: Path) -> None:
    """Nothing of the large commit is there; the small ones are; with room again the large one is done."""
    writer, reader = connect(path), connect(path)
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 40}")
    store = SqliteStore(Place(path), writer, reader, None)
    large: list[Write] = [Insert(key(IDS)), Insert(registration(IDS).but(fingerprint="x" * 1_000_000))]
    small = [sign_up(IDS), sign_up(IDS)]
    first, full, second = await together(store, small[0], large, small[1])
    assert (first, second) == (None, None)
    assert isinstance(full, StoreRejected)
    assert len(await missing(store, *small, large)) == len(large)
    await store.close()
    async with opened(path) as roomy:
        assert await together(roomy, large) == [None]


async def test_a_locked_file_is_unavailable_and_readable_meanwhile(path: Path) -> None:
    """Another process writes for longer than one waits; nothing was changed, and it works once that has ended."""
    writes = sign_up(IDS)
    async with opened(path, busy_seconds=0.01) as store:
        with altered(path) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = await together(store, writes, sign_up(IDS))
            assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
            assert len(await missing(store, writes)) == len(writes)
        assert await together(store, writes) == [None]


async def test_a_lock_that_ends_in_time_is_waited_for(path: Path) -> None:
    """The commit neither fails nor holds up the event loop, which lets the lock go."""
    writes = sign_up(IDS)
    async with opened(path, busy_seconds=60) as store:
        with altered(path) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(store.commit(writes, IDS.token()))
            assert len(await missing(store, writes)) == len(writes)
            assert not waiting.done()
        await waiting
        assert not await missing(store, writes)


def _lost(path: Path, how: str) -> Callable[[], object]:
    """Take the file away, or put another in its place; return what undoes it."""
    aside = path.rename(path.with_suffix(".aside"))
    if how == "replaced":
        path.write_bytes(b"")
    return lambda: aside.replace(path)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_file_that_is_gone_takes_nothing_more(store: SqliteStore, path: Path, how: str) -> None:
    """What would be acknowledged into a file without a name is refused; once the file is back, all goes on."""
    standing = key(IDS)
    await store.commit([Insert(standing)], IDS.token())
    put_back = _lost(path, how)
    for asked in (store.commit([Insert(key(IDS))], IDS.token()), store.get(KeyRecord, standing.key), store.ping()):
        with pytest.raises(StoreUnavailable):
            await asked
    put_back()
    assert await store.get(KeyRecord, standing.key) is not None
    await store.commit([Insert(key(IDS))], IDS.token())


async def test_a_missing_table_is_a_fault_of_its_commits_alone(store: SqliteStore, path: Path) -> None:
    """Renamed and back: nothing is left at rest, then the same commit is done."""
    writes, other = sign_up(IDS), [Insert(key(IDS))]
    with altered(path) as connection:
        connection.execute("ALTER TABLE semel_accounts RENAME TO hidden")
        refused, done = await together(store, writes, other)
        assert isinstance(refused, StoreRejected)
        assert done is None
        with pytest.raises(StoreRejected):
            await store.get(Account, writes[0].record.key)
        assert len(await missing(store, writes[1:])) == len(writes) - 1
        connection.execute("ALTER TABLE hidden RENAME TO semel_accounts")
    assert await together(store, writes) == [None]


async def test_a_file_that_may_not_be_written_refuses_for_good(path: Path) -> None:
    """A missing right is no passing trouble."""
    writer, reader = connect(path), connect(path)
    writer.execute("PRAGMA query_only = ON")
    store = SqliteStore(Place(path), writer, reader, None)
    (outcome,) = await together(store, sign_up(IDS))
    assert isinstance(outcome, StoreRejected)
    await store.close()


async def test_a_value_that_no_column_holds_is_a_fault_of_its_commit_alone(store: SqliteStore) -> None:
    """Half of a surrogate pair, in text or within a structure; neighbours stay, and it can be asked for."""
    good = sign_up(IDS)
    text, structure = sign_up(IDS, full_name="\ud800"), sign_up(IDS, roles=("\ud800",))
    bad_text, bad_structure, done = await together(store, text, structure, good)
    assert isinstance(bad_text, StoreRejected)
    assert isinstance(bad_structure, StoreRejected)
    assert done is None
    assert len(await missing(store, good, text, structure)) == len(text) + len(structure)
    with pytest.raises(StoreRejected):
        await store.get(KeyRecord, ("\ud800",))


IO_ERROR = """
import asyncio, resource, signal, sys
from pathlib import Path
from semel.errors import CommitUnknown, StoreUnavailable
from semel.ports import Insert
from semel.stores.sqlite import open_sqlite
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import key

async def main(url):
    ids, store = SequentialIds(), await open_sqlite(url)
    standing, new = Insert(key(ids)), Insert(key(ids))
    await store.commit([standing], 1)
    written = Path(url.removeprefix("sqlite:///") + "-wal").stat().st_size
    _, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, unlimited))
    met = await asyncio.gather(store.commit([new], 2), store.commit([standing], 3), return_exceptions=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    await store.commit([new], 4)
    await store.close()
    print(*(type(each).__name__ for each in met))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main(sys.argv[1]))
"""


def test_an_io_error_at_the_commit_leaves_it_unknown(path: Path) -> None:
    """A real one, from a limit on the size of files. What was refused beside it did nothing; later all works again."""
    assert run(IO_ERROR, f"sqlite:///{path}") == f"{CommitUnknown.__name__} {StoreUnavailable.__name__}"


def run(program: str, *arguments: str) -> str:
    """Run a program in a process of its own, and return what it said."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


NEVER_CLOSED = """
import asyncio, sys
from semel.stores.sqlite import open_sqlite
print(type(asyncio.run(open_sqlite(sys.argv[1]))).__name__)
"""


def test_a_program_that_never_closes_its_store_ends(path: Path) -> None:
    """The threads do not keep it."""
    assert run(NEVER_CLOSED, f"sqlite:///{path}") == SqliteStore.__name__


SIGNS_UP_FOR_EVER = """
import asyncio, sys
from semel.stores.sqlite import open_sqlite
from semel.testing.clock import SequentialIds
from tests.stores.postgres_parts import sign_up

async def main(url):
    ids, store = SequentialIds(), await open_sqlite(url)
    async def task():
        while True:
            writes = sign_up(ids)
            await store.commit(writes, ids.token())
            print(writes[0].record.id, flush=True)
    await asyncio.gather(*(task() for _ in range(16)))

asyncio.run(main(sys.argv[1]))
"""


def test_a_killed_process_leaves_every_commit_whole(path: Path) -> None:
    """What it was told is done is there, of what it was not told all or nothing."""
    command = [sys.executable, "-c", SIGNS_UP_FOR_EVER, f"sqlite:///{path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(300)]
        process.kill()
        told += process.stdout.read().split()[:-1]  # the last line may be cut
    with altered(path) as connection:
        tables = ("accounts", "identities", "identifiers", "registrations")
        counts = {connection.execute(f"SELECT count(*) FROM semel_{table}").fetchone() for table in tables}  # noqa: S608
        ids = {row[0] for row in connection.execute("SELECT id FROM semel_accounts")}
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert len(counts) == 1
    assert set(told) <= ids


async def test_closing_leaves_no_thread_and_no_file(path: Path) -> None:
    """What was asked for before is done; closing again changes nothing; what comes after is refused."""
    store = await open_sqlite(f"sqlite:///{path}")
    asked = asyncio.create_task(store.commit(writes := sign_up(IDS), IDS.token()))
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    await asked
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("semel-sqlite")]
    assert files_in(path.parent) == {path.name}
    assert not files_open(path.parent)
    with pytest.raises(StoreUnavailable):
        await store.get(Account, writes[0].record.key)
    with pytest.raises(StoreUnavailable):
        await store.commit(writes, IDS.token())


async def test_an_error_nobody_foresaw_reaches_its_callers_and_the_thread_lives_on() -> None:
    """An error of the program is seen where it is waited for, and does not hang whoever comes next."""
    ended = threading.Event()
    worker: Worker[int] = Worker("w", lambda batch: [1 // piece.job for piece in batch].clear(), ended.set)
    with pytest.raises(ZeroDivisionError):
        await worker.do(0)
    assert await worker.do(1) is None
    await worker.close()
    assert ended.is_set()


async def test_the_readers_connection_writes_nothing(path: Path) -> None:
    """Whatever it may come to be asked."""
    async with opened(path) as store:
        with pytest.raises(StoreRejected, match="READONLY"):
            await store._ask(lambda connection: connection.execute("DELETE FROM semel_keys"))  # noqa: SLF001 - the port asks for no write


async def test_what_has_waited_longest_is_due_first(store: SqliteStore, path: Path) -> None:
    """Whatever the order in which it was written, and without the index that happens to have that order as well."""
    with altered(path) as other:
        other.execute("DROP INDEX ix_semel_identities_due_at")
    waiting = [identity(IDS).but(due_at=WHEN + timedelta(hours=hours)) for hours in (3, 1, 5, 0, 4, 2)]
    await store.commit([Insert(one) for one in waiting], IDS.token())
    due = await store.due(Identity, WHEN + timedelta(days=1), 4)
    assert [one.due_at for one in due] == [WHEN + timedelta(hours=hours) for hours in range(4)]


async def test_the_time_is_the_files_and_asks_the_file(store: SqliteStore, path: Path) -> None:
    """It lies between two looks at this machine's clock, to the millisecond; without the tables there is none."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= await store.ping() <= datetime.now(UTC)
    with altered(path) as other:
        other.execute("DROP TABLE semel_alembic_version")
    with pytest.raises(StoreRejected):
        await store.ping()


@pytest.mark.parametrize("cursor", ["", "x", "[1]", '["a"]', "{}", '["a","b","c"]'])
async def test_a_cursor_that_no_page_gave_is_refused(cursor: str, store: SqliteStore) -> None:
    """By name and with a remedy."""
    with pytest.raises(InvalidInput) as refused:
        await store.page(Identifier, cursor, 1)
    assert [error.field for error in refused.value.errors] == ["cursor"]


def test_what_is_acknowledged_survives_a_power_cut(path: Path) -> None:
    """Every connection waits for the disk at each commit, checks references, and the file has a write-ahead log."""
    with altered(path) as connection:
        settings = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in SETTINGS}
    assert settings == SETTINGS


SETTINGS = {"synchronous": 2, "foreign_keys": 1, "journal_mode": "wal"}
