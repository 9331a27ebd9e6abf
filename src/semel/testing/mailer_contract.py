"""The promises of ``outgoing.Mailer``, for whoever writes a mailer: one suite for every one of them.

Each promise is a coroutine function that is given a ``MailerBench`` and raises ``BrokenPromiseError``; use them as
those of ``semel.testing.store_contract``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from semel.mail import Mail
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Ids
from semel.testing.clock import SequentialIds
from semel.testing.promises import expect

__all__ = ["MAILER_CONTRACT", "MailerBench", "MailerPromise"]

_LONG = "A line that is far longer than what a mail server must take in one piece. " * 30


@dataclass(frozen=True)
class MailerBench:
    """A mailer under test, and ``arrived``: all mails that came through so far, each as it is written."""

    mailer: Mailer
    arrived: Callable[[], Awaitable[list[bytes]]]
    ids: Ids = field(default_factory=lambda: SequentialIds("mailer contract"))

    def mail(self, **parts: Any) -> Mail:  # noqa: ANN401 - the fields of a mail
        """Return a mail that nobody has sent, of these parts and usual ones."""
        usual = {
            "id": self.ids.uuid(),
            "kind": "test",
            "to": "ada@example.org",
            "subject": "A subject",
            "text": "Hello\n",
        }
        return Mail(**{**usual, **parts})

    async def came(self, mail: Mail) -> list[EmailMessage]:
        """Return what came of a mail: that with its id."""
        read = [message_from_bytes(one, policy=cast("Any", default)) for one in await self.arrived()]
        return [cast("EmailMessage", one) for one in read if str(one["Message-ID"]).startswith(f"<{mail.id}@")]

    async def sent(self, mail: Mail) -> EmailMessage:
        """Send a mail, expect that it is taken and comes once, and return it."""
        outcome = await self.mailer.send(mail)
        expect(outcome == Sent(), f"a mail that nothing speaks against was answered {outcome}")
        came = await self.came(mail)
        expect(len(came) == 1, f"one mail was sent, and {len(came)} came")
        return came[0]


MailerPromise = Callable[[MailerBench], Awaitable[None]]
"""A promise: it returns if it is kept, and raises ``BrokenPromiseError`` if it is not."""


async def a_mail_comes_whole(bench: MailerBench) -> None:
    """Address, subject, both bodies and further headers, in any script, with lines of any length and dots."""
    text = f"Grüße 你好\n.\n..two\n{_LONG}\n"
    html = f"<p>Grüße 你好</p>\n.\n<p>{_LONG}</p>\n"
    mail = bench.mail(subject="Grüße 你好 " * 12 + "!", text=text, html=html, headers={"X-Trial": "ö" * 90})
    came = await bench.sent(mail)
    expect([one.addr_spec for one in came["To"].addresses] == [mail.to], "the mail went to somebody else")
    expect(str(came["Subject"]) == mail.subject, "the subject came as another one")
    expect(str(came["X-Trial"]) == mail.headers["X-Trial"], "a further header came as another one")
    for kind, said in (("plain", text), ("html", html)):
        part = came.get_body((kind,))
        body = None if part is None else str(part.get_content()).replace("\r\n", "\n")
        expect(body == said, f"the {kind} body came as another one")


async def a_mail_says_that_a_machine_wrote_it(bench: MailerBench) -> None:
    """So that no other machine answers (RFC 3834), and that it is dated and signed."""
    came = await bench.sent(bench.mail())
    expect(came["Auto-Submitted"] == "auto-generated", "nothing says that a machine wrote the mail")
    expect(came["Date"] is not None and came["From"] is not None, "the mail has no date or no sender")
    expect(came.get_body(("html",)) is None, "a mail without HTML came with some")


async def a_mail_sent_again_is_recognised(bench: MailerBench) -> None:
    """By its ``Message-ID``; another mail has another one."""
    mail = bench.mail()
    first = await bench.sent(mail)
    expect(await bench.mailer.send(mail) == Sent(), "the second sending was not taken")
    came = await bench.came(mail)
    ids = {str(one["Message-ID"]) for one in came}
    expect(len(came) >= 1 and ids == {str(first["Message-ID"])}, "one mail has two names")
    other = await bench.sent(bench.mail())
    expect(str(other["Message-ID"]) not in ids, "two mails have one name")


async def an_address_that_is_none_is_refused(bench: MailerBench) -> None:
    """For good, and nothing comes of it: neither what is no address, nor several of them."""
    for address in ("ada", "ada@", "ada@example.org, eve@example.org", "Ada <ada@example.org>", "<ada@example.org>"):
        mail = bench.mail(to=address)
        outcome = await bench.mailer.send(mail)
        expect(isinstance(outcome, Refused), f"what is no address was answered {outcome}")
        expect(not await bench.came(mail), "a mail to no address came")


MAILER_CONTRACT: tuple[MailerPromise, ...] = (
    a_mail_comes_whole,
    a_mail_says_that_a_machine_wrote_it,
    a_mail_sent_again_is_recognised,
    an_address_that_is_none_is_refused,
)
"""What every mailer promises."""
