"""A commit in several steps of one transaction, the application's callback among them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from semel.errors import ApplicationRefused, CommitUnknown, StoreRejected
from semel.model import Account
from semel.ports import ApplicationCallback
from semel.stores.postgres_errors import commit_error, is_passing
from semel.stores.postgres_pool import Session

__all__ = ["Steps"]


class Steps:
    """BEGIN, our writes as the one statement that they always are, the callback for each account, COMMIT."""

    def __init__(self, callback: ApplicationCallback, seconds: float) -> None:
        self._callback: Final = callback
        self._seconds: Final = seconds
        """For all steps together, so that a callback that never ends holds no lock for ever."""

    async def commit(self, session: Session, statement: tuple[str, list[object]], accounts: Sequence[Account]) -> None:
        """Do the statement and what the application adds for these accounts, or nothing.

        Raises ``ApplicationRefused`` where it is the application that refuses, ``CommitUnknown`` where it ended the
        transaction or lost the connection; else the driver's errors, which then concern our statement, or pass.
        """
        connection = session.connection
        async with asyncio.timeout(self._seconds):
            await connection.execute("BEGIN")
            try:
                await session.fetch(*statement, self._seconds)
                for account in accounts:
                    await self._call(connection, account)
                await _end(connection)
            except (asyncpg.PostgresError, ApplicationRefused):
                if not connection.is_closed() and connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
                raise

    async def _call(self, connection: asyncpg.Connection[Any], account: Account) -> None:
        try:
            answer = self._callback(connection, account)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            if connection.is_closed():
                raise CommitUnknown("The connection was lost in the application's callback.") from error
            if is_passing(error):
                raise
            raise _refused(error) from error


async def _end(connection: asyncpg.Connection[Any]) -> None:
    """Commit the open transaction, and find out whether that is what happened."""
    if not connection.is_in_transaction():
        raise CommitUnknown("The application's callback ended the transaction that it was called in.")
    try:
        answer = await connection.execute("COMMIT")
    except asyncpg.PostgresError as error:
        if isinstance(commit_error(error, ()), StoreRejected):
            raise _refused(error) from error
        raise
    if answer != "COMMIT":
        # A callback that caught the error of a statement: the server has already given the transaction up.
        raise ApplicationRefused("A statement of the application's callback failed.")


def _refused(error: Exception) -> ApplicationRefused:
    return ApplicationRefused(f"The application's row or callback refused the account: {type(error).__name__}.")
