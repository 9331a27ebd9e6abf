"""A mail as it is written (RFC 5322): the same whichever way it goes."""

from __future__ import annotations

from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Final

import msgspec

from semel import canonical
from semel.errors import InvalidInput
from semel.mail import Mail
from semel.mailers.options import MailOptions
from semel.outgoing import Refused

__all__ = ["NOT_ALLOWED", "Letter", "compose"]

_END: Final = "\r\n"
_UNFOLDED: Final = 60
NOT_ALLOWED: Final = Refused(553)
"""An address that cannot be written to: "mailbox name not allowed" (RFC 5321, 4.2.3; RFC 6531, 3.5)."""


class Letter(msgspec.Struct, frozen=True):
    """What is handed to a mail server."""

    sender: str
    to: str
    content: bytes
    international: bool
    """Whether the address has other characters than ASCII before the ``@``, which takes SMTPUTF8 (RFC 6531)."""


def compose(mail: Mail, options: MailOptions, now: datetime) -> Letter | Refused:
    """Return the mail as bytes; refused is an address that no server could take."""
    try:
        found = canonical.email(mail.to, allow_special_use=True)
    except InvalidInput:
        return NOT_ALLOWED
    to = Address(username=found.shown.rpartition("@")[0], domain=found.name.value.rpartition("@")[2])
    message = _headed(mail, options, to, now)
    # Quoted-printable is what every server passes on unchanged.
    message.set_content(mail.text, cte="quoted-printable")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    international = not to.addr_spec.isascii()
    content = _free_headers(mail) + message.as_bytes(policy=SMTPUTF8 if international else SMTP)
    return Letter(options.sender.addr_spec, to.addr_spec, content, international)


def _free_headers(mail: Mail) -> bytes:
    """Return the headers that are any text. ``EmailMessage`` may lose a space where it folds one (Python 3.11)."""
    lines = [_folded(name, value) for name, value in (("Subject", mail.subject), *mail.headers.items())]
    return "".join(lines).encode("ascii")


def _folded(name: str, value: str) -> str:
    # Where words are folded, spaces may change: whatever needs folding goes as encoded words (RFC 2047).
    if value.isascii() and "=?" not in value and len(value) <= _UNFOLDED and value == value.strip():
        return f"{name}: {value}{_END}"
    return f"{name}: {Header(value, 'utf-8', header_name=name).encode(linesep=_END)}{_END}"


def _headed(mail: Mail, options: MailOptions, to: Address, now: datetime) -> EmailMessage:
    message = EmailMessage(policy=SMTPUTF8)
    message["From"] = options.sender
    message["To"] = to
    if options.answers_to is not None:
        message["Reply-To"] = options.answers_to
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{mail.id}@{options.sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no machine is to answer
    return message
