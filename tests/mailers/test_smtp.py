"""Mail by SMTP, to a real server that behaves and to ones that do not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from semel.mail import Mail
from semel.mailers.options import MailOptions
from semel.mailers.smtp import SmtpMailer
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Unknown
from semel.testing import VirtualClock
from semel.testing.mailer_contract import MAILER_CONTRACT, MailerBench, MailerPromise
from tests.mailers.relay import PASSWORD, USER_INFO, Relay, certified, options, running

ADDRESS = "ada.lovelace@example.org"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts, as an operator makes it so."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return made


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    return certified(authority)


def mailer(given: MailOptions) -> SmtpMailer:
    assert given.relay is not None
    return SmtpMailer(given, given.relay, VirtualClock())


def letter(**parts: str) -> Mail:
    usual: dict[str, Any] = {
        "id": "0198-a-mail",
        "kind": "test",
        "to": ADDRESS,
        "subject": "A subject",
        "text": "A secret link\n",
    }
    return Mail(**{**usual, **parts})


async def answered(relay: Relay, seconds: float = 5.0, **parts: str) -> Sent | Refused | Unknown:
    """Send a mail to a server that behaves so, in the clear."""
    async with running(relay):
        return await mailer(options(relay, seconds=seconds)).send(letter(**parts))


@pytest.fixture(params=["none", "starttls", "implicit"])
async def bench(request: pytest.FixtureRequest, context: ssl.SSLContext) -> AsyncIterator[MailerBench]:
    """A server of each kind; those that are private are told a password."""
    tls, relay = request.param, Relay()
    private = tls != "none"
    wants = {"authenticator": relay.check} if private else {}
    async with running(relay, context=context if private else None, starttls=tls == "starttls", **wants) as server:
        yield MailerBench(mailer(options(server, tls, USER_INFO if private else "")), server.arrived)
    assert relay.private <= {private}
    assert bool(relay.users) is (private and bool(relay.taken))


@pytest.mark.parametrize("promise", MAILER_CONTRACT)
async def test_keeps_the_promise(promise: MailerPromise, bench: MailerBench) -> None:
    """In the clear, after STARTTLS, and over TLS from the first byte."""
    await promise(bench)


def test_is_a_mailer() -> None:
    """With all that the port asks for."""
    assert isinstance(mailer(options(Relay(port=25))), Mailer)


async def test_what_was_taken_is_sent() -> None:
    """To the one address of the mail."""
    relay = Relay()
    assert await answered(relay) == Sent()
    assert relay.recipients == [ADDRESS]


@pytest.mark.parametrize("code", [550, 551, 553, 552, 521])
async def test_a_recipient_that_is_refused_for_good(code: int) -> None:
    """The code, and nothing of what the server says beside it."""
    assert await answered(Relay(rcpt=f"{code} <{ADDRESS}>: no such user")) == Refused(code)


async def test_a_mail_that_is_refused_for_good() -> None:
    """After it was handed over."""
    assert await answered(Relay(data="554 5.7.1 looks like spam")) == Refused(554)


@pytest.mark.parametrize(
    "relay",
    [
        Relay(rcpt=f"450 <{ADDRESS}>: greylisted"),
        Relay(rcpt="421 too many connections"),
        Relay(data="451 try again"),
        Relay(mail="550 we know no such sender"),
        Relay(rcpt="530 sign in first"),
        Relay(rcpt="503 bad sequence"),
    ],
    ids=repr,
)
async def test_what_may_pass_is_unknown(relay: Relay) -> None:
    """A refusal for now; and one of us, or of how we speak, which says nothing of the mail."""
    outcome = await answered(relay)
    assert isinstance(outcome, Unknown)
    assert ADDRESS not in outcome.why


async def test_a_connection_that_breaks_before_the_answer() -> None:
    """The mail was taken: nobody can know, so it is unknown, and it has come."""
    relay = Relay(breaks="data")
    outcome = await answered(relay)
    assert isinstance(outcome, Unknown)
    assert "may have taken" in outcome.why
    assert len(relay.taken) == 1


async def test_a_connection_that_breaks_afterwards() -> None:
    """What was answered stands."""
    relay = Relay(breaks="quit")
    assert await answered(relay) == Sent()


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
async def test_a_server_that_hangs(command: str) -> None:
    """Unknown, in time."""
    outcome = await answered(Relay(hangs=command), seconds=0.3)
    assert isinstance(outcome, Unknown)


async def test_a_server_that_is_slow_at_everything() -> None:
    """A mail has a time, not each of its commands."""
    relay = Relay(takes=0.25)
    assert isinstance(await answered(relay, seconds=0.4), Unknown)
    assert relay.taken == []


async def test_a_server_that_hangs_at_the_end() -> None:
    """The mail is sent; nobody waits for a goodbye."""
    assert await answered(Relay(hangs="quit")) == Sent()


async def test_a_server_that_never_speaks() -> None:
    """It takes the connection, and that is all."""
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        outcome = await mailer(options(Relay(port=port), seconds=0.3)).send(letter())
    assert isinstance(outcome, Unknown)


async def test_nobody_there() -> None:
    """A port that nobody listens on."""
    relay = Relay()
    async with running(relay):
        pass
    outcome = await mailer(options(relay)).send(letter())
    assert isinstance(outcome, Unknown)
    assert str(relay.port) not in outcome.why


async def test_without_starttls_nothing_is_said() -> None:
    """Where the settings ask for it; nor is the password."""
    relay = Relay()
    async with running(relay, authenticator=relay.check, auth_require_tls=False):
        outcome = await mailer(options(relay, "starttls", USER_INFO)).send(letter())
    assert outcome == Unknown("the mail server offers no STARTTLS, without which it is given nothing")
    assert (relay.taken, relay.users) == ([], [])


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.usefixtures("authority")
async def test_a_certificate_of_somebody_else(tls: str) -> None:
    """Is not trusted: nothing is said."""
    relay = Relay()
    async with running(relay, context=certified(trustme.CA()), starttls=tls == "starttls", authenticator=relay.check):
        outcome = await mailer(options(relay, tls, USER_INFO)).send(letter())
    assert outcome == Unknown("the mail server's certificate is not trusted")
    assert (relay.taken, relay.users) == ([], [])


async def test_a_wrong_password(context: ssl.SSLContext) -> None:
    """The mail is not at fault, so it is unknown; the password is in no text."""
    relay = Relay()
    async with running(relay, context=context, authenticator=relay.check):
        given = options(relay, "starttls", "semel:wr%6Fng-password@")
        sender = mailer(given)
        outcome = await sender.send(letter())
    assert outcome == Unknown("the mail server refuses user and password (535)")
    assert "wrong-password" not in repr(given) + repr(given.relay) + repr(sender)


async def test_an_international_address() -> None:
    """Goes to a server that takes such; for one that does not, it is refused for good."""
    for able, outcome in ((True, Sent()), (False, Refused(553))):
        relay = Relay()
        async with running(relay, enable_SMTPUTF8=able):
            assert await mailer(options(relay)).send(letter(to="дарья@пример.example.org")) == outcome
        assert relay.recipients == (["дарья@xn--e1afmkfd.example.org"] if able else [])


async def test_a_few_at_once() -> None:
    """Many mails are all sent, by no more than four connections."""
    relay = Relay()
    async with running(relay):
        sender = mailer(options(relay))
        outcomes = await asyncio.gather(*(sender.send(letter(id=f"mail-{number}")) for number in range(12)))
    assert outcomes == [Sent()] * 12
    assert len(relay.taken) == 12
    assert relay.most_at_once == 4


def test_nothing_shows() -> None:
    """Neither address, nor body, nor password."""
    shown = repr(letter(html="A secret link")) + repr(options(Relay(port=25), "starttls", USER_INFO))
    assert not any(part in shown for part in (ADDRESS, "secret", PASSWORD, USER_INFO))
