"""The application's own row on SQLite: it comes and goes with the account."""

import inspect
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text, insert
from sqlalchemy.dialects import sqlite

from semel.errors import ApplicationRefused, ConfigurationInvalid, StoreRejected, WriteRefused
from semel.model import Account
from semel.ports import Also, Insert, Replace, Row
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import key
from tests.stores.postgres_parts import sign_up
from tests.stores.sqlite_parts import altered, missing, opened, together

IDS = SequentialIds("sqlite also")

PROFILES = """
    CREATE TABLE profiles (
        id text PRIMARY KEY REFERENCES semel_accounts DEFERRABLE INITIALLY DEFERRED,
        name text,
        email text UNIQUE,
        role text NOT NULL,
        onboarding_completed boolean NOT NULL DEFAULT false
    )
"""
"""The table of an application that signs people up."""

ROW = Row("main.profiles", {"id": "id", "name": "full_name", "email": "email_canonical", "role": "role"})


def plain_sql(connection: sqlite3.Connection, account: Account) -> None:
    """What an application writes that has no other library."""
    values = (account.id, account.full_name, account.email_canonical, account.role)
    connection.execute("INSERT INTO profiles (id, name, email, role) VALUES (?, ?, ?, ?)", values)


profiles = Table("profiles", MetaData(), *(Column(name, Text) for name in ("id", "name", "email", "role")))


def with_sqlalchemy(connection: sqlite3.Connection, account: Account) -> None:
    """What an application writes that has its tables declared."""
    values = {"id": account.id, "name": account.full_name, "email": account.email_canonical, "role": account.role}
    statement = insert(profiles).values(**values).compile(dialect=sqlite.dialect(paramstyle="named"))
    connection.execute(str(statement), statement.params)


@pytest.fixture
def path(sqlite_path: Path) -> Path:
    """A file with our tables and the application's."""
    with altered(sqlite_path) as connection:
        connection.execute(PROFILES)
    return sqlite_path


def rows(path: Path) -> list[tuple[object, ...]]:
    """Return the application's rows, as anybody sees them."""
    with altered(path) as connection:
        return connection.execute("SELECT id, name, email, role FROM profiles ORDER BY id").fetchall()


@pytest.mark.parametrize("also", [ROW, plain_sql, with_sqlalchemy], ids=["row", "plain SQL", "SQLAlchemy"])
async def test_the_row_is_there_with_the_account_or_not_at_all(also: Also, path: Path) -> None:
    """A refused commit leaves none; a done one leaves one; a change of the account writes none."""
    writes = sign_up(IDS, email_canonical="a@example.org")
    taken = Insert(key(IDS))
    async with opened(path, also) as store:
        await store.commit([taken], IDS.token())
        (refusal,) = await together(store, [*writes, taken])
        assert isinstance(refusal, WriteRefused)
        assert rows(path) == []
        assert await together(store, writes) == [None]
        account = await store.get(Account, writes[0].record.key)
        assert account is not None
        assert rows(path) == [(account.id, account.full_name, "a@example.org", "Creator")]
        assert await together(store, [Replace(account)]) == [None]
        assert len(rows(path)) == 1


@pytest.mark.parametrize("also", [ROW, plain_sql], ids=["row", "callback"])
async def test_what_the_applications_table_refuses_fails_one_commit(also: Also, path: Path) -> None:
    """Its own constraint, which knows nothing of ours: nothing is left of the account, and its neighbours stay."""
    with altered(path) as connection:
        connection.execute("CREATE UNIQUE INDEX one_founder ON profiles (role) WHERE role = 'Founder'")
    founders = [sign_up(IDS, role="Founder"), sign_up(IDS, role="Founder")]
    neighbour = sign_up(IDS)
    async with opened(path, also) as store:
        first, refused, beside = await together(store, *founders, neighbour)
        assert (first, beside) == (None, None)
        assert isinstance(refused, ApplicationRefused)
        assert await missing(store, founders[1]) == [write.record for write in founders[1]]
        assert not await missing(store, founders[0], neighbour)
    assert len(rows(path)) == 2


async def test_a_row_that_the_table_swallows_is_a_refusal(path: Path) -> None:
    """A trigger that ignores the insert would leave an account without its row."""
    with altered(path) as connection:
        connection.execute("CREATE TRIGGER swallow BEFORE INSERT ON profiles BEGIN SELECT raise(IGNORE); END")
    async with opened(path, ROW) as store:
        writes = sign_up(IDS)
        (refused,) = await together(store, writes)
        assert isinstance(refused, ApplicationRefused)
        assert len(await missing(store, writes)) == len(writes)


async def test_a_reference_of_the_applications_own_is_its_refusal(path: Path) -> None:
    """One that is checked only when the transaction ends, beside neighbours that stay."""
    with altered(path) as connection:
        connection.execute("CREATE TABLE teams (id text PRIMARY KEY)")
        connection.execute(
            "CREATE TABLE members (id text, team text REFERENCES teams DEFERRABLE INITIALLY DEFERRED)",
        )
        connection.execute("INSERT INTO teams VALUES ('Creator')")
    good, bad = sign_up(IDS), sign_up(IDS, role="Nobody")
    async with opened(path, Row("members", {"id": "id", "team": "role"})) as store:
        refused, done = await together(store, bad, good)
        assert isinstance(refused, ApplicationRefused)
        assert done is None
        assert len(await missing(store, good, bad)) == len(bad)


async def test_names_are_quoted(path: Path) -> None:
    """Whatever an application has called its table and columns."""
    with altered(path) as connection:
        connection.execute('CREATE TABLE "the ""odd"" order" ("select" text, "full name" text)')
    async with opened(path, Row('the "odd" order', {"select": "id", "full name": "full_name"})) as store:
        assert await together(store, sign_up(IDS, full_name="'); DROP TABLE profiles; --")) == [None]
    with altered(path) as connection:
        ((name,),) = connection.execute('SELECT "full name" FROM "the ""odd"" order"')
    assert name == "'); DROP TABLE profiles; --"


async def test_a_callback_is_given_the_account_as_it_is_stored(path: Path) -> None:
    """Its version is the commit's."""
    given: list[Account] = []
    async with opened(path, lambda _, account: given.append(account)) as store:
        writes = sign_up(IDS)
        assert await together(store, writes) == [None]
        assert given == [await store.get(Account, writes[0].record.key)]


def commits(connection: sqlite3.Connection) -> None:
    connection.commit()


def rolls_back(connection: sqlite3.Connection) -> None:
    connection.rollback()


def commits_by_statement(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")


def commits_by_context(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("INSERT INTO profiles (id, role) VALUES ('x', 'y')")


def commits_by_script(connection: sqlite3.Connection) -> None:
    connection.executescript("SELECT 1")


def begins_our_savepoint(connection: sqlite3.Connection) -> None:
    connection.execute("SAVEPOINT semel")
    raise LookupError


def goes_back_to_our_savepoint(connection: sqlite3.Connection) -> None:
    connection.execute("ROLLBACK TO Semel")


def releases_our_savepoint(connection: sqlite3.Connection) -> None:
    connection.execute('RELEASE "semel"')


def raises(_: sqlite3.Connection) -> None:
    message = "no more people"
    raise LookupError(message)


@pytest.mark.parametrize(
    "harm",
    [
        commits,
        rolls_back,
        commits_by_statement,
        commits_by_context,
        commits_by_script,
        begins_our_savepoint,
        goes_back_to_our_savepoint,
        releases_our_savepoint,
        raises,
    ],
)
async def test_a_callback_harms_no_neighbour(harm: Callable[[sqlite3.Connection], None], path: Path) -> None:
    """It can neither end the transaction of the group nor leave anything behind when it fails."""

    def also(connection: sqlite3.Connection, account: Account) -> None:
        plain_sql(connection, account)
        if account.role == "Harmful":
            harm(connection)

    good, bad = [sign_up(IDS), sign_up(IDS)], sign_up(IDS, role="Harmful")
    async with opened(path, also) as store:
        # The driver keeps the store's own statements from now on, and asks for no permission for those.
        assert await together(store, sign_up(IDS)) == [None]
        first, refused, second = await together(store, good[0], bad, good[1])
        assert (first, second) == (None, None)
        assert isinstance(refused, ApplicationRefused)
        assert len(await missing(store, *good, bad)) == len(bad)
        assert store.groups == 2
    assert [row[3] for row in rows(path)] == ["Creator"] * 3


async def test_a_callback_has_savepoints_of_its_own(path: Path) -> None:
    """What it takes back is not there, the account is."""

    def also(connection: sqlite3.Connection, account: Account) -> None:
        plain_sql(connection, account)
        connection.execute("SAVEPOINT mine")
        connection.execute("DELETE FROM profiles")
        connection.execute("ROLLBACK TO mine")

    async with opened(path, also) as store:
        assert await together(store, sign_up(IDS), sign_up(IDS)) == [None, None]
    assert len(rows(path)) == 2


async def test_what_a_callback_returns_is_nobodys_concern(path: Path) -> None:
    """As on PostgreSQL: a function may be of use for something else as well."""

    def also(connection: sqlite3.Connection, account: Account) -> Any:  # noqa: ANN401 - whatever it likes
        plain_sql(connection, account)
        return connection.total_changes

    async with opened(path, also) as store:
        assert await together(store, sign_up(IDS)) == [None]


async def test_trouble_with_the_file_is_not_the_applications_refusal(path: Path) -> None:
    """A refusal would fail the registration for good."""

    def also(connection: sqlite3.Connection, account: Account) -> None:
        connection.execute("PRAGMA query_only = ON")
        plain_sql(connection, account)

    async with opened(path, also) as store:
        (outcome,) = await together(store, sign_up(IDS))
        assert isinstance(outcome, StoreRejected)


async def coroutine_function(connection: sqlite3.Connection, account: Account) -> None:
    """What the writer's thread cannot wait for."""


class Asynchronous:
    """The same as an object."""

    async def __call__(self, connection: sqlite3.Connection, account: Account) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("also", "named"),
    [
        (coroutine_function, "plain function"),
        (Asynchronous(), "plain function"),
        (Row("profiles", {"id": "password"}), "password"),
    ],
)
async def test_what_cannot_work_stops_the_start(also: Also, named: str, path: Path) -> None:
    """A coroutine function, or a field that accounts do not have, is named at once."""
    with pytest.raises(ConfigurationInvalid, match=named):
        async with opened(path, also):
            pass


async def test_a_function_that_hides_a_coroutine_is_refused(path: Path) -> None:
    """What it returns would never run; the refusal says why."""
    made: list[Any] = []

    def also(connection: sqlite3.Connection, account: Account) -> Any:  # noqa: ANN401 - a coroutine
        made.append(coroutine_function(connection, account))
        return made[-1]

    async with opened(path, also) as store:
        (refused,) = await together(store, sign_up(IDS))
    assert isinstance(refused, ApplicationRefused)
    assert "awaitable" in refused.detail
    assert [inspect.getcoroutinestate(each) for each in made] == [inspect.CORO_CLOSED]
