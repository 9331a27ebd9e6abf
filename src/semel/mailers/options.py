"""What it takes to send mail. No client is imported here: the settings are checked without one."""

from __future__ import annotations

import re
from email.headerregistry import Address
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from semel import canonical
from semel.errors import ConfigurationInvalid, InvalidInput
from semel.model import Secret

__all__ = ["MAIL_OPTIONS", "MailOptions", "Relay", "Tls", "is_loopback"]

MAIL_OPTIONS: Final = {
    "smtp_url": "smtp_url",
    "timeout": "smtp_timeout_seconds",
    "mail_from": "mail_from",
    "reply_to": "mail_reply_to",
    "product": "product_name",
    "templates": "mail_templates",
    "directory": "mail_directory",
    "page": "mail_page",
    "listens_on": "host",
}
"""Which setting each option is."""

_NOBODY: Final = "noreply@localhost"
_PRODUCT_LONGEST: Final = 80
_PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NAMED: Final = re.compile(r"(?P<name>[^<>]*)<(?P<named>[^<>]+)>|(?P<bare>[^<>]+)")
"""A name is taken as it stands, with dots and commas, quoted or not: it is quoted where mail needs that."""
_SHAPE: Final = "smtp_url must read smtp://user:password@host:587?tls=starttls, what is reserved percent-encoded"


class Tls(StrEnum):
    """How a connection to a mail server is kept private."""

    STARTTLS = "starttls"
    """It begins in the clear, and nothing is said before it is private (RFC 3207). A server that does not offer it is
    given no mail."""
    IMPLICIT = "implicit"
    """It is private from its first byte on (RFC 8314)."""
    NONE = "none"
    """Everybody on the way can read along."""


_PORTS: Final = {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}


class Relay(msgspec.Struct, frozen=True):
    """A mail server that takes mail for others."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: Secret | None = None


class MailOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes, and which way the mail goes. Raises ``ConfigurationInvalid`` where something cannot be right."""

    smtp_url: Secret | None = None
    """``smtp://user:password@host:587?tls=starttls``; ``smtps:`` is ``tls=implicit``. Without it mail stays here."""
    timeout: float = 10.0
    """Seconds for handing over a mail, from the connection to the answer."""
    mail_from: str | None = None
    """``Name <address>``. Needed where there is a server."""
    reply_to: str | None = None
    product: str = "Semel"
    """What the mails call the application."""
    templates: Path | None = None
    """The operator's own."""
    directory: Path = Path("var/mail")
    """Where mail stays, without a server."""
    page: bool = False
    """Whether the server shows what stays."""
    listens_on: str = "127.0.0.1"
    """Where the server listens."""

    def __post_init__(self) -> None:
        """Check each, and what they need of each other."""
        relay = self.relay
        if relay is not None and self.mail_from is None:
            raise ConfigurationInvalid("mail_from is missing: say who writes, as in Example <noreply@example.org>")
        _ = self.sender, self.answers_to
        if not _PRINTABLE.fullmatch(self.product) or len(self.product) > _PRODUCT_LONGEST:
            raise ConfigurationInvalid(f"product must be one line of at most {_PRODUCT_LONGEST} characters")
        if self.page and (relay is not None or not is_loopback(self.listens_on)):
            rule = "is for development: it needs a loopback address in listens_on, and no smtp_url"
            raise ConfigurationInvalid(f"page shows links that sign people in, so it {rule}")

    @property
    def relay(self) -> Relay | None:
        """The server of the URL, ``None`` where none is named."""
        return None if self.smtp_url is None else _relay(self.smtp_url.reveal())

    @property
    def sender(self) -> Address:
        """Who writes."""
        return _address("mail_from", self.mail_from or _NOBODY)

    @property
    def answers_to(self) -> Address | None:
        """Where answers go, if not to the sender."""
        return None if self.reply_to is None else _address("reply_to", self.reply_to)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine and nobody else reaches it."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _relay(url: str) -> Relay:
    try:
        return _read(url)
    except ValueError:  # its message may quote the password
        raise ConfigurationInvalid(_SHAPE) from None


def _read(url: str) -> Relay:
    """Return what a URL says. Raises ``ValueError`` for what is none, ``ConfigurationInvalid`` for what is unsafe."""
    parts = urlsplit(url)
    said: dict[str, Any] = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    user, password = (unquote(one) if one else None for one in (parts.username, parts.password))
    right = (
        parts.scheme in {"smtp", "smtps"}
        and parts.hostname
        and parts.path in {"", "/"}
        and not parts.fragment
        and parts.netloc.count("@") <= 1
        and said.keys() <= {"tls"}
        and (user is None) is (password is None)
    )
    if not right or not parts.hostname:
        raise ValueError(_SHAPE)
    tls = _tls(parts.scheme, said.get("tls"), parts.hostname)
    if tls is Tls.NONE and password is not None and not is_loopback(parts.hostname):
        raise ConfigurationInvalid("smtp_url has a password, which tls=none would show to everybody on the way")
    port = _PORTS[tls] if parts.port is None else parts.port
    return Relay(parts.hostname, port, tls, user, None if password is None else Secret(password))


def _tls(scheme: str, said: str | None, host: str) -> Tls:
    if scheme == "smtps":
        if said not in {None, Tls.IMPLICIT}:
            raise ValueError(_SHAPE)
        return Tls.IMPLICIT
    if said is None:
        return Tls.NONE if is_loopback(host) else Tls.STARTTLS
    return Tls(said)


def _address(name: str, value: str) -> Address:
    """Return the one address of a header, its domain as mail servers know it."""
    wrong = ConfigurationInvalid(f"{name} must be one address, as in Example <noreply@example.org>")
    said = _NAMED.fullmatch(value.strip()) if _PRINTABLE.fullmatch(value) else None
    if said is None:
        raise wrong
    try:
        found = canonical.email(said["named"] or said["bare"], allow_special_use=True)
    except InvalidInput:
        raise wrong from None
    local, domain = found.shown.rpartition("@")[0], found.name.value.rpartition("@")[2]
    if not local.isascii():
        raise ConfigurationInvalid(f"{name} must have an address that every mail server takes: ASCII before the @")
    return Address((said["name"] or "").strip().strip('"'), local, domain)
