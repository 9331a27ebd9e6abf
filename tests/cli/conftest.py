"""Commands as a person types them, in a directory of their own whose ``.env`` names a real SQLite file."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from semel import Account, Semel, Settings
from semel.cli import main
from semel.stores.migrate import migrate

EMAIL = "ada@gmail.com"
PASSWORD = "correct horse battery"


class Ended(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it printed
        return msgspec.json.decode(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """The directory, current while the test lasts; its database has no tables yet."""
    (tmp_path / ".env").write_text("SEMEL_DATABASE_URL=sqlite:///semel.db\nSEMEL_ARGON2_MEMORY_KIB=8\n")
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def here(empty: Path) -> Path:
    """The same, migrated."""
    asyncio.run(migrate("sqlite:///semel.db"))
    return empty


@pytest.fixture
def account(here: Path) -> Account:
    """An account in it."""
    assert (here / "semel.db").is_file()
    return asyncio.run(sign_up(EMAIL))


async def sign_up(email: str) -> Account:
    async with Semel(Settings(upkeep=False)) as semel:
        return (await semel.register(email=email, password=PASSWORD, full_name="Ada [bold]")).account


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command in this process; its logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
