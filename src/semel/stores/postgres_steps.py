"""A commit in several steps of one transaction, the application's callback among them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Final

import asyncpg

from semel.errors import ApplicationRefused, CommitUnknown, StoreRejected, StoreUnavailable
from semel.model import Account
from semel.ports import ApplicationCallback
from semel.stores.postgres_connect import Connection
from semel.stores.postgres_errors import DRIVER_ERRORS, commit_error, is_passing
from semel.stores.postgres_pool import Session

__all__ = ["Steps"]

_LEAVE: Final = (
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; "
    "SELECT pg_advisory_unlock_all()"
)
"""Takes back what a callback may have left in the session for whoever uses it next. Not what it prepared by name: that
would take ours as well."""
_CHECK: Final = "SET CONSTRAINTS ALL IMMEDIATE"
"""Refuses what COMMIT would, while the callback's settings hold and the transaction can be rolled back."""


class Steps:
    """BEGIN, our writes as the one statement that they always are, the callback for each account, COMMIT."""

    def __init__(self, callback: ApplicationCallback, seconds: float, *, pooled: bool) -> None:
        self._callback: Final = callback
        self._seconds: Final = seconds
        """For all steps before the last, so that a callback that never ends holds no lock for ever."""
        # The session is the pooler's, and so are the settings that it began with.
        # All comes before the COMMIT, so that an error of any part says that nothing was committed.
        self._commit: Final = f"{_CHECK}; COMMIT" if pooled else f"{_CHECK}; {_LEAVE}; COMMIT"
        self._rollback: Final = "ROLLBACK" if pooled else f"ROLLBACK; {_LEAVE}"

    async def commit(self, session: Session, statement: tuple[str, list[object]], accounts: Sequence[Account]) -> None:
        """Do the statement and what the application adds for these accounts, or nothing.

        Raises ``ApplicationRefused`` where it is the application that refuses, ``StoreUnavailable`` where it takes too
        long, ``CommitUnknown`` where it ended the transaction or lost the connection; else the driver's errors, which
        then concern our statement, or pass.
        """
        connection = session.connection
        try:
            await self._before_commit(session, statement, accounts)
            await self._end(connection)
        except (asyncpg.PostgresError, ApplicationRefused, CommitUnknown):
            await self._give_up(connection)
            raise

    async def _before_commit(
        self, session: Session, statement: tuple[str, list[object]], accounts: Sequence[Account]
    ) -> None:
        connection = session.connection
        try:
            async with asyncio.timeout(self._seconds):
                # The driver's own transaction, so that one of the callback's is a savepoint in it.
                await connection.transaction().start()
                await session.fetch(*statement, self._seconds)
                for account in accounts:
                    await self._call(connection, account)
        except TimeoutError:
            ended = not connection.is_closed() and not connection.is_in_transaction()
            connection.terminate()
            if ended:
                raise _ended_by_callback() from None
            # COMMIT was never sent, so this is no lost answer, which would be asked for again and again.
            raise StoreUnavailable("The commit with the application's callback took too long.") from None

    async def _call(self, connection: Connection, account: Account) -> None:
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

    async def _end(self, connection: Connection) -> None:
        """Commit the open transaction, and find out whether that is what happened."""
        if not connection.is_in_transaction():
            raise _ended_by_callback()
        try:
            async with asyncio.timeout(self._seconds):
                await connection.end(self._commit)
        except asyncpg.InFailedSQLTransactionError as error:
            # A callback that caught the error of a statement: the server has already given the transaction up.
            raise ApplicationRefused("A statement of the application's callback failed.") from error
        except asyncpg.PostgresError as error:
            if isinstance(commit_error(error, ()), StoreRejected):
                raise _refused(error) from error
            raise

    async def _give_up(self, connection: Connection) -> None:
        """Roll back; where there is nothing to roll back, or no answer, let the connection go."""
        try:
            if connection.is_in_transaction():
                async with asyncio.timeout(self._seconds):
                    await connection.end(self._rollback)
                return
        except DRIVER_ERRORS:
            pass
        connection.terminate()


def _ended_by_callback() -> CommitUnknown:
    return CommitUnknown("The application's callback ended the transaction that it was called in.")


def _refused(error: Exception) -> ApplicationRefused:
    return ApplicationRefused(f"The application's row or callback refused the account: {type(error).__name__}.")
