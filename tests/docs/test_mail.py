"""The page about mail, followed to the letter: its commands typed, its templates used."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from semel import Settings
from semel.assembly import open_templates
from semel.mail import MailKind
from semel.mails import About
from tests.cli.conftest import Run, run
from tests.cli.test_mail import relaying
from tests.docs.how_to import HowTo
from tests.mailers.relay import Relay

__all__ = ["run"]

LINK = "https://example.com/recover?token=0123"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """A directory, current while the test lasts."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


def commands(number: int) -> list[list[str]]:
    """Return the arguments of the page's so manieth block with commands of ours."""
    blocks = [block.code for block in HowTo.read("mail").blocks if block.code.startswith("semel ")]
    return [shlex.split(line)[1:] for line in blocks[number].splitlines()]


def test_a_mail_server(run: Run, here: Path) -> None:
    """The settings of the page are right, but for the server's address; the try says that it took the mail."""
    HowTo.read("mail").write_files(here)
    page = (here / ".env").read_text()
    assert run("config", "--json").json["SEMEL_SMTP_URL"] == "smtp://user:***@mail.example.com:587"
    relay = Relay()
    with relaying(relay) as settings:
        url = settings.splitlines()[0]
        (here / ".env").write_text("\n".join(url if "SMTP_URL" in line else line for line in page.splitlines()))
        (command,) = commands(0)
        assert run(*command).code == 0
    assert b"From: Example <noreply@example.com>" in relay.taken[0]
    assert relay.recipients == ["ada@example.com"]


@pytest.mark.usefixtures("here")
def test_the_local_mailbox(run: Run) -> None:
    """Each command does what the page says."""
    tried, listed, shown, as_json = commands(1)
    assert run(*tried).code == 0
    assert "A test mail of Semel" in run(*listed).out
    assert "can write to you" in run(*shown).out
    assert run(*as_json).json["to"] == "ada@example.com"


def test_templates(here: Path) -> None:
    """The page's are taken, in place of ours and beside them."""
    HowTo.read("mail").write_files(here)
    templates = open_templates(Settings(_env_file=None, product_name="Example", mail_templates=here / "templates"))
    made = templates.render(MailKind.RECOVER, About(link=LINK, name="Ada"))
    assert made.subject == "A new password for Example"
    assert made.text == f"Hello Ada,\nfollow this link to a new password:\n\n{LINK}\n\nIt works once.\n"
    assert "<h1>Example</h1>" in made.html
    assert "Choose a new password" in made.html
