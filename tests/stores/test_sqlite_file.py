"""SQLite files: where one may be, what is refused, and how it is opened."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from semel.errors import ConfigurationInvalid, StoreUnavailable
from semel.stores.migrate import migrate
from semel.stores.sqlite import open_sqlite
from semel.stores.sqlite_file import database_path, require_version
from tests.stores.sqlite_parts import altered, files_in, files_open


@pytest.fixture
def path(sqlite_path: Path) -> Path:
    return sqlite_path


@pytest.mark.parametrize("stored", [None, "0000", "9999"])
async def test_another_revision_stops_the_start(stored: str | None, path: Path) -> None:
    """By one clear line, and nothing stays open."""
    with altered(path) as connection:
        connection.execute("DELETE FROM semel_alembic_version")
        if stored is not None:
            connection.execute("INSERT INTO semel_alembic_version VALUES (?)", (stored,))
    with pytest.raises(ConfigurationInvalid, match="semel migrate"):
        await open_sqlite(f"sqlite:///{path}")
    assert not files_open(path.parent)


async def test_a_file_that_was_never_migrated_stops_the_start(tmp_path: Path) -> None:
    """Whether it is missing, which does not make it, or another program's."""
    with pytest.raises(ConfigurationInvalid, match="semel migrate"):
        await open_sqlite(f"sqlite:///{tmp_path}/none.db")
    assert not files_in(tmp_path)
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(ConfigurationInvalid, match="semel migrate"):
        await open_sqlite(f"sqlite:///{tmp_path}/other.db")


def _a_directory(tmp_path: Path) -> Path:
    return tmp_path


def _under_a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file" / "semel.db"


def _too_long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300)


@pytest.mark.parametrize("work", [migrate, open_sqlite])
@pytest.mark.parametrize("place", [_a_directory, _under_a_file, _too_long])
async def test_a_place_for_no_file_stops_the_start(
    place: Callable[[Path], Path], work: Callable[[str], Awaitable[object]], tmp_path: Path
) -> None:
    """By one line, and what stands there is left alone."""
    with pytest.raises(ConfigurationInvalid):
        await work(f"sqlite:///{place(tmp_path)}")
    assert files_in(tmp_path) <= {"file"}


WITHOUT_RIGHTS = """
import asyncio, os, sys, tempfile
from pathlib import Path
from semel.errors import ConfigurationInvalid
from semel.stores.migrate import migrate
from semel.stores.sqlite import open_sqlite

with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    (directory / "semel.db").write_bytes(Path(sys.argv[1]).read_bytes())
    (directory / "semel.db").chmod(0o444)
    if os.geteuid() == 0:  # to whom rights mean nothing
        os.setegid(65534)
        os.seteuid(65534)
        directory_mode = lambda mode: (os.seteuid(0), directory.chmod(mode), os.seteuid(65534))
    else:
        directory_mode = directory.chmod
    for mode in (0o555, 0):
        directory_mode(mode)
        for work, file in ((migrate, "new.db"), (open_sqlite, "semel.db")):
            try:
                asyncio.run(work(f"sqlite:///{directory}/{file}"))
            except ConfigurationInvalid as error:
                print(error.detail.partition("(")[2].partition(")")[0])
    directory_mode(0o700)
    if os.getuid() == 0:
        os.seteuid(0)
"""


def test_a_place_without_rights_stops_the_start(path: Path) -> None:
    """One that may be read alone, and one that may not even be entered; what is the matter is named."""
    command = [sys.executable, "-c", WITHOUT_RIGHTS, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split() == ["EACCES", "SQLITE_READONLY_DIRECTORY", "EACCES", "EACCES"]


async def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """It holds hashes and keys; one that was there before keeps the rights that it was given."""
    for name, mode in (("new.db", 0o600), ("old.db", 0o640)):
        if name == "old.db":
            (tmp_path / name).touch(mode)
        await migrate(f"sqlite:///{tmp_path}/{name}")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


async def test_a_migration_beside_an_open_store_takes_no_lock_away(path: Path) -> None:
    """Whoever closes a file gives up all locks that the process has on it, SQLite's too."""
    with altered(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        held = locks_on(path)
        await migrate(f"sqlite:///{path}")
        assert held
        assert locks_on(path) == held


def locks_on(path: Path) -> int:
    """Return how many locks there are on the file, whoever has them."""
    return Path("/proc/locks").read_text().count(f":{path.stat().st_ino} ")


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """Nothing of it is changed."""
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 1000)
    with pytest.raises(StoreUnavailable):
        await open_sqlite(f"sqlite:///{tmp_path}/letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "Dear Ada, " * 1000


def test_an_old_sqlite_stops_the_start() -> None:
    """Its version and the one to install are named."""
    require_version((3, 37, 0))
    with pytest.raises(ConfigurationInvalid, match=r"3\.36\.1.*3\.37"):
        require_version((3, 36, 1))


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a/b.db", "/a/b.db"), ("sqlite:///a%20b.db", "a b.db")],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    """Relative with three slashes, absolute with four."""
    assert database_path(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:/a.db",
        "sqlite:a.db",
        "sqlite:///a%00b.db",
        "sqlite://a.db",
        "sqlite:///a.db?mode=ro",
        "sqlite:///a.db#b",
        "a.db",
    ],
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    """A database in memory is another one for every process and every start."""
    with pytest.raises(ConfigurationInvalid, match="sqlite:///"):
        database_path(url)
