"""What the URL of a mail server may say."""

from __future__ import annotations

import pytest

from semel.errors import ConfigurationInvalid
from semel.mailers.options import MailOptions, Relay, Tls, is_loopback
from semel.model import Secret


def relay(url: str) -> Relay:
    found = MailOptions(smtp_url=Secret(url), mail_from="noreply@example.org").relay
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://mail.example.org", 587, Tls.STARTTLS),
        ("smtp://mail.example.org/", 587, Tls.STARTTLS),
        ("smtp://mail.example.org:25?tls=starttls", 25, Tls.STARTTLS),
        ("smtps://mail.example.org", 465, Tls.IMPLICIT),
        ("smtps://mail.example.org:466?tls=implicit", 466, Tls.IMPLICIT),
        ("smtp://mail.example.org?tls=implicit", 465, Tls.IMPLICIT),
        ("smtp://mail.example.org?tls=none", 25, Tls.NONE),
        ("smtp://localhost:1025", 1025, Tls.NONE),
        ("smtp://[::1]", 25, Tls.NONE),
        ("smtp://127.0.0.1?tls=starttls", 587, Tls.STARTTLS),
    ],
)
def test_tls_is_the_rule(url: str, port: int, tls: Tls) -> None:
    """Only this machine is spoken to in the clear, unless somebody says so."""
    found = relay(url)
    assert (found.port, found.tls) == (port, tls)


def test_a_password_is_decoded_and_does_not_show() -> None:
    """As URLs encode it."""
    found = relay("smtp://user%40example.org:p%40ss%3Aw%2Ford@mail.example.org")
    assert (found.user, found.password and found.password.reveal()) == ("user@example.org", "p@ss:w/ord")
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.org",
        "smtp:mail.example.org",
        "smtp://",
        "smtp://user@mail.example.org",
        "smtp://:hidden@mail.example.org",
        "smtp://user:hidden/word@mail.example.org",
        "smtp://user:hidden@word@mail.example.org",
        "smtp://user:hidden#word@mail.example.org",
        "smtp://mail.example.org:hidden",
        "smtp://mail.example.org:99999",
        "smtp://mail.example.org/path",
        "smtp://mail.example.org?tls=maybe",
        "smtp://mail.example.org?verify=no",
        "smtps://mail.example.org?tls=none",
        "smtp://[mail",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    """With the shape that is right, and nothing of what was given."""
    with pytest.raises(ConfigurationInvalid, match="must read smtp://user:password@host:587") as caught:
        relay(url)
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_not_shown_to_the_network() -> None:
    """In the clear it goes to this machine alone."""
    with pytest.raises(ConfigurationInvalid, match="everybody on the way"):
        relay("smtp://user:word@mail.example.org?tls=none")
    assert relay("smtp://user:word@localhost").tls is Tls.NONE


def test_who_writes_must_be_said() -> None:
    """Where mail leaves the machine."""
    with pytest.raises(ConfigurationInvalid, match="mail_from is missing"):
        MailOptions(smtp_url=Secret("smtp://mail.example.org"))
    assert MailOptions().sender.addr_spec == "noreply@localhost"


@pytest.mark.parametrize("listens_on", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org", ""])  # noqa: S104 - refused
def test_the_page_is_for_this_machine(listens_on: str) -> None:
    """On any other address the start is refused, and beside a mail server as well."""
    with pytest.raises(ConfigurationInvalid, match="sign people in"):
        MailOptions(page=True, listens_on=listens_on)
    with pytest.raises(ConfigurationInvalid, match="sign people in"):
        MailOptions(page=True, smtp_url=Secret("smtp://localhost"), mail_from="noreply@example.org")
    assert MailOptions(page=True, listens_on="127.0.0.1").page


@pytest.mark.parametrize("product", ["", "two\nlines", "x" * 81])
def test_a_product_has_a_name(product: str) -> None:
    """Of one line."""
    with pytest.raises(ConfigurationInvalid, match="product must be one line"):
        MailOptions(product=product)


def test_this_machine() -> None:
    """By name, and by any address of it."""
    assert all(map(is_loopback, ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"]))
    assert not any(map(is_loopback, ["", "localhost.", "127.0.0.1.example.org", "0.0.0.0", "::", "::ffff:8.8.8.8"]))  # noqa: S104 - told apart
