"""What goes over the wire. Decoder and OpenAPI document are both made of these types."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from semel.canonical import USERNAME_LENGTH
from semel.model import Account, Secret

__all__ = [
    "AccountAnswer",
    "Health",
    "JsonWebKeys",
    "RefreshRequest",
    "SignInAnswer",
    "SignInRequest",
    "SignUpAnswer",
    "SignUpRequest",
    "account_answer",
    "schema_of_secret",
    "secret",
]

_Email = Annotated[
    str, Meta(description="An email address; upper and lower case are the same.", examples=["test@example.com"])
]
_NewEmail = Annotated[_Email, Meta(extra_json_schema={"maxLength": 254})]
_Name = Annotated[str, Meta(description="The full name.", examples=["Test User"], extra_json_schema={"maxLength": 200})]
_Username = Annotated[
    str,
    Meta(
        description="A name of one's own; upper and lower case are the same.",
        examples=["tester"],
        extra_json_schema={"minLength": USERNAME_LENGTH.start, "maxLength": USERNAME_LENGTH.stop - 1},
    ),
]
_Role = Annotated[str, Meta(description="One of the roles that a sign-up may ask for.", examples=["Creator"])]
_Hidden = Annotated[Secret, Meta(extra_json_schema={"format": "password"})]
_NewPassword = Annotated[
    Secret,
    Meta(
        description="By default 8 to 128 characters; no common password, and neither the email nor the username.",
        examples=["StrongPass123$"],
        extra_json_schema={"format": "password", "minLength": 1},
    ),
]
_Attributes = Annotated[
    msgspec.Raw,
    Meta(
        description="The application's own fields.", extra_json_schema={"type": "object", "additionalProperties": True}
    ),
]


def secret(kind: type, value: object) -> Secret:
    """Make a field of kind ``Secret``, so that no representation of a request shows it (a decoder's hook)."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise msgspec.ValidationError("Expected `str`")


def schema_of_secret(kind: type) -> dict[str, Any]:
    """Return the JSON Schema of a ``Secret`` (the same hook's, for the document)."""
    return {"type": "string"} if kind is Secret else {}


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body that is sent to us; a field that we do not know is a mistake better told than passed over."""


class SignUpRequest(_Request, frozen=True, kw_only=True):
    """A person who wants an account."""

    email: _NewEmail
    password: _NewPassword
    name: _Name | None = None
    username: _Username | None = None
    role: _Role | None = None
    attributes: Annotated[dict[str, Any], Meta(description="The application's own fields.")] = {}


class SignInRequest(_Request, frozen=True, kw_only=True):
    """An email and the password that proves it."""

    email: _Email
    password: _Hidden


class RefreshRequest(_Request, frozen=True, kw_only=True):
    """A refresh token to be exchanged for the next."""

    refresh_token: _Hidden


class AccountAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    id: str
    email: str | None
    username: str | None
    phone: str | None
    full_name: str | None
    role: str | None
    roles: tuple[str, ...]
    is_active: bool
    onboarding_completed: bool
    attributes: _Attributes
    created_at: datetime
    updated_at: datetime
    last_sign_in_at: datetime | None


class SignUpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The account that was made, by this request or by the one that it repeats."""

    user_id: str
    account: AccountAnswer


class SignInAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens (RFC 6750), and whose they are."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: Annotated[int, Meta(description="Seconds for which the access token is good.")]
    account: AccountAnswer


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The server is well."""

    status: str


class JsonWebKeys(msgspec.Struct, frozen=True):
    """The public keys that verify access tokens (RFC 7517)."""

    keys: tuple[dict[str, Any], ...]


def account_answer(account: Account) -> AccountAnswer:
    """Return what an account's owner may see of it."""
    return AccountAnswer(
        id=account.id,
        email=account.email,
        username=account.username,
        phone=next((name.value for name in account.identifiers if name.kind == "phone"), None),
        full_name=account.full_name,
        role=account.role,
        roles=account.roles,
        is_active=account.is_active,
        onboarding_completed=account.onboarding_completed,
        attributes=msgspec.Raw(account.attributes.encode()),
        created_at=account.created_at,
        updated_at=account.updated_at,
        last_sign_in_at=account.last_sign_in_at,
    )
