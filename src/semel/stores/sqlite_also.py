"""The application's own row on SQLite: what runs in the writer's thread when a commit inserts an account."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from semel.errors import ApplicationRefused, ConfigurationInvalid
from semel.model import Account
from semel.ports import Also, ApplicationCallback, Row
from semel.stores.schema import quoted
from semel.stores.sqlite_file import is_environment

__all__ = ["SAVEPOINT", "Application", "application"]

SAVEPOINT: Final = "semel"
"""The savepoint that a commit of the group is taken back to."""

Application: TypeAlias = Callable[[Account, Sequence[object]], None]
"""Given the account and the values of its row; whatever it raises undoes the commit."""


def application(also: Also, connection: sqlite3.Connection, columns: Sequence[str]) -> Application:
    """Return what does ``also`` on this connection; ``columns`` are those of an account's row.

    Raises ``ConfigurationInvalid`` where a column asks for a field that accounts do not have, or where the callback is
    a coroutine function: the writer's thread has no event loop.
    """
    if isinstance(also, Row):
        write = _row(also, connection, columns)
    elif inspect.iscoroutinefunction(also) or inspect.iscoroutinefunction(type(also).__call__):
        raise ConfigurationInvalid("On SQLite the callback given as also= is a plain function, no coroutine function.")
    else:
        write = _callback(also, connection)

    def run(account: Account, values: Sequence[object]) -> None:
        try:
            write(account, values)
        except ApplicationRefused:
            raise
        except Exception as error:
            if is_environment(error):
                raise
            said = f"The application's row or callback refused the account: {type(error).__name__}."
            raise ApplicationRefused(said) from error

    return run


def _row(row: Row, connection: sqlite3.Connection, columns: Sequence[str]) -> Application:
    if unknown := sorted(set(row.columns.values()) - set(columns)):
        raise ConfigurationInvalid(f"also=Row(…) asks for {unknown[0]!r}, which is no field of an account.")
    table, names = quoted(*row.table.split(".")), ", ".join(map(quoted, row.columns))
    insert = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row.columns))})"  # noqa: S608
    places = [columns.index(field) for field in row.columns.values()]

    def write(_: Account, values: Sequence[object]) -> None:
        if connection.execute(insert, [values[place] for place in places]).rowcount != 1:
            raise ApplicationRefused("The application's table did not take the account's row.")

    return write


def _callback(callback: ApplicationCallback, connection: sqlite3.Connection) -> Application:
    """Return what calls it and meanwhile keeps it from ending the transaction, which is not its alone."""
    running = False

    def authorize(action: int, _: str | None, name: str | None, *__: str | None) -> int:
        ours = action == sqlite3.SQLITE_TRANSACTION
        # One of our name, set by the callback, would be the one that its failure is taken back to.
        ours |= action == sqlite3.SQLITE_SAVEPOINT and (name or "").lower() == SAVEPOINT
        return sqlite3.SQLITE_DENY if running and ours else sqlite3.SQLITE_OK

    def call(account: Account, _: Sequence[object]) -> None:
        nonlocal running
        running = True
        try:
            answer = callback(connection, account)
        finally:
            running = False
        if inspect.isawaitable(answer):
            _refuse_awaitable(answer)

    connection.set_authorizer(authorize)
    return call


def _refuse_awaitable(answer: object) -> None:
    if inspect.iscoroutine(answer):
        answer.close()  # else Python complains that nobody awaited it
    raise ApplicationRefused("The application's callback returned an awaitable: on SQLite it is a plain function.")
