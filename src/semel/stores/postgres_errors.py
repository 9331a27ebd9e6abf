"""What the driver raises, as the errors of the port. This is the one place that knows SQLSTATEs.

The server reports an error of severity ERROR only for a statement that it has undone, so after one of those nothing was
changed. Everything else (a connection that broke, a time-out of ours, FATAL) leaves a commit in doubt.

The driver's own errors show values of rows, so they are neither quoted nor chained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from semel.errors import (
    ApplicationRefused,
    CommitUnknown,
    ConfigurationInvalid,
    StoreError,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)
from semel.stores.postgres_sql import REFUSED
from semel.stores.schema import ACCOUNT_FOLLOWS, constraint_names

__all__ = [
    "DRIVER_ERRORS",
    "UNDECLARED_POOLER",
    "commit_error",
    "is_lost",
    "is_passing",
    "is_retried",
    "read_error",
    "start_error",
]

DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that asyncpg raises; its time-outs are ``OSError``."""

_RETRIED: Final = frozenset({"40000", "40001", "40P01"})
"""Rolled back, failed serialization, deadlock: the statement does as well a moment later."""
_PASSING: Final = _RETRIED | {"53000", "53200", "53300", "53400", "55006", "55P03", "57014", "57P03"}
"""Also memory, connections and limits used up, objects in use, locks not had in time, cancelled, starting up."""
_UNKNOWN: Final = frozenset({"40003", "57P01", "57P02", "57P05"})
"""Completion unknown, and a connection that the server ended: shut down, crashed, idle for too long."""
_NO_SETTINGS: Final = "08P01"
"""What a pooler answers to a startup packet with settings that it cannot pass on."""
_MISCONFIGURED: Final = frozenset({"22023", "28000", "28P01", "3D000", "42704"})
"""An option's value, role or password refused, no such database, no such option."""
_BY_CONSTRAINT: Final = frozenset({"23503", "23505"})
"""A reference and a unique constraint, of which we have some."""
_OURS: Final = constraint_names()

UNDECLARED_POOLER: Final = (
    "A connection pooler stands before the database and takes no settings: "
    "add ?pooler=transaction to the database URL, and leave out options."
)


def is_lost(error: Exception) -> bool:
    """Tell whether it is not known what the server made of the statement."""
    if not isinstance(error, asyncpg.PostgresError):
        return not isinstance(error, asyncpg.DataError)
    state = error.sqlstate or ""
    return state.startswith("08") or state in _UNKNOWN or error.severity_en in {"FATAL", "PANIC"}


def is_retried(error: Exception) -> bool:
    """Tell whether the statement was undone only because of others that ran beside it."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _RETRIED and not is_lost(error)


def is_passing(error: Exception) -> bool:
    """Tell whether the server undid the statement for a reason that has nothing to do with what it says."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _PASSING and not is_lost(error)


def commit_error(error: Exception, order: Sequence[int]) -> StoreError | ApplicationRefused:
    """Return what a commit came to whose statement raised this; ``order`` has the positions of the writes by place."""
    if is_lost(error):
        return CommitUnknown("The database's answer to a commit was lost.")
    if isinstance(error, asyncpg.PostgresError):
        if error.sqlstate == REFUSED:
            return _refused(error.detail or "", order)
        if error.constraint_name in _OURS and error.sqlstate in _BY_CONSTRAINT:
            return WriteRefused(constraint=error.constraint_name)
        if error.constraint_name == ACCOUNT_FOLLOWS:
            # For good: an identity that was made and is not in its table was deleted since, or is in another database.
            return StoreRejected("The account's identity is not in the table that SEMEL_IDENTITY_TABLE names.")
    return read_error(error)


def _refused(places: str, order: Sequence[int]) -> WriteRefused | ApplicationRefused:
    ours = [order[place] for place in map(int, places.split(",")) if place < len(order)]
    if ours:
        return WriteRefused(tuple(sorted(ours)))
    # The places behind ours are those of the application's rows, which something in its table has swallowed.
    return ApplicationRefused("The application's table did not take the account's row.")


def read_error(error: Exception) -> StoreError:
    """Return the error of a query that changes nothing."""
    if is_lost(error):
        return StoreUnavailable("The database did not answer.")
    if is_passing(error):
        return StoreUnavailable(f"The database is busy or starting up ({_name(error)}).")
    return StoreRejected(f"The database refuses the statement ({_name(error)}); its log says why.")


def connect_error(error: Exception) -> StoreUnavailable:
    """Return the error of a connection that could not be made, for whatever reason."""
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnavailable("No host of the database takes writes.")
    return StoreUnavailable(f"The database cannot be reached ({_name(error)}).")


def start_error(error: Exception) -> StoreUnavailable | ConfigurationInvalid:
    """Return the error of the very first connection: what the settings can mend is said as such."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return ConfigurationInvalid("The database URL does not fit: its TLS files or hosts cannot be used together.")
    if _name(error) == _NO_SETTINGS:
        return ConfigurationInvalid(UNDECLARED_POOLER)
    if _name(error) in _MISCONFIGURED:
        return ConfigurationInvalid(
            f"The database refuses the URL's user, password, database or options ({_name(error)})."
        )
    return connect_error(error)


def _name(error: Exception) -> str:
    """Return the SQLSTATE, or the class of an error that is none of the server's: neither has a value in it."""
    return getattr(error, "sqlstate", None) or type(error).__name__
