"""What a mail is, before anybody has it: the same whichever way it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from typing_extensions import override

__all__ = ["Mail", "MailKind", "Rendered"]


_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HEADER: Final = re.compile(r"[!-9;-~]{1,76}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_OURS: Final = frozenset(
    {"from", "to", "subject", "date", "message-id", "mime-version", "auto-submitted", "reply-to", "sender", "cc", "bcc"}
)
"""The headers that a mailer writes itself, or that would bring the mail to others."""


class MailKind(StrEnum):
    """Why a mail is written; also the name of its templates."""

    VERIFY_EMAIL = "verify_email"
    """To an email that signed up: the link proves it."""
    RECOVER = "recover"
    """To whoever forgot the password: the link leads to a new one."""
    SET_PASSWORD = "set_password"  # noqa: S105 - a name
    """To somebody who has no password yet: an administrator made the account, or a stranger signed up first."""
    CHANGE_EMAIL = "change_email"
    """To the email that an account wants to have: the link proves it."""
    EMAIL_CHANGED = "email_changed"
    """To the email that an account had until now."""
    SIGN_UP_AGAIN = "sign_up_again"
    """To the owner of an email with which somebody signed up again, where the answer must not tell."""
    INVITATION = "invitation"
    """To somebody who is invited: the link accepts."""
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    """To the account's email, after its password was changed."""


class Rendered(msgspec.Struct, frozen=True):
    """A subject and a body in both forms, made of templates. Shows nothing of itself: a link in it signs people in."""

    subject: str
    text: str
    html: str

    @override
    def __repr__(self) -> str:
        """Show that there is something, and nothing of it."""
        return "Rendered(…)"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one person. Its repr has neither the address nor anything of the body.

    Raises ``ValueError``, without any value, for what could make another mail of it: a line's end in the subject or in
    a header, a header that is a mailer's own.
    """

    id: str
    """Of the delivery, the same at each try: the ``Message-ID`` is made of it, so that receivers can recognise a mail
    that comes twice. Letters, digits and ``.-_``."""
    kind: str
    """What it is counted and logged as: a ``MailKind``, or a word of whoever writes it."""
    to: str
    """The address alone."""
    subject: str
    text: str
    html: str | None = None
    headers: Mapping[str, str] = {}
    """Further headers. Those that a mailer writes itself cannot be given."""

    def __post_init__(self) -> None:
        """Check what becomes a header."""
        if not _ID.fullmatch(self.id):
            raise ValueError("a mail's id is 1 to 128 letters, digits and .-_")
        if any(map(_CONTROL.search, (self.to, self.subject, *self.headers.values()))):
            raise ValueError("what becomes a header is one line without control characters")
        for name in self.headers:
            if not _HEADER.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("content-"):
                raise ValueError("a further header has a name of its own, of visible ASCII characters without a colon")
        if not all(map(_is_text, (self.to, self.subject, self.text, self.html or "", *self.headers.values()))):
            raise ValueError("a mail is text that UTF-8 can say")

    @override
    def __repr__(self) -> str:
        """Show which mail it is."""
        return f"Mail(id={self.id!r}, kind={str(self.kind)!r}, …)"


def _is_text(value: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
