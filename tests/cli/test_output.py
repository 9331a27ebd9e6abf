"""How commands print: whole lines into a pipe, and for a terminal lines that fold."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from semel import Account, Semel, Settings
from tests.cli.conftest import PASSWORD, Run

SEMEL = str(Path(sys.executable).with_name("semel"))
LONG = "y" * 3000


async def sign_up_at_length() -> Account:
    async with Semel(Settings(upkeep=False)) as semel:
        return (await semel.register(email="a@gmail.com", password=PASSWORD, attributes={"x": LONG})).account


@pytest.mark.usefixtures("here")
def test_a_pipe_gets_whole_lines(run: Run) -> None:
    """However long a value is, and no blanks behind the short ones."""
    account = asyncio.run(sign_up_at_length())
    shown = run("user", "show", "a@gmail.com").out.splitlines()
    assert len([line for line in shown if LONG in line]) == 1
    assert all(line == line.rstrip() for line in shown)
    listed = run("user", "list").out.splitlines()
    assert [account.id in line for line in listed] == [False, True]


@pytest.mark.usefixtures("here")
def test_a_terminal_folds_what_is_too_wide() -> None:
    """Nothing is cut: an id that does not fit goes on in the next line."""
    account = asyncio.run(sign_up_at_length())
    terminal, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "dumb"}  # 80 columns, and no bold letters
    subprocess.run([SEMEL, "user", "list"], stdout=theirs, env=environment, check=True)
    os.close(theirs)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert account.id in "".join(line.split()[-1] for line in shown.splitlines()[1:])
