"""The commands about mail, in a directory of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from semel import Settings
from semel.assembly import open_mailer
from semel.mail import Mail
from semel.outgoing import Sent
from semel.system import SystemClock
from tests.cli.conftest import Run
from tests.mailers.relay import Relay, running

LINK = "https://example.org/verify?token=0123"


@contextmanager
def relaying(relay: Relay) -> Iterator[str]:
    """Run a mail server in a thread of its own, since a command has a loop of its own; yield the settings of it."""
    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        async with running(relay):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield f"SEMEL_SMTP_URL=smtp://localhost:{relay.port}\nSEMEL_MAIL_FROM=Example <noreply@example.org>\n"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def write(*mails: Mail) -> None:
    """Send mails as a server of this directory does."""

    async def sent() -> None:
        mailer = open_mailer(Settings(), SystemClock())
        assert [await mailer.send(mail) for mail in mails] == [Sent()] * len(mails)
        await mailer.close()

    asyncio.run(sent())


def letter(number: int, to: str = "ada@example.org") -> Mail:
    text = f"Hello [bold]\n\n{LINK}{number}\n"
    return Mail(id=f"mail-{number}", kind="test", to=to, subject=f"Subject {number}", text=text, html="<p>Hello</p>")


@pytest.mark.usefixtures("empty")
def test_no_mail(run: Run) -> None:
    """No store is needed to say so, and nothing is made."""
    assert run("mail").out == "There is no mail.\n"
    assert run("mail", "--json").json == []
    ended = run("mail", "show", "--latest")
    assert (ended.code, ended.err) == (1, "semel: not_found: There is no such mail in the local mailbox\n")
    assert not Path("var").exists()


@pytest.mark.usefixtures("empty")
def test_mails_are_listed(run: Run) -> None:
    """The newest first, one whole line each; for machines with their ids."""
    write(letter(1), letter(2, "eve@example.org"))
    lines = run("mail").out.splitlines()
    assert [line.split()[0] for line in lines[:1]] == ["Written"]
    assert ["mail-2" in lines[1], "mail-1" in lines[2], len(lines)] == [True, True, 3]
    assert [(one["id"], one["to"], one["subject"]) for one in run("mail", "--json").json] == [
        ("mail-2", "eve@example.org", "Subject 2"),
        ("mail-1", "ada@example.org", "Subject 1"),
    ]


@pytest.mark.usefixtures("empty")
def test_a_mail_is_shown(run: Run) -> None:
    """By id, the latest, or the latest to an address; with its links."""
    write(letter(1), letter(2), letter(3, "eve@example.org"))
    for arguments, number in ((["mail-1"], 1), (["--latest"], 3), (["--to", "ADA@example.org"], 2)):
        shown = run("mail", "show", *arguments)
        assert (shown.code, f"{LINK}{number}\n" in shown.out, "Hello [bold]" in shown.out) == (0, True, True)
        as_json = run("mail", "show", *arguments, "--json").json
        assert (as_json["id"], as_json["links"], as_json["html"]) == (
            f"mail-{number}",
            [f"{LINK}{number}"],
            "<p>Hello</p>\n",
        )
    assert run("mail", "show", "mail-9").code == 1
    assert run("mail", "show").code == 2


@pytest.mark.usefixtures("empty")
def test_a_try_stays_here(run: Run) -> None:
    """Without a mail server."""
    ended = run("mail", "test", "ada@example.org")
    assert (ended.code, ended.out) == (0, "The mail is in the local mailbox: semel mail show --latest\n")
    assert run("mail", "show", "--latest", "--json").json["subject"] == "A test mail of Semel"


@pytest.mark.parametrize("address", ["nobody", "ada@example.org\nBcc: eve@example.org"])
@pytest.mark.usefixtures("empty")
def test_a_try_to_no_address(run: Run, address: str) -> None:
    """Is refused."""
    ended = run("mail", "test", address)
    assert (ended.code, ended.out) == (4, "Refused for good (553): the address, or the mail. It was not sent.\n")


@pytest.mark.parametrize(
    ("relay", "code", "said"),
    [
        (Relay(), 0, "The mail server has taken the mail."),
        (Relay(rcpt="550 no such user"), 4, "Refused for good (550): the address, or the mail. It was not sent."),
        (Relay(data="451 later"), 3, "Not known to be sent: the mail server answered 451."),
    ],
    ids=["taken", "refused", "unknown"],
)
def test_a_try_by_a_mail_server(run: Run, empty: Path, relay: Relay, code: int, said: str) -> None:
    """One line says what came of it, and the exit code does."""
    with relaying(relay) as settings:
        with (empty / ".env").open("a") as file:
            file.write(settings)
        ended = run("mail", "test", "ada@example.org")
    assert (ended.code, ended.out, ended.err) == (code, f"{said}\n", "")
    assert len(relay.taken) == (code == 0)
    assert run("mail").out == "Mail goes to the mail server: none is kept here.\n"


@pytest.mark.usefixtures("empty")
def test_a_password_is_masked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the settings are shown."""
    monkeypatch.setenv("SEMEL_SMTP_URL", "smtp://user:hidden@mail.example.org?tls=implicit")
    monkeypatch.setenv("SEMEL_MAIL_FROM", "noreply@example.org")
    shown = run("config").out
    assert "smtp://user:***@mail.example.org?tls=implicit" in shown
    assert "hidden" not in shown


@pytest.mark.usefixtures("empty")
def test_wrong_settings_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their variables, in one line, and without a value."""
    for name, value, said in (
        ("SEMEL_SMTP_URL", "smtp://user:hidden@", "SEMEL_SMTP_URL must read"),
        ("SEMEL_SMTP_URL", "smtp://mail.example.org", "SEMEL_MAIL_FROM is missing"),
        ("SEMEL_MAIL_REPLY_TO", "hidden", "SEMEL_MAIL_REPLY_TO must be one address"),
        ("SEMEL_MAIL_TEMPLATES", "none", "SEMEL_MAIL_TEMPLATES: the directory cannot be read"),
    ):
        with monkeypatch.context() as variables:
            variables.setenv(name, value)
            variables.setenv("SEMEL_DATABASE_URL", "memory:")
            ended = run("user", "list")
        assert (ended.code, ended.err.count("\n"), ended.out) == (2, 1, "")
        assert said in ended.err
        assert "hidden" not in ended.err
