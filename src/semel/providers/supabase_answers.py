"""What the answers of a Supabase Auth server mean: users, sessions, and its error codes.

The codes are those of https://supabase.com/docs/guides/auth/debugging/error-codes. What is not listed here says
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from semel.model import Secret
from semel.ports import Exists, Found, Rejected, SignedIn, Tokens, Unknown
from semel.providers.http import Answer, unknown

__all__ = [
    "BARRED",
    "ENDED",
    "NOT_SIGNED_IN",
    "NO_TOKEN",
    "REFRESH_OVER",
    "gone",
    "listed",
    "refused",
    "signed_in",
    "too_long",
    "user",
]

NOT_SIGNED_IN: Final = frozenset({"invalid_credentials", "email_not_confirmed", "phone_not_confirmed", "user_banned"})
"""With these a sign-in ends for good. Only the first says that the password is wrong."""

REFRESH_OVER: Final = frozenset(
    {
        "refresh_token_already_used",
        "refresh_token_not_found",
        "session_expired",
        "session_not_found",
        "user_banned",
        "user_not_found",
        "validation_failed",
    }
)
"""With these a refresh token is none, or none any more."""

ENDED: Final = frozenset({"session_expired", "session_not_found", "user_not_found"})
"""With these the session of a token that is genuine has ended."""

BARRED: Final = frozenset({"user_banned"})
"""With these the session of a genuine token goes on, and lets nobody in."""

NO_TOKEN: Final = frozenset({"bad_jwt", "no_authorization"})
"""With these a person's token is none, or has expired."""

_TAKEN: Final = frozenset({"email_exists", "phone_exists", "user_already_exists"})
_FIELDS: Final[Mapping[str, str | None]] = {
    "bad_json": None,
    "email_address_invalid": "email",
    "email_address_not_authorized": "email",
    "user_sso_managed": None,
    "validation_failed": None,
    "weak_password": "password",
}
"""What refuses for good, and which field each speaks of; ``validation_failed`` speaks of whichever its text names."""

_LONGEST_PASSWORD: Final = 72
"""In bytes: bcrypt takes no more. A create with more makes the server fail, so that it is answered as if unknown."""


class _User(msgspec.Struct, frozen=True):
    id: str
    email: str | None = None
    email_confirmed_at: str | None = None
    banned_until: datetime | None = None
    deleted_at: str | None = None
    created_at: datetime | None = None


class _Session(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    expires_in: int
    user: dict[str, Any]


def user(body: object, now: datetime) -> Found | None:
    """Return the user that a body tells of, ``None`` where it tells of none.

    One that was deleted softly has its id still, and an address that is a hash of the old one: it is shown without.
    """
    try:
        read = msgspec.convert(body, _User)
    except msgspec.ValidationError:
        return None
    email = None if read.deleted_at else read.email or None
    confirmed = email is not None and bool(read.email_confirmed_at)
    banned = read.banned_until is not None and read.banned_until > now
    made = read.created_at if read.created_at and read.created_at.tzinfo else None
    return Found(read.id, read.id, email, confirmed, banned or read.deleted_at is not None, made)


def listed(body: object, now: datetime) -> list[Found] | None:
    """Return the users of a page, ``None`` where the body is no page."""
    users = body.get("users") if isinstance(body, dict) else None
    if not isinstance(users, list):
        return None
    found = [user(each, now) for each in users]
    return [each for each in found if each is not None] if None not in found else None


def signed_in(body: object, now: datetime) -> SignedIn | None:
    """Return the session that a body tells of, ``None`` where it tells of none."""
    try:
        session = msgspec.convert(body, _Session)
    except msgspec.ValidationError:
        return None
    whose = user(session.user, now)
    tokens = Tokens(session.access_token, session.refresh_token, session.expires_in)
    return None if whose is None else SignedIn(whose, tokens)


def gone(answer: Answer) -> bool:
    """Whether the server itself says that it has no such user: a 404 of a proxy, or of another server, is not that."""
    return answer.status == HTTPStatus.NOT_FOUND and answer.code == "user_not_found"


def refused(answer: Answer, who: str) -> Exists | Rejected | Unknown:
    """Return what an answer to a create or an update comes to that did not do it."""
    if not HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return unknown(answer, who)
    if answer.code in _TAKEN:
        return Exists()
    if answer.code is None or answer.code not in _FIELDS:
        return unknown(answer, who)
    field = _named(answer.body) if answer.code == "validation_failed" else _FIELDS[answer.code]
    return Rejected(f"The identity provider does not take this {field or 'identity'} ({answer.code})", field)


def too_long(password: Secret | None) -> Rejected | None:
    """Return the refusal of a password that the server cannot keep, ``None`` for one that it can."""
    if password is None or len(password.reveal().encode()) <= _LONGEST_PASSWORD:
        return None
    return Rejected(f"The identity provider takes passwords of at most {_LONGEST_PASSWORD} bytes", "password")


def _named(body: object) -> str | None:
    """Return the field that the text of a refusal names. The text decides nothing else, and is not passed on."""
    text = str(body).lower()
    return next((field for field in ("password", "email") if field in text), None)
