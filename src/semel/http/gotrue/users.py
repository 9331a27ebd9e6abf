"""A user and a session as Supabase Auth shows them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from semel.details import Details, details_of, details_text
from semel.gotrue_tokens import GoTrueTokens
from semel.model import Account
from semel.sessions import Person, Session

__all__ = ["ROLE", "confirmed_at", "session_body", "to_strangers", "user_body"]

ROLE: Final = "authenticated"
"""The usual role, and the usual audience."""
_METHOD: Final = "password"
_OF_THE_USER: Final = ("sub", "email", "email_verified", "phone_verified")
"""What ``user_metadata`` says of the user itself, after a sign-up: whatever else stands there under these names."""


def confirmed_at(person: Person, *, autoconfirm: bool) -> datetime | None:
    """Return since when the email counts as confirmed, ``None`` where it does not.

    Of an account that another door made nobody has said it; then it counts where every sign-up's does.
    """
    details = details_of(person.identity)
    at_birth = autoconfirm if details.confirmed is None else details.confirmed
    if person.account.email_canonical is None:
        return None
    return person.account.created_at if at_birth else details.confirmed_at


def user_body(
    person: Person, *, autoconfirm: bool, fresh: bool = False, with_identities: bool = True
) -> dict[str, Any]:
    """Return the user. ``fresh``: as the request answers it that confirmed the email. Pages show no identities."""
    account, details = person.account, details_of(person.identity)
    confirmed = confirmed_at(person, autoconfirm=autoconfirm)
    times = {
        "email_confirmed_at": confirmed,
        "confirmed_at": None if fresh else confirmed,
        "last_sign_in_at": account.last_sign_in_at,
        "banned_until": account.banned_until,
    }
    shown: dict[str, Any] = {
        "id": account.id,
        "aud": details.aud or ROLE,
        "role": details.role or ROLE,
        "email": account.email_canonical or "",
        "phone": _phone(account),
        **{name: time for name, time in times.items() if time is not None},
        "app_metadata": _app_metadata(details),
        "user_metadata": _user_metadata(account, details, confirmed is not None),
        "identities": _identities(account, details, fresh=fresh) if with_identities else None,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
        "is_anonymous": False,
    }
    return shown


def to_strangers(person: Person) -> Person:
    """Return what of a person anybody may see who signs up with the same email.

    What a sign-up of this API said, as at the real server; nothing that an administrator or another door said or did.
    """
    details, account = details_of(person.identity), person.account
    account = account.but(identifiers=(), last_sign_in_at=None, banned_until=None)
    if not details.signed_up:
        account = account.but(attributes="{}", full_name=None)
    shown = Details(signed_up=details.signed_up, confirmed=details.confirmed, confirmed_at=details.confirmed_at)
    return Person(account, person.identity.but(details=details_text(shown)))


def session_body(tokens: GoTrueTokens, session: Session, person: Person, user: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session, with an access token that is made here."""
    claims = {
        "sub": person.account.id,
        **{name: user[name] for name in ("aud", "role", "email", "phone", "app_metadata", "user_metadata")},
        "aal": "aal1",
        "amr": [{"method": _METHOD, "timestamp": int(session.family.created_at.timestamp())}],
        "session_id": session.family.id,
        "is_anonymous": False,
    }
    access_token, expires_at = tokens.make(claims, session.at, session.seconds)
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": int(session.seconds),
        "expires_at": expires_at,
        "refresh_token": session.refresh_token.reveal(),
        "user": user,
    }


def _app_metadata(details: Details) -> dict[str, Any]:
    return {"provider": "email", "providers": ["email"], **details.app_metadata}


def _user_metadata(account: Account, details: Details, verified: bool) -> dict[str, Any]:  # noqa: FBT001 - one caller
    given: dict[str, Any] = msgspec.json.decode(account.attributes)
    if account.full_name is not None and not {"full_name", "name"} & given.keys():
        given["full_name"] = account.full_name
    if details.signed_up:
        return given | _signed_up(account, verified=verified)
    given.pop("email_verified", None)
    return given | {"email_verified": True} if verified else given


def _signed_up(account: Account, *, verified: bool) -> dict[str, Any]:
    values = (account.id, account.email_canonical or "", verified, False)
    return dict(zip(_OF_THE_USER, values, strict=True))


def _identities(account: Account, details: Details, *, fresh: bool) -> list[dict[str, Any]]:
    """Return the one identity of a user with an email. Its id is that of no other life of the same account id.

    As at the server, it says that the email is verified in the answer to the sign-up that confirmed it, never again.
    """
    if account.email_canonical is None:
        return []
    given = msgspec.json.decode(account.attributes) if details.signed_up else {}
    verified = fresh and details.signed_up and details.confirmed is True
    return [
        {
            "identity_id": str(uuid.uuid5(uuid.UUID(account.id), account.registration)),
            "id": account.id,
            "user_id": account.id,
            "identity_data": given | _signed_up(account, verified=verified),
            "provider": "email",
            "last_sign_in_at": account.created_at,
            "created_at": account.created_at,
            "updated_at": account.updated_at,
            "email": account.email_canonical,
        }
    ]


def _phone(account: Account) -> str:
    numbers = (one.value for one in account.identifiers if one.kind == "phone")
    return next(numbers, "").removeprefix("+")
