"""The foreign key by which accounts follow the identities of a provider that lives in the same PostgreSQL database.

``ON DELETE NO ACTION``: whoever deletes an identity that an account stands on, past Semel, is refused by the database.
A cascade would take the account's row alone and leave its identifiers and records owned by nobody; setting null would
leave an account that nobody can sign in to. Semel's own order is the account first and the identity afterwards.

The account's id is text, as on every store, so a column made from it refers. The key is checked at once and not at
the end: our commit is one statement either way, and who deletes an identity elsewhere is told by the statement that
did it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from semel.errors import ConfigurationInvalid
from semel.model import Account
from semel.stores.schema import ACCOUNT_FOLLOWS, quoted, table_name

if TYPE_CHECKING:  # it needs what only the extra brings
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["follow", "followed", "not_followed"]

_COLUMN: Final = "identity_id"
_INDEX: Final = "ix_semel_accounts_identity_id"
_COMMENT: Final = "The id, as the identity provider has it in its own table; made by the database."
_UNFIT: Final = frozenset({"3F000", "42P01", "42703", "42804", "42830", "42809"})
"""No such schema, table or column; a column of another type, or not unique; no table at all."""
_FORBIDDEN: Final = "42501"
_VIOLATED: Final = frozenset({"22P02", "23503"})
"""An id that is no UUID, so none of the provider's, and one that the provider's table lacks."""


def followed(schema: str) -> str:
    """Return the query for the table that accounts follow, as ``schema.table``; no row where they follow none."""
    return f"""
        SELECT place.nspname || '.' || target.relname FROM pg_constraint AS held
        JOIN pg_class AS target ON target.oid = held.confrelid
        JOIN pg_namespace AS place ON place.oid = target.relnamespace
        JOIN pg_namespace AS ours ON ours.oid = held.connamespace
        WHERE held.conname = '{ACCOUNT_FOLLOWS}' AND ours.nspname = '{schema}'
    """  # noqa: S608 - a constant, and a name that the URL's rules let be nothing else


async def follow(connection: AsyncConnection, schema: str, table: str | None) -> None:
    """Let accounts follow this table, as ``schema.table``, or none; where they do already, nothing is written.

    Raises ``ConfigurationInvalid`` where the table is unfit, the role may not refer to it, or it lacks the identity of
    an account; the caller's transaction is of no use then.
    """
    now = (await connection.execute(text(followed(schema)))).scalar()
    if now == table:
        return
    accounts = quoted(schema, table_name(Account, schema))
    if now is not None:
        await connection.execute(text(f"ALTER TABLE {accounts} DROP COLUMN {_COLUMN}"))  # takes key and index along
    if table is None:
        return
    try:
        for statement in _added(accounts, quoted(*table.split("."))):
            await connection.execute(text(statement))
    except DBAPIError as error:
        raise _refused(error, schema, table) from error


def not_followed(found: str | None, table: str) -> ConfigurationInvalid:
    """Return what a server is told whose accounts follow another table than its settings say, or none."""
    follows = f"follow {found}" if found else "follow no table"
    return ConfigurationInvalid(
        f"SEMEL_IDENTITY_TABLE is {table}, and the accounts {follows}: run `semel migrate`, then start again."
    )


def _added(accounts: str, target: str) -> tuple[str, ...]:
    column = f"ADD COLUMN {_COLUMN} uuid GENERATED ALWAYS AS (id::uuid) STORED"
    refers = f"FOREIGN KEY ({_COLUMN}) REFERENCES {target} (id) ON DELETE NO ACTION DEFERRABLE INITIALLY IMMEDIATE"
    return (
        f"ALTER TABLE {accounts} {column}, ADD CONSTRAINT {ACCOUNT_FOLLOWS} {refers}",
        f"CREATE INDEX {_INDEX} ON {accounts} ({_COLUMN})",  # else each deleted identity reads all accounts
        f"COMMENT ON COLUMN {accounts}.{_COLUMN} IS '{_COMMENT}'",
    )


def _refused(error: DBAPIError, schema: str, table: str) -> Exception:
    state = getattr(error.orig and error.orig.__cause__, "sqlstate", None)
    if state in _VIOLATED:
        accounts = f"{schema}.{table_name(Account, schema)}"
        listed = f"SELECT id FROM {accounts} EXCEPT SELECT id::text FROM {table}"  # noqa: S608 - shown, not run
        return ConfigurationInvalid(
            f"There are accounts whose identity is not in {table}; nothing was changed. `{listed}` lists them: "
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
