"""Templates: those that come with Semel, and an operator's in their place."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typing_extensions import override

from semel.errors import ConfigurationInvalid
from semel.mail import MailKind
from semel.mails import About, Templates

LINK = "https://example.org/a?token=0123&more='x'"
SOON = datetime(2030, 1, 31, 14, 30, tzinfo=timezone(timedelta(hours=2)))
ABOUT = About(link=LINK, expires_at=SOON, name="Ada Lovelace", inviter="Charles Babbage", note="On Monday.")


class Read(HTMLParser):
    """What a person sees of HTML, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen = ""
        self.hrefs: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    @override
    def handle_data(self, data: str) -> None:
        self.seen += data

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.hrefs += [value or "" for name, value in attrs if name in {"href", "src"}]


@pytest.mark.parametrize("kind", MailKind)
def test_every_mail_says_it_in_text_and_html(kind: MailKind) -> None:
    """Who writes, to whom, the link as it is, and until when it is good; the HTML loads nothing."""
    made = Templates("Analytical & Co").render(kind, ABOUT)
    html = Read(made.html)
    assert "Analytical & Co" in made.subject
    for said in (made.text, html.seen):
        assert "Analytical & Co" in said
        assert "Hello Ada Lovelace," in said
        assert LINK in said
    assert html.hrefs == [LINK]
    assert not html.tags & {"img", "script", "link", "iframe"}
    told = kind in {MailKind.EMAIL_CHANGED, MailKind.SIGN_UP_AGAIN, MailKind.PASSWORD_CHANGED}
    assert ("2030-01-31 12:30 UTC" in made.text, "2030-01-31 12:30 UTC" in html.seen) == (not told, not told)


@pytest.mark.parametrize("kind", MailKind)
def test_what_a_mail_may_lack(kind: MailKind) -> None:
    """It greets nobody by name then; without the link that it is about it is not made."""
    made = Templates().render(kind, About(link=LINK))
    assert "Hello,\n" in made.text
    assert "None" not in made.text + made.html + made.subject
    told = {MailKind.EMAIL_CHANGED, MailKind.SIGN_UP_AGAIN, MailKind.PASSWORD_CHANGED}
    if kind in told:
        assert "http" not in Templates().render(kind, About()).text
    else:
        with pytest.raises(ValueError, match="needs a link"):
            Templates().render(kind, About())


def test_an_invitation_says_who_and_why() -> None:
    """In the subject, too."""
    made = Templates("Acme").render(MailKind.INVITATION, ABOUT)
    assert made.subject == "Charles Babbage invites you to Acme"
    assert "On Monday." in made.text
    assert "On Monday." in made.html


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a.example/\nx", 'https://a.example/"x', "/path", ""])
def test_a_link_is_a_link(link: str) -> None:
    """Whatever a caller hands in."""
    with pytest.raises(ValueError, match="a link is"):
        About(link=link)


def test_markup_in_a_name_is_text() -> None:
    """In HTML; the text has it as it is."""
    made = Templates().render(MailKind.RECOVER, About(link=LINK, name="<b>Ada</b> & 'co'"))
    assert "Hello <b>Ada</b> & 'co'," in made.text
    assert "Hello <b>Ada</b> & 'co'," in Read(made.html).seen
    assert "<b>" not in made.html


@pytest.mark.parametrize(
    "name",
    [
        "Win at https://evil.example/now",
        "www.evil.example",
        "evil.example",
        "EVIL.EXAMPLE/free",
        "evil。example",
        "evil．com",
        "evil\u200d.example",
        "evil\u00ad.example",
        "mail eve@evil.example",
        "mailto:eve",
        "tel:+15550100",
        "Call +1 555 010 0199 now",
    ],
)
def test_a_name_that_is_more_than_a_name_is_left_out(name: str) -> None:
    """Whoever signs up chooses the name and the address: it must not carry an advertisement to a stranger."""
    made = Templates("Acme").render(MailKind.VERIFY_EMAIL, About(link=LINK, name=name))
    assert "Hello,\n" in made.text
    assert "evil" not in (made.text + made.html).lower()
    assert "555" not in made.text + made.html
    invited = Templates("Acme").render(MailKind.INVITATION, About(link=LINK, inviter=name))
    assert invited.subject == "You are invited to Acme"


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "J. R. R. Tolkien",
        "J.R.R. Tolkien",
        "Ludwig II.",
        "O'Neil-Smith",
        "علی‌رضا",
        "李小龍",
        "Jean: Luc",
        "X Æ A-12",
    ],
)
def test_a_name_is_left_as_it_is(name: str) -> None:
    """People have all kinds."""
    assert f"Hello {name}," in Templates().render(MailKind.RECOVER, About(link=LINK, name=name)).text


def test_what_people_wrote_stays_on_its_line() -> None:
    """And within bounds; nothing turns the direction of what follows."""
    typed = "Ada\r\nSubject: x\u2028\x00\x1b[31m\u202e Lovelace " + "x" * 100
    made = Templates().render(
        MailKind.INVITATION, About(link=LINK, name=typed, inviter="Eve\nBcc x", note="one\n\ntwo " * 200)
    )
    greeting = next(line for line in made.text.splitlines() if line.startswith("Hello"))
    assert greeting.startswith("Hello Ada Subject: x [31m Lovelace xxx")
    assert len(greeting) == len("Hello ,") + 60
    assert made.subject == "Eve Bcc x invites you to Semel"
    assert all(len(line) <= 504 for line in made.text.splitlines())


def test_nothing_shows() -> None:
    """A link signs people in."""
    assert repr(ABOUT) == "About(…)"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An operator's directory; it is empty."""
    made = tmp_path / "templates"
    made.mkdir()
    return made


def test_an_operators_template_stands_in_place_of_ours(directory: Path) -> None:
    """File by file: what is not there is ours. It may extend our layout, include files of its own, and see it all."""
    (directory / "recover.txt").write_text(
        "Subject: {{ product }}: neu\n\n{% include '_who.txt' %}{{ link }}\n{{ expires_at.year }}", "utf-8"
    )
    (directory / "_who.txt").write_text(
        "Grüß Gott {{ name }}{{ inviter }}{{ note }}{{ expires }}\n{% if expires_at is none %}{% endif %}", "utf-8"
    )
    (directory / "layout.html").write_text("<main>{% block body %}{% endblock %}</main>")
    (directory / ".keep").touch()
    with pytest.raises(ConfigurationInvalid, match=r"recover.txt, line 4: .*'year'"):
        Templates("Acme", directory)  # a mail may come without a time
    (directory / "recover.txt").write_text(
        "Subject: {{ product }}: neu\n\n{% include '_who.txt' %}{{ link }}\n", "utf-8"
    )
    made = Templates("Acme", directory).render(MailKind.RECOVER, About(link=LINK, name="Ada"))
    assert (made.subject, made.text) == ("Acme: neu", f"Grüß Gott Ada\n{LINK}\n")
    assert made.html.startswith("<main>")
    assert "Choose a new password" in Templates("Acme").render(MailKind.RECOVER, ABOUT).subject


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("recover.txt", "Subject: x\n\n{% if link %}", r"recover.txt, line 3: "),
        ("recover.txt", "Subject: x\n\n\n{{ lnk }}", r"recover.txt, line 4: 'lnk' is undefined"),
        ("recover.html", "<p>\n{{ name.first }}", r"recover.html, line 2: .*'first'"),
        ("recover.html", "{% extends 'none.html' %}", r"recover.html, line 1: none.html is not there"),
        ("recover.html", "a\n{{ 1 / 0 }}", r"recover.html, line 2: ZeroDivisionError"),
        ("recover.html", "{% include '_part.html' %}", r"_part.html, line 2: 'nothing' is undefined"),
        (
            "invitation.txt",
            "Subject: x\n{% if note %}{{ inviter }}{% else %}{{ absent }}{% endif %}",
            r"line 2: 'absent'",
        ),
        ("email_changed.txt", "Subject: x\n{% if not link %}{{ absent }}{% endif %}", r"line 2: 'absent'"),
        ("recover.txt", "Hello\n", r"recover.txt, line 1: must begin with a line such as Subject"),
        ("recover.txt", "", r"recover.txt, line 1: must begin"),
        ("recover.txt", "Subject:  \n\nHello", r"recover.txt, line 1: must begin"),
        ("recvoer.txt", "Subject: x\n\nHello", r"recvoer.txt is no mail's template"),
    ],
)
def test_a_broken_template_is_found_at_the_start(directory: Path, file: str, text: str, said: str) -> None:
    """With its file and line: not at the first mail that needs it."""
    (directory / "_part.html").write_text("<p>\n{{ nothing }}</p>")
    (directory / file).write_text(text)
    with pytest.raises(ConfigurationInvalid, match=said):
        Templates("Acme", directory)


def test_a_file_that_is_no_text_is_found_at_the_start(directory: Path) -> None:
    """Templates are UTF-8."""
    (directory / "recover.txt").write_bytes(b"Subject: \xff\n")
    with pytest.raises(ConfigurationInvalid, match=r"recover.txt, line 1: UnicodeDecodeError"):
        Templates("Acme", directory)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """Is said so: not every mail in our own words."""
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        Templates("Acme", tmp_path / "none")


def test_what_was_tried_is_what_people_get(directory: Path) -> None:
    """A file that is changed afterwards waits for the next start."""
    (directory / "recover.txt").write_text("Subject: first\n\nHello\n")
    templates = Templates("Acme", directory)
    (directory / "recover.txt").write_text("Subject: {{ broken\n")
    assert templates.render(MailKind.RECOVER, ABOUT).subject == "first"
