"""Making, changing and ending accounts on the command line, on a real database."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from semel import Account, Semel, Settings
from tests.cli.conftest import EMAIL, PASSWORD, Ended, Run

BOSS = "boss@gmail.com"


def signs_in(email: str, password: str = PASSWORD) -> Account:
    async def signed_in() -> Account:
        async with Semel(Settings(upkeep=False)) as semel:
            return (await semel.sign_in(email, password)).account

    return asyncio.run(signed_in())


def piped(directory: Path, arguments: list[str], text: str) -> int:
    """Run a command with this for its standard input, and return its exit code."""
    command = [str(Path(sys.executable).with_name("semel")), *arguments]
    return subprocess.run(command, cwd=directory, input=text, text=True, capture_output=True, check=False).returncode


@pytest.mark.usefixtures("here")
def test_the_first_administrator_is_made(run: Run) -> None:
    """With the role that lets in, and a password that signs in."""
    made = run("user", "create", BOSS, "--username", "boss", "--admin", "--password", PASSWORD, "--json")
    assert (made.code, made.json["role"], made.json["roles"]) == (0, "Administrator", ["Administrator"])
    assert signs_in(BOSS).username == "boss"
    other = run("user", "create", "b@gmail.com", "--role", "Editor", "--admin", "--no-password", "--json").json
    assert (other["role"], other["roles"]) == ("Editor", ["Editor", "Administrator"])


def test_a_password_is_read_from_a_pipe(here: Path) -> None:
    """One line of it; an empty one is none."""
    assert piped(here, ["user", "create", BOSS], f"{PASSWORD}\nmore\n") == 0
    assert signs_in(BOSS).email == BOSS
    assert piped(here, ["user", "create", "b@gmail.com"], "\n") == 2


@pytest.mark.parametrize(("second", "code"), [(PASSWORD, 0), ("another of them", 2)])
def test_a_password_is_asked_for_twice_at_a_terminal(here: Path, second: str, code: int) -> None:
    """And never shown."""
    ended = at_a_terminal(here, ["user", "create", BOSS], f"{PASSWORD}\n{second}\n")
    assert ended.code == code
    assert PASSWORD not in ended.out


def at_a_terminal(directory: Path, arguments: list[str], answers: str) -> Ended:
    """Run a command at a terminal of its own, and give the answers to what it asks."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("semel")), *arguments]
    with subprocess.Popen(
        command, cwd=directory, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        out = b""
        for line in answers.splitlines(keepends=True):
            asked = b""
            while not asked.rstrip().endswith((b":", b"]")):
                asked += os.read(ours, 1000)
            out += asked
            os.write(ours, line.encode())
        while True:
            try:
                more = os.read(ours, 1000)
            except OSError:  # the other end is closed
                break
            out += more
        code = process.wait()
    os.close(ours)
    return Ended(code, out.decode(), "")


def test_a_user_is_changed(run: Run, account: Account) -> None:
    """By email or id; what is given alone, and an empty text takes a name away."""
    changed = run(
        "user", "update", EMAIL.upper(), "--username", "Ada", "--role", "Editor", "--attributes", '{"a":1}', "--json"
    )
    assert (changed.code, changed.json["username"], changed.json["role"]) == (0, "Ada", "Editor")
    assert (changed.json["full_name"], changed.json["attributes"]) == (account.full_name, {"a": 1})
    gone = run("user", "update", account.id, "--username", "", "--onboarding-completed", "--json").json
    assert (gone["username"], gone["onboarding_completed"]) == (None, True)
    assert run("user", "update", EMAIL).code == 2
    assert run("user", "update", EMAIL, "--attributes", "[1]").code == 2
    assert run("user", "update", "nobody@gmail.com", "--role", "Editor").code == 1


def test_a_user_is_switched_off_and_on(run: Run, account: Account) -> None:
    """Twice is as once."""
    for command, active in (("deactivate", False), ("deactivate", False), ("activate", True)):
        ended = run("user", command, EMAIL, "--json")
        assert (ended.code, ended.json["is_active"], ended.json["id"]) == (0, active, account.id)


def test_a_user_is_deleted(here: Path, run: Run, account: Account) -> None:
    """Only who means it: --yes, or y at a terminal."""
    assert piped(here, ["user", "delete", EMAIL], "y\n") == 2
    assert at_a_terminal(here, ["user", "delete", EMAIL], "n\n").code == 4
    assert run("user", "show", EMAIL).code == 0
    assert at_a_terminal(here, ["user", "delete", EMAIL], "y\n").code == 0
    assert run("user", "delete", account.id, "--yes").code == 1


@pytest.mark.usefixtures("here")
def test_a_recovery_is_sent(run: Run) -> None:
    """To the account's email, by upkeep; to nobody who is not there or is switched off."""
    run("user", "create", BOSS, "--no-password")
    assert run("user", "recover", BOSS.upper(), "--json").json["email"] == BOSS
    run("upkeep", "--once")
    mail = run("mail", "show", "--latest", "--to", BOSS, "--json").json
    assert "new password" in mail["subject"]
    assert "/links/" in mail["text"]
    run("user", "deactivate", BOSS)
    assert run("user", "recover", BOSS).code == 1
    assert run("user", "recover", "nobody@gmail.com").code == 1
