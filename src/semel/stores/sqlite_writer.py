"""The one writer of a SQLite file: group commit, with a savepoint for each commit of the group.

Many commits share one ``COMMIT`` and so one wait for the disk. None harms another: one that is refused goes back to
its savepoint, and where the group fails as a whole, each is tried by itself. Nobody hears anything before the outcome
of the group is known: until then even a refusal rests on writes that may not stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from semel.errors import ApplicationRefused, CommitUnknown, StoreUnavailable, WriteRefused
from semel.model import Account
from semel.ports import Write
from semel.stores.sqlite_also import SAVEPOINT, Application
from semel.stores.sqlite_file import Place, as_store_error, translated
from semel.stores.sqlite_sql import broken_reference
from semel.stores.sqlite_worker import Piece

__all__ = ["Commit", "GroupWriter"]

# The driver keeps statements by their text, and a kept one needs no permission: in a wording of their own, these are
# told apart from a callback's.
_BEGIN: Final = "BEGIN IMMEDIATE -- group"
_COMMIT: Final = "COMMIT -- group"
_ROLLBACK: Final = "ROLLBACK -- group"
_SAVEPOINT: Final = f"SAVEPOINT {SAVEPOINT} -- group"
_RELEASE: Final = f"RELEASE {SAVEPOINT} -- group"
_ROLLBACK_TO: Final = f"ROLLBACK TO {SAVEPOINT} -- group"

_TAKEN: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE})


class Commit(NamedTuple):
    """What one caller wants done, whole or not at all."""

    writes: Sequence[Write]
    statements: Sequence[tuple[int, str, Sequence[object]]]
    """In the order in which they are done: the write's position, the text, the parameters."""
    inserted: Sequence[tuple[Account, Sequence[object]]]
    """The accounts among them that are new, as records and as rows."""


class GroupWriter:
    """Does commits on one connection, many at a time, for a ``Worker``."""

    def __init__(self, place: Place, connection: sqlite3.Connection, application: Application | None) -> None:
        self._place: Final = place
        self._connection: Final = connection
        self._execute: Final = connection.cursor().execute
        self._application: Final = application
        self.groups = 0
        """How many groups were committed."""

    def work(self, group: Sequence[Piece[Commit]]) -> None:
        """Do the commits, and leave its error with each that failed."""
        try:
            self._place.check()
            self._execute(_BEGIN)
        except (StoreUnavailable, sqlite3.Error) as error:
            for piece in group:
                piece.error = translated(error)
            return
        try:
            for piece in group:
                self._do(piece)
            self._commit(group)
        except sqlite3.Error as error:
            self._undo(group, error)

    def _do(self, piece: Piece[Commit]) -> None:
        """Do one commit, or go back to where it began. Raises ``sqlite3.Error`` where the group is undone."""
        self._execute(_SAVEPOINT)
        try:
            self._write(piece.job)
        except Exception as error:  # noqa: BLE001 - a callback raises what it likes; the piece carries it to its caller
            piece.error = translated(error)
            self._execute(_ROLLBACK_TO)
        self._execute(_RELEASE)

    def _write(self, commit: Commit) -> None:
        refused = [position for position, sql, values in commit.statements if not self._wrote(sql, values)]
        if refused:
            raise WriteRefused(tuple(sorted(refused)))
        if self._application is not None:
            for account, row in commit.inserted:
                self._application(account, row)

    def _wrote(self, sql: str, values: Sequence[object]) -> bool:
        try:
            return self._execute(sql, values).rowcount == 1
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in _TAKEN:
                return False
            raise

    def _commit(self, group: Sequence[Piece[Commit]]) -> None:
        """Commit the group. Raises ``sqlite3.Error`` where it is not committed and never will be."""
        try:
            self._execute(_COMMIT)
        except sqlite3.Error as error:
            unknown = as_store_error(error, committing=True)
            if not isinstance(unknown, CommitUnknown):
                raise
            for piece in group:
                # What was refused did nothing, but perhaps because of a neighbour that did nothing either.
                piece.error = StoreUnavailable(unknown.detail) if piece.error else unknown
            self._roll_back()
        else:
            self.groups += 1

    def _undo(self, group: Sequence[Piece[Commit]], error: sqlite3.Error) -> None:
        """Roll the group back and do each of its commits by itself; one that was by itself has failed."""
        if len(group) == 1:
            group[0].error = group[0].error or self._reason(group[0].job, error)
        self._roll_back()
        if len(group) > 1:
            for piece in group:
                piece.error = None
                self.work([piece])

    def _reason(self, commit: Commit, error: sqlite3.Error) -> Exception:
        """Return what the commit met when it was committed by itself and undone."""
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return translated(error)
        if (name := broken_reference(self._connection, commit.writes)) is not None:
            return WriteRefused(constraint=name)
        if self._application is not None and commit.inserted:
            return ApplicationRefused("A reference between the application's own rows is broken.")
        return translated(error)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._execute(_ROLLBACK)
