"""The local mailbox: a directory for one person's eyes, to which several processes write."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from semel.errors import ConfigurationInvalid
from semel.mail import Mail
from semel.mailers.mailbox import KEPT, LocalMailbox, kept_mails
from semel.mailers.options import MailOptions
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Unknown
from semel.testing import START, VirtualClock
from semel.testing.mailer_contract import MAILER_CONTRACT, MailerBench, MailerPromise

ADDRESS = "Ada.Lovelace@example.org"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the mailbox will be; nothing is there."""
    return tmp_path / "var" / "mail"


def mailbox(directory: Path) -> LocalMailbox:
    return LocalMailbox(MailOptions(directory=directory), VirtualClock(flowing=False))


def send(directory: Path, mail: Mail) -> Sent | Refused | Unknown:
    return asyncio.run(mailbox(directory).send(mail))


def letter(number: int = 1, **parts: str) -> Mail:
    usual: dict[str, Any] = {
        "id": f"mail-{number}",
        "kind": "test",
        "to": ADDRESS,
        "subject": "A subject",
        "text": "Hello\n",
    }
    return Mail(**{**usual, **parts})


@pytest.mark.parametrize("promise", MAILER_CONTRACT)
async def test_keeps_the_promise(promise: MailerPromise, directory: Path) -> None:
    """What comes is what stands in the directory."""

    async def arrived() -> list[bytes]:
        return [file.read_bytes() for file in (directory / "new").glob("*")]

    await promise(MailerBench(mailbox(directory), arrived))


def test_is_a_mailer(directory: Path) -> None:
    """With all that the port asks for."""
    assert isinstance(mailbox(directory), Mailer)


def test_a_mail_is_found_again(directory: Path) -> None:
    """Whole, with the links of its text, each once; by its address in any case."""
    text = "Open https://example.org/a?token=1 or https://example.org/b.\nhttps://example.org/a?token=1\n"
    assert send(directory, letter(text=text, html="<p>Hello</p>", subject="Grüße")) == Sent()
    (found,) = kept_mails(directory, ADDRESS.lower())
    assert (found.id, found.to, found.subject, found.text) == ("mail-1", ADDRESS, "Grüße", text)
    assert found.html == "<p>Hello</p>\n"
    assert found.at == START.replace(microsecond=0)
    assert found.links == ("https://example.org/a?token=1", "https://example.org/b")
    assert ADDRESS not in repr(found)
    assert kept_mails(directory, "eve@example.org") == []


def test_where_nothing_is_there_is_no_mail(directory: Path) -> None:
    """And no directory is made by looking."""
    assert kept_mails(directory) == []
    assert not directory.exists()


def test_nobody_else_can_look_into_it(directory: Path) -> None:
    """The directory is its owner's alone; one that others may look into is refused at the start."""
    send(directory, letter())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o750)
    with pytest.raises(ConfigurationInvalid, match="chmod 700"):
        mailbox(directory)


async def test_only_the_newest_are_kept(directory: Path) -> None:
    """The newest first, and never more than so many."""
    box = mailbox(directory)
    for number in range(KEPT + 3):
        assert await box.send(letter(number)) == Sent()
    assert [one.id for one in kept_mails(directory)] == [f"mail-{number}" for number in range(KEPT + 2, 2, -1)]


def test_a_directory_that_cannot_be_written_to(directory: Path) -> None:
    """Is unknown, and names what the system says."""
    directory.parent.mkdir()
    box = mailbox(directory)
    directory.write_text("a file")
    outcome = asyncio.run(box.send(letter()))
    assert isinstance(outcome, Unknown)
    assert "local mailbox" in outcome.why


def test_an_address_that_is_none_makes_no_directory(directory: Path) -> None:
    """It is refused before anything is done."""
    assert send(directory, letter(to="nobody")) == Refused(553)
    assert not directory.exists()


def test_a_directory_that_somebody_is_just_making(directory: Path) -> None:
    """As another process that begins at the same time, or that died there: it is made whole."""
    directory.mkdir(mode=0o700, parents=True)
    assert send(directory, letter()) == Sent()
    assert [one.id for one in kept_mails(directory)] == ["mail-1"]


_WRITER = """
import asyncio, sys
from pathlib import Path
from typing import Any
from semel.outgoing import Sent
from tests.mailers.test_mailbox import letter, mailbox

async def main():
    box = mailbox(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    first = int(sys.argv[2])
    sent = await asyncio.gather(*(box.send(letter(first + number)) for number in range(20)))
    assert sent == [Sent()] * 20, sent

asyncio.run(main())
"""


def test_several_processes_write_at_once(directory: Path) -> None:
    """They begin together, before there is a directory; every mail is there once."""
    commands = [[sys.executable, "-c", _WRITER, str(directory), str(number * 100)] for number in range(4)]
    with ExitStack() as ending:
        writers = [
            ending.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for command in commands
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        assert not directory.exists()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
    assert [writer.returncode for writer in writers] == [0] * 4
    ids = [one.id for one in kept_mails(directory)]
    assert len(ids) == len(set(ids)) == 80
