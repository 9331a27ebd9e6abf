"""Nothing that anybody typed makes another mail of a mail."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from semel.errors import ConfigurationInvalid
from semel.mail import Mail, MailKind, Rendered
from semel.mailers.composing import Letter, compose
from semel.mailers.options import MailOptions
from semel.outgoing import Refused
from semel.testing import START

LINE_ENDS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"]


def letter(**parts: object) -> Mail:
    usual = {"id": "mail-1", "kind": "test", "to": "ada@example.org", "subject": "A subject", "text": "Hello\n"}
    return Mail(**{**usual, **parts})  # type: ignore[arg-type]


def headers(mail: Mail, **options: str) -> list[tuple[str, str]]:
    composed = compose(mail, MailOptions(**options), START)  # type: ignore[arg-type]
    assert isinstance(composed, Letter)
    return [(name, str(value)) for name, value in message_from_bytes(composed.content, policy=default).items()]


@pytest.mark.parametrize("end", LINE_ENDS, ids=repr)
@pytest.mark.parametrize("part", ["to", "subject", "header"])
def test_what_becomes_a_header_is_one_line(part: str, end: str) -> None:
    """Else there is no mail; and the error does not say what was typed."""
    typed = f"ada@example.org{end}Bcc: eve@example.org"
    parts = {"headers": {"X-Trial": typed}} if part == "header" else {part: typed}
    with pytest.raises(ValueError, match="one line") as caught:
        letter(**parts)
    assert "eve" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "X A", "X:A", "X\r\nBcc", "X\n", "Ünicode", "Bcc", "FROM", "content-type", "Message-ID", "date"]
)
def test_a_further_header_is_further(name: str) -> None:
    """It has a name as mail knows names, and none of those that a mailer writes."""
    with pytest.raises(ValueError, match="name of its own"):
        letter(headers={name: "a value"})


@pytest.mark.parametrize("wrong", ["", "a b", "a@b", "<a>", "a\r\nb", "ä", "a" * 129])
def test_an_id_is_plain(wrong: str) -> None:
    """It becomes a part of the Message-ID."""
    with pytest.raises(ValueError, match="id"):
        letter(id=wrong)


def test_half_a_character_is_no_text() -> None:
    """It would raise only where the mail is written."""
    with pytest.raises(ValueError, match="UTF-8"):
        letter(text="half \ud800")


def test_the_headers_are_these() -> None:
    """And no others, whatever a subject looks like."""
    mail = letter(subject="Bcc: eve@example.org =?utf-8?q?=0D=0ABcc:_eve?=", headers={"X-Trial": "From: eve"})
    found = dict(headers(mail, mail_from='"Acme, Inc." <noreply@bücher.example.org>', reply_to="help@example.org"))
    found.pop("Content-Type"), found.pop("Content-Transfer-Encoding"), found.pop("MIME-Version")
    assert found == {
        "Subject": mail.subject,
        "X-Trial": "From: eve",
        "From": '"Acme, Inc." <noreply@xn--bcher-kva.example.org>',
        "To": "ada@example.org",
        "Reply-To": "help@example.org",
        "Date": "Thu, 01 Jan 2026 00:00:00 +0000",
        "Message-ID": "<mail-1@xn--bcher-kva.example.org>",
        "Auto-Submitted": "auto-generated",
    }


@pytest.mark.parametrize("subject", ["Grüße 你好 " * 20 + "!", "a word " * 40 + "!", "ä" * 300, "x" * 300, " a  b"])
def test_a_long_subject_comes_as_it_was(subject: str) -> None:
    """Wherever it is folded, no character is lost, and no line is longer than mail allows."""
    composed = compose(letter(subject=subject), MailOptions(), START)
    assert isinstance(composed, Letter)
    assert str(message_from_bytes(composed.content, policy=default)["Subject"]) == subject
    assert max(map(len, composed.content.splitlines())) < 998


@pytest.mark.parametrize("to", ["ada@localhost", "ada@münchen.example.org", "ADA+x@Example.ORG"])
def test_addresses_that_can_be_written_to(to: str) -> None:
    """Special-use domains are the application's business; others than ASCII become what servers know."""
    composed = compose(letter(to=to), MailOptions(), START)
    assert isinstance(composed, Letter)
    assert composed.content.isascii()
    assert composed.to == to.lower().replace("münchen", "xn--mnchen-3ya").replace("ada+x", to[:5])


@pytest.mark.parametrize("to", ["", "ada", "a b@example.org", "ada@example.org,eve@example.org", '"a"@example.org'])
def test_addresses_that_cannot(to: str) -> None:
    """Are refused, as a server would."""
    assert compose(letter(to=to), MailOptions(), START) == Refused(553)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("nobody", "one address"),
        ("a@example.org, b@example.org", "one address"),
        ("A <a@example.org> <b@example.org>", "one address"),
        ("A\r\nBcc: eve@example.org <a@example.org>", "one address"),
        ("Ä <ä@example.org>", "ASCII"),
    ],
)
def test_a_sender_is_one_address(wrong: str, why: str) -> None:
    """Said at the start, without the value."""
    for option in ("mail_from", "reply_to"):
        with pytest.raises(ConfigurationInvalid, match=why) as caught:
            MailOptions(**{option: wrong})  # type: ignore[arg-type]
        assert wrong not in str(caught.value)


def test_nothing_shows() -> None:
    """Neither the address nor the body of a mail, nor what templates made."""
    assert repr(letter(kind=MailKind.RECOVER)) == "Mail(id='mail-1', kind='recover', …)"
    assert repr(Rendered("A subject", "a link", "a link")) == "Rendered(…)"
