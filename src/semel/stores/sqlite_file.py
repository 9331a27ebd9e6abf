"""A SQLite file: its URL, its connections, and what its errors mean."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Final
from urllib.parse import unquote, urlsplit

from semel.errors import CommitUnknown, ConfigurationInvalid, StoreError, StoreRejected, StoreUnavailable
from semel.stores.schema import version_table

__all__ = [
    "BUSY_SECONDS",
    "Place",
    "as_store_error",
    "connect",
    "database_path",
    "is_environment",
    "opening",
    "require_version",
    "stored_revision",
    "translated",
    "use_wal",
]

BUSY_SECONDS: Final = 5.0
"""How long to wait for another process that has the file locked."""

_A_FILE: Final = (
    "A SQLite database is a file: give sqlite:///relative/path.db or sqlite:////absolute/path.db, and no more."
)
_MISPLACED: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY})
"""What another place or other rights would mend, where a file is being opened."""
_STRICT_TABLES: Final = (3, 37, 0)
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""What may be over a moment later, or once the file has been mended."""
_LASTING: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})
"""What somebody has to make room or give rights for."""
_SWITCHES: Final = 400
_SWITCH_PAUSE: Final = 0.025
"""In seconds; so many such pauses are more than a switch by another process takes."""


def database_path(url: str) -> Path:
    """Return the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises ``ConfigurationInvalid`` for anything else, a database in memory included: a second process, or the next
    start, would find another one.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationInvalid(_A_FILE) from None
    path = unquote(parts.path).removeprefix("/")
    # With fewer slashes an absolute path would be taken for one from here.
    slashes = re.match("sqlite:///", url, re.IGNORECASE)
    if slashes is None or parts.netloc or parts.query or parts.fragment or path in {"", ":memory:"} or "\0" in path:
        raise ConfigurationInvalid(_A_FILE)
    return Path(path)


def require_version(found: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise ``ConfigurationInvalid`` where Python's SQLite is older than the strict tables that we make."""
    if found < _STRICT_TABLES:
        raise ConfigurationInvalid(
            f"Python's SQLite is {'.'.join(map(str, found))}: install one of 3.37 or newer, or use PostgreSQL."
        )


class Place:
    """Where an open file is. An open file lives on when its name is gone: what is then acknowledged would be lost."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path.absolute()
        self._opened: Final = _file_at(self._path)

    def check(self) -> None:
        """Raise ``StoreUnavailable`` where the name no longer leads to the file that was opened."""
        try:
            same = _file_at(self._path) == self._opened
        except OSError:
            same = False
        if not same:
            raise StoreUnavailable(
                "The SQLite file was moved, deleted or replaced while it was open: put it back, or start again."
            )


def _file_at(path: Path) -> tuple[int, int]:
    """Return what tells one file from all others, also from one of the same name."""
    found = os.stat(path)  # noqa: PTH116 - Path.stat costs three times as much, and this is on every commit's way
    return found.st_dev, found.st_ino


def connect(path: Path, *, create: bool = False, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file; transactions are the caller's own. What is acknowledged survives a power cut.

    A connection may be passed from thread to thread. Raises ``sqlite3.Error`` or ``OSError`` (see ``opening``), or
    ``ConfigurationInvalid`` where SQLite itself is too old.
    """
    require_version()
    if create:
        _make(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What a savepoint keeps aside would go to a temporary file: it costs a third of the speed.
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make the file if it is not there. It holds password hashes and signing keys: nobody else's to read."""
    # One that is there is left alone: closing it here would take SQLite's own locks away, all through this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


@contextlib.contextmanager
def opening() -> Iterator[None]:
    """Turn what is raised while a file is opened into ``ConfigurationInvalid``, or what ``as_store_error`` returns."""
    try:
        yield
    except OSError as error:
        raise _misplaced(errno.errorcode.get(error.errno or 0, type(error).__name__)) from error
    except sqlite3.Error as error:
        if _code(error) in _MISPLACED:
            raise _misplaced(error.sqlite_errorname) from error
        raise as_store_error(error) from error


def _misplaced(name: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        f"The SQLite file cannot be opened ({name}): "
        "name a file, in a directory, both of which this user may read and write."
    )


def use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, for good. Raises ``ConfigurationInvalid`` where it cannot have one."""
    if _journal_mode(connection) != "wal":
        raise ConfigurationInvalid(
            "The SQLite file is on a file system without shared memory: move it to a local disk."
        )


def _journal_mode(connection: sqlite3.Connection) -> str:
    """Ask for a write-ahead log. SQLite does not wait for its lock here, so several that switch at once must."""
    for _ in range(_SWITCHES):
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
        sleep(_SWITCH_PAUSE)
    return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])


def stored_revision(connection: sqlite3.Connection) -> str | None:
    """Return the revision of our tables, ``None`` where there are none."""
    table = version_table(None)
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone() is None:
        return None
    row: tuple[str] | None = connection.execute(f"SELECT version_num FROM {table}").fetchone()  # noqa: S608 - a constant
    return row and row[0]


def is_environment(error: Exception) -> bool:
    """Tell whether it says something of the file or the machine, and nothing of the statement."""
    return _code(error) in _PASSING | _LASTING


def as_store_error(error: Exception, *, committing: bool = False) -> StoreError:
    """Return what an error of the driver means; ``committing`` says that ``COMMIT`` raised it.

    A full disk is noticed before the commit is written whole, so nothing was changed; an input or output error may come
    after it, and the commit lands when the file is next recovered.
    """
    code, name = _code(error), getattr(error, "sqlite_errorname", type(error).__name__)
    if committing and code == sqlite3.SQLITE_IOERR:
        return CommitUnknown(f"SQLite failed while it committed ({name}).")
    if code in _PASSING:
        return StoreUnavailable(f"The SQLite file cannot be used at the moment ({name}).")
    return StoreRejected(f"SQLite refuses this for good ({name}).")


def translated(error: Exception) -> Exception:
    """Return what a caller of the store meets instead of an error that the driver may raise outside ``COMMIT``."""
    if not isinstance(error, sqlite3.Error | UnicodeError | OverflowError):
        return error
    met = as_store_error(error)
    met.__cause__ = error
    return met


def _code(error: Exception) -> int:
    """Return SQLite's primary result code."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
