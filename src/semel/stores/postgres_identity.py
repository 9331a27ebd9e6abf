"""The foreign key by which accounts follow the identities of a provider that lives in the same PostgreSQL database.

``ON DELETE NO ACTION``: whoever deletes an identity that an account stands on, past Semel, is refused by the database.
A cascade would take the account's row alone and leave its identifiers and records owned by nobody; setting null would
leave an account that nobody can sign in to. Semel's own order is the account first and the identity afterwards.

The account's id is text, as on every store, so a column made from it refers. A trigger makes it, not the column's own
rule, which would write the whole table anew while nobody may use it. The key is checked at once and not at the end:
our commit is one statement either way, and who deletes an identity elsewhere is told by the statement that did it.

Servers go on meanwhile, so each step is a transaction of its own that is short, or lets others read and write. A run
that was interrupted is taken up by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from semel.errors import ConfigurationInvalid, StoreUnavailable
from semel.model import Account
from semel.stores.postgres_connect import connect
from semel.stores.postgres_errors import DRIVER_ERRORS, start_error
from semel.stores.schema import ACCOUNT_FOLLOWS, quoted, table_name

if TYPE_CHECKING:  # it needs what only the extra brings
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from semel.stores.postgres_url import PostgresUrl

__all__ = ["NO_TABLE", "check_fits", "follow", "followed", "look", "not_followed"]

NO_TABLE: Final = "none"
"""In place of a table's name: accounts shall follow none."""

_COLUMN: Final = "identity_id"
_INDEX: Final = "ix_semel_accounts_identity_id"
_MAKES: Final = "identity_of_account"
"""The name of the trigger, and of its function."""
_COMMENT: Final = "The id, as the identity provider has it in its own table; made by the database."
_LOCK: Final = int.from_bytes(b"follow", "big")
"""The number of the advisory lock of those that do this, one for each database."""
_LOOK_SECONDS: Final = 0.1
_BATCH: Final = 1000
"""How many accounts are written, and so kept from others, at once."""
_UNFIT: Final = frozenset({"3F000", "42P01", "42703", "42804", "42830", "42809"})
"""No such schema, table or column; a column of another type, or not unique; no table at all."""
_FORBIDDEN: Final = "42501"
_VIOLATED: Final = frozenset({"22P02", "23503"})
"""An id that is no UUID, so none of the provider's, and one that the provider's table lacks."""


class Following(NamedTuple):
    """How far accounts follow a table."""

    table: str | None
    """The table that the foreign key refers to, as ``schema.table``."""
    whole: bool
    """Whether the key is known to hold for every account, and not for new ones alone."""
    column: bool
    indexed: bool | None
    """Whether the index is of use; ``None`` where there is none."""


def followed(schema: str) -> str:
    """Return the query for the table that all accounts follow, as ``schema.table``; no row where they follow none."""
    return f"SELECT held.followed FROM ({_key(schema)}) AS held WHERE held.whole"  # noqa: S608 - made of names of ours


async def look(connection: AsyncConnection, schema: str) -> Following:
    """Return how far accounts follow a table."""
    accounts, index = quoted(schema, table_name(Account, schema)), quoted(schema, _INDEX)
    column = (
        f"SELECT count(*) = 1 FROM pg_attribute WHERE attrelid = to_regclass('{accounts}') AND attname = '{_COLUMN}'"  # noqa: S608
    )
    valid = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{index}')"  # noqa: S608 - names of ours
    key = (await connection.execute(text(_key(schema)))).one_or_none()
    table, whole = key if key is not None else (None, False)
    rest = [(await connection.execute(text(query))).scalar() for query in (column, valid)]
    return Following(table, whole, bool(rest[0]), rest[1])


async def check_fits(connection: AsyncConnection, schema: str, table: str) -> None:
    """Raise ``ConfigurationInvalid`` unless the role may refer to the table: one that is undone at once tries it."""
    trial = f"CREATE TABLE {quoted(schema, 'identity_table_fits')} (id uuid REFERENCES {_target(table)} (id))"
    async with _told(schema, table):
        savepoint = await connection.begin_nested()
        await connection.execute(text(trial))
        await savepoint.rollback()


async def follow(engine: AsyncEngine, url: PostgresUrl, table: str, lock_seconds: float) -> None:
    """Let accounts follow this table, as ``schema.table``, or ``NO_TABLE``; what is done already is not done again.

    Raises ``ConfigurationInvalid`` where the table is unfit, the role may not refer to it, or it lacks the identity of
    an account: new accounts are held to it then, and the next run goes on. Raises as the driver does, besides.
    """
    steps = _Steps(engine, url, lock_seconds)
    async with _alone(engine, lock_seconds):
        async with steps.short() as connection:
            now = await look(connection, url.schema)
        if table == NO_TABLE:
            await steps.forget(now)
            return
        async with _told(url.schema, table):
            await steps.take(now, table)


@asynccontextmanager
async def _alone(engine: AsyncEngine, lock_seconds: float) -> AsyncIterator[None]:
    """Wait until no other run is at it, and keep others waiting.

    An index that is being made waits for the transactions of all who have a snapshot, and who waits for a lock has one:
    so it is asked for again and again, each time in another transaction.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + lock_seconds
    async with engine.connect() as gate:
        while True:
            async with gate.begin():
                if await _has_lock(gate):
                    yield
                    return
            if loop.time() >= until:
                raise StoreUnavailable("Another `semel migrate` is at work: wait for it, then run it again.")
            await asyncio.sleep(_LOOK_SECONDS)


async def _has_lock(gate: AsyncConnection) -> bool:
    got = (await gate.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK})).scalar()
    # Until the next statement the last query keeps its snapshot; this one has none.
    await gate.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    return bool(got)


def not_followed(found: str | None, table: str) -> ConfigurationInvalid:
    """Return what a server is told whose accounts follow another table than its settings say, or none."""
    follows = f"follow {found}" if found else "follow no table, or not all of them do"
    return ConfigurationInvalid(
        f"SEMEL_IDENTITY_TABLE is {table}, and the accounts {follows}: run `semel migrate`, then start again."
    )


class _Steps:
    """What is done one after the other, each for itself."""

    def __init__(self, engine: AsyncEngine, url: PostgresUrl, lock_seconds: float) -> None:
        self._engine = engine
        self._url = url
        self._lock_seconds = lock_seconds
        self._schema = url.schema
        self._accounts = quoted(url.schema, table_name(Account, url.schema))

    @asynccontextmanager
    async def short(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that gives up soon where others hold what it needs: whoever comes later waits with it."""
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = {self._lock_seconds * 1000:.0f}"))
            yield connection

    async def take(self, now: Following, table: str) -> None:
        """Do what is left to do of column, values, index and key."""
        if not now.column:
            await self._do(*self._column())
        if now.table != table or not now.whole:
            await self._fill()
        await self._make_index(now)
        if now.table != table:
            refers = f"FOREIGN KEY ({_COLUMN}) REFERENCES {_target(table)} (id) DEFERRABLE NOT VALID"
            drops = f"DROP CONSTRAINT {ACCOUNT_FOLLOWS}, " if now.table is not None else ""
            await self._do(f"ALTER TABLE {self._accounts} {drops}ADD CONSTRAINT {ACCOUNT_FOLLOWS} {refers}")
        if now.table != table or not now.whole:
            held = f"ALTER TABLE {self._accounts} VALIDATE CONSTRAINT {ACCOUNT_FOLLOWS}"
            await self._do("SET LOCAL statement_timeout = 0", held)

    async def forget(self, now: Following) -> None:
        """Take all of it away."""
        if now.column:
            await self._do(
                f"DROP TRIGGER IF EXISTS {_MAKES} ON {self._accounts}",
                f"ALTER TABLE {self._accounts} DROP COLUMN {_COLUMN}",  # takes key and index along
                f"DROP FUNCTION IF EXISTS {quoted(self._schema, _MAKES)}",
            )

    async def _do(self, *statements: str) -> None:
        async with self.short() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    def _column(self) -> tuple[str, ...]:
        makes = quoted(self._schema, _MAKES)
        when = f"BEFORE INSERT OR UPDATE OF id, {_COLUMN} ON {self._accounts}"
        does = f"BEGIN NEW.{_COLUMN} := NEW.id::uuid; RETURN NEW; END"
        return (
            f"ALTER TABLE {self._accounts} ADD COLUMN {_COLUMN} uuid",
            f"COMMENT ON COLUMN {self._accounts}.{_COLUMN} IS '{_COMMENT}'",
            f"CREATE OR REPLACE FUNCTION {makes}() RETURNS trigger LANGUAGE plpgsql AS '{does}'",
            f"CREATE TRIGGER {_MAKES} {when} FOR EACH ROW EXECUTE FUNCTION {makes}()",
        )

    async def _fill(self) -> None:
        """Make the values of accounts that are older than the column, some at once."""
        batch = f"SELECT id FROM {self._accounts} WHERE id > :after AND {_COLUMN} IS NULL ORDER BY id LIMIT {_BATCH}"  # noqa: S608
        fill = (
            f"WITH batch AS ({batch}), done AS (UPDATE {self._accounts} AS one SET {_COLUMN} = one.id::uuid "  # noqa: S608
            "FROM batch WHERE one.id = batch.id) SELECT max(id) FROM batch"
        )
        after: str | None = ""
        while after is not None:
            async with self.short() as connection:
                after = (await connection.execute(text(fill), {"after": after})).scalar()

    async def _make_index(self, now: Following) -> None:
        """Make the index beside others' work: no transaction can. One that an interrupted run left is of no use."""
        if now.indexed:
            return
        bounds = {} if self._url.pooled else {"statement_timeout": "0", "lock_timeout": "0"}
        try:
            connection = await connect(self._url, bounds)
        except DRIVER_ERRORS as error:
            raise start_error(error) from None
        try:
            if now.indexed is False:
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(self._schema, _INDEX)}")
            # Without it each deleted identity reads all accounts.
            await connection.execute(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_INDEX} ON {self._accounts} ({_COLUMN})"
            )
        except asyncpg.QueryCanceledError as error:
            if self._url.pooled:
                raise ConfigurationInvalid(_BOUNDED) from error
            raise
        finally:
            connection.terminate()


_BOUNDED: Final = (
    "The index for SEMEL_IDENTITY_TABLE takes longer than the role's statement_timeout, which nobody can lift through "
    "a pooler: run `semel migrate` once with a database URL that leads past it."
)


def _key(schema: str) -> str:
    return f"""
        SELECT place.nspname || '.' || target.relname AS followed, held.convalidated AS whole
        FROM pg_constraint AS held
        JOIN pg_class AS target ON target.oid = held.confrelid
        JOIN pg_namespace AS place ON place.oid = target.relnamespace
        JOIN pg_namespace AS ours ON ours.oid = held.connamespace
        WHERE held.conname = '{ACCOUNT_FOLLOWS}' AND ours.nspname = '{schema}'
    """  # noqa: S608 - a constant, and a name that the URL's rules let be nothing else


def _target(table: str) -> str:
    return quoted(*table.split("."))


@asynccontextmanager
async def _told(schema: str, table: str) -> AsyncIterator[None]:
    """Say what an operator can do about the table."""
    try:
        yield
    except DBAPIError as error:
        raise _refused(error, schema, table) from error


def _refused(error: DBAPIError, schema: str, table: str) -> Exception:
    state = getattr(error.orig and error.orig.__cause__, "sqlstate", None)
    if state in _VIOLATED:
        accounts = f"{schema}.{table_name(Account, schema)}"
        listed = f"SELECT id FROM {accounts} EXCEPT SELECT id::text FROM {table}"  # noqa: S608 - shown, not run
        return ConfigurationInvalid(
            f"There are accounts whose identity is not in {table}; they are as before. `{listed}` lists them: "
            "delete each through Semel, or give it its identity, then run `semel migrate` again."
        )
    if state == _FORBIDDEN:
        place = table.partition(".")[0]
        return ConfigurationInvalid(
            f"The database's role may not refer to {table}: GRANT USAGE ON SCHEMA {place} and REFERENCES ON {table} "
            "to it, and let it own Semel's tables."
        )
    if state in _UNFIT:
        return ConfigurationInvalid(
            f"{table} is no table with a unique column id of type uuid: see SEMEL_IDENTITY_TABLE"
        )
    return error
