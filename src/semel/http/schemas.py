"""What goes over the wire. Decoder and OpenAPI document are both made of these types."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from semel.api_keys import Scope
from semel.canonical import USERNAME_LENGTH
from semel.model import Account, ApiKey, Invitation, Secret
from semel.states import InvitationState

__all__ = [
    "AcceptRequest",
    "AccountAnswer",
    "ApiKeyAnswer",
    "ApiKeyRequest",
    "ApiKeysAnswer",
    "Health",
    "InvitationAnswer",
    "InvitationRequest",
    "InvitationsAnswer",
    "JsonWebKeys",
    "MadeApiKeyAnswer",
    "MadeInvitationAnswer",
    "RefreshRequest",
    "ShownInvitationAnswer",
    "SignInAnswer",
    "SignInRequest",
    "SignUpAnswer",
    "SignUpRequest",
    "UserChange",
    "UserRequest",
    "UsersAnswer",
    "account_answer",
    "api_key_answer",
    "invitation_answer",
    "schema_of_secret",
    "secret",
    "shown_invitation_answer",
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


class EmailRequest(_Request, frozen=True, kw_only=True):
    """An email to which a mail is to go."""

    email: _Email


class OpenRequest(_Request, frozen=True, kw_only=True):
    """What a link needs besides itself."""

    password: _NewPassword | None = None
    sign_up_token: _Hidden | None = None


class PasswordChangeRequest(_Request, frozen=True, kw_only=True):
    """A new password, and what proves that it may be set."""

    email: _Email
    password: _Hidden
    new_password: _NewPassword


class EmailChangeRequest(_Request, frozen=True, kw_only=True):
    """The email that the account is to have, and what proves that it may."""

    email: _Email
    password: _Hidden
    new_email: _NewEmail


class AskedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to whoever asks for a mail: the same whether there is an account or not."""

    message: str


class PendingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to whoever signs up where the answer must not tell: the same for new and for taken emails."""

    message: str
    sign_up_token: str


class LinkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a link is for."""

    purpose: str
    email: str
    expires_at: datetime
    leads_to_password: bool
    """Whether opening it takes a new password; at a first proof not from the session that signed up."""


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
    email_verified_at: datetime | None
    """Since when the email is proved; null while nobody has proved it."""


class SignUpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The account that was made, by this request or by the one that it repeats."""

    user_id: str
    account: AccountAnswer
    sign_up_token: str | msgspec.UnsetType = msgspec.UNSET
    """Where the email is still to be proved: show it again when the link is opened, and the password stays."""


class OpenedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The account as it is once its link was opened, or its password set."""

    account: AccountAnswer


class SignInAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens (RFC 6750), and whose they are."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: Annotated[int, Meta(description="Seconds for which the access token is good.")]
    account: AccountAnswer


_AnyRole = Annotated[str, Meta(description="Any role, also an administrator's.", extra_json_schema={"maxLength": 64})]
_AllRoles = Annotated[tuple[str, ...], Meta(description="All roles; the one of `role` alone where none are given.")]
_Merged = Annotated[
    dict[str, Any], Meta(description="Merged into the account's own at the first level; null takes a field away.")
]


class UserRequest(_Request, frozen=True, kw_only=True):
    """An account that an administrator makes. Without a password a mail leads its person to set one."""

    email: _NewEmail
    password: _NewPassword | None = None
    full_name: _Name | None = None
    username: _Username | None = None
    role: _AnyRole | None = None
    roles: _AllRoles = ()
    is_active: bool = True
    attributes: Annotated[dict[str, Any], Meta(description="The application's own fields.")] = {}


class UserChange(_Request, frozen=True, kw_only=True):
    """What an account is to say instead; what is left out stays. Null takes away."""

    full_name: _Name | msgspec.UnsetType | None = msgspec.UNSET
    username: _Username | msgspec.UnsetType | None = msgspec.UNSET
    role: _AnyRole | msgspec.UnsetType | None = msgspec.UNSET
    roles: _AllRoles | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET
    onboarding_completed: bool | msgspec.UnsetType = msgspec.UNSET
    attributes: _Merged | msgspec.UnsetType = msgspec.UNSET


class UsersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Some accounts; ``cursor`` leads to the next ones."""

    users: tuple[AccountAnswer, ...]
    cursor: str | None


_Note = Annotated[str, Meta(description="What the mail says besides.", extra_json_schema={"maxLength": 1000})]
_ExpiresIn = Annotated[float, Meta(description="Seconds from now on.", examples=[604_800])]


class ApiKeyRequest(_Request, frozen=True, kw_only=True):
    """An API key to be made."""

    name: Annotated[str, Meta(description="What people will call it.", extra_json_schema={"maxLength": 100})]
    scopes: tuple[Scope, ...]
    expires_in: _ExpiresIn | None = None


class ApiKeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without the key itself."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeApiKeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The API key that was made. ``token`` is shown this once."""

    token: str
    key: ApiKeyAnswer


class ApiKeysAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Some API keys; ``cursor`` leads to the next ones."""

    keys: tuple[ApiKeyAnswer, ...]
    cursor: str | None


class InvitationRequest(_Request, frozen=True, kw_only=True):
    """Who is invited, and to what."""

    email: _NewEmail
    role: _AnyRole | None = None
    note: _Note | None = None
    expires_in: _ExpiresIn = 604_800.0


class InvitationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation, without its token."""

    id: str
    state: InvitationState
    email: str | None
    role: str | None
    note: str | None
    invited_by: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    account_id: str | None


class MadeInvitationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The invitation that was made or sent again. ``token`` is shown to nobody else."""

    token: str
    invitation: InvitationAnswer


class InvitationsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Some invitations; ``cursor`` leads to the next ones."""

    invitations: tuple[InvitationAnswer, ...]
    cursor: str | None


class ShownInvitationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation, as the invited may see it."""

    email: str | None
    role: str | None
    note: str | None
    state: InvitationState
    expires_at: datetime


class AcceptRequest(_Request, frozen=True, kw_only=True):
    """The account that the invited will have. Email and role are the invitation's."""

    password: _NewPassword
    full_name: _Name | None = None
    username: _Username | None = None


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
        email_verified_at=account.email_verified_at,
    )


def api_key_answer(key: ApiKey) -> ApiKeyAnswer:
    """Return what may be seen of an API key."""
    return ApiKeyAnswer(
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        created_by=key.created_by,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )


def invitation_answer(invitation: Invitation) -> InvitationAnswer:
    """Return what administrators may see of an invitation."""
    return InvitationAnswer(
        id=invitation.id,
        state=invitation.state,
        email=invitation.email,
        role=invitation.role,
        note=invitation.note,
        invited_by=invitation.invited_by,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        ended_at=invitation.ended_at,
        account_id=invitation.account_id,
    )


def shown_invitation_answer(invitation: Invitation, now: datetime) -> ShownInvitationAnswer:
    """Return what the invited may see; one whose time is over has expired, though upkeep has not yet said so."""
    over = invitation.state is InvitationState.PENDING and invitation.expires_at <= now
    return ShownInvitationAnswer(
        email=invitation.email,
        role=invitation.role,
        note=invitation.note,
        state=InvitationState.EXPIRED if over else invitation.state,
        expires_at=invitation.expires_at,
    )
