"""The part of the library's face that is an administrator's: accounts changed, API keys, invitations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from semel import canonical
from semel.api_keys import MadeApiKey, NewApiKey
from semel.arguments import as_secret, check_page, check_texts
from semel.assembly import Parts
from semel.config import Settings
from semel.config_names import scheme
from semel.errors import FieldError, InvalidInput
from semel.identity_updates import Change, update_identity
from semel.intents import MOST_ROLES, Intent
from semel.invitations import Invite, MadeInvitation, acceptance
from semel.model import Account, ApiKey, Invitation, Secret
from semel.protocol.engine import Registered
from semel.states import InvitationState

__all__ = ["AccountUpdate", "Administration", "ApiKeyPage", "InvitationPage"]

_FULL_NAME_LONGEST: Final = 200
_ROLE_LONGEST: Final = 64
_AT_THE_PROVIDER: Final = FieldError("username", "not_offered", "Usernames are the realm's own: change it in Keycloak")


class AccountUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is to say instead; whatever is not given stays as it is."""

    username: str | UnsetType | None = UNSET
    """``None`` takes it away."""
    full_name: str | UnsetType | None = UNSET
    role: str | UnsetType | None = UNSET
    roles: tuple[str, ...] | UnsetType = UNSET
    attributes: Mapping[str, Any] | UnsetType = UNSET
    """Merged into the account's at the first level; ``None`` removes."""
    is_active: bool | UnsetType = UNSET
    """``False`` ends all sessions, and lets nobody sign in, at a remote provider too."""
    onboarding_completed: bool | UnsetType = UNSET


class ApiKeyPage(msgspec.Struct, frozen=True):
    """Some API keys in the store's own order; ``cursor`` leads to the next page, ``None`` after the last."""

    keys: tuple[ApiKey, ...]
    cursor: str | None


class InvitationPage(msgspec.Struct, frozen=True):
    """Some invitations in the store's own order; ``cursor`` leads to the next page, ``None`` after the last.

    A page may be short, or empty, though more follow: where they are chosen by state.
    """

    invitations: tuple[Invitation, ...]
    cursor: str | None


class Administration(ABC):
    """What an administrator does. The caller has made sure that it is one."""

    settings: Settings

    @property
    @abstractmethod
    def parts(self) -> Parts:
        """What an open Semel works with."""

    async def update_account(
        self,
        account_id: str,
        update: AccountUpdate,
        *,
        version: int | None = None,
        allowed: Callable[[Account], None] | None = None,
    ) -> Account:
        """Change an account: all that is given or nothing, on top of what others change meanwhile.

        With ``version`` only an account at that version. ``allowed`` may raise why this one is not to be changed.
        Raises ``InvalidInput``, ``NotFound``, ``UserAlreadyExists`` for a taken username, ``PreconditionFailed``,
        ``OutcomeUnknown`` or a ``StoreError``.
        """
        check_texts({"account_id": account_id})
        change = msgspec.structs.replace(_change(self.settings, update), version=version, allowed=allowed)
        return (await update_identity(self.parts.engine, account_id, change)).account

    async def create_api_key(
        self,
        name: str,
        scopes: tuple[str, ...],
        *,
        seconds: float | None = None,
        by: str = "library",
        epoch: int | None = None,
    ) -> MadeApiKey:
        """Make an API key, which is shown this once. See ``semel.api_keys.Scope`` and ``NewApiKey``.

        Raises ``InvalidInput``, ``InvalidToken`` where who makes it is let in no longer, ``OutcomeUnknown`` or a
        ``StoreError``.
        """
        check_texts({"name": name, **{f"scopes.{at}": one for at, one in enumerate(scopes)}})
        return await self.parts.api_keys.create(
            NewApiKey(name=name, scopes=scopes, seconds=seconds, created_by=by, epoch=epoch)
        )

    async def api_keys(self, cursor: str | None = None, limit: int = 100) -> ApiKeyPage:
        """Return API keys page by page, also those that let nobody in any more. Raises as ``accounts`` does."""
        check_page(cursor, limit)
        keys, following = await self.parts.api_keys.page(cursor, limit)
        return ApiKeyPage(tuple(keys), following)

    async def revoke_api_key(self, key_id: str) -> ApiKey:
        """Take an API key back for good. Raises ``NotFound``, ``OutcomeUnknown`` or a ``StoreError``."""
        check_texts({"key_id": key_id})
        return await self.parts.api_keys.revoke(key_id)

    async def invite(self, invite: Invite) -> MadeInvitation:
        """Invite an email. Raises what ``InvitationBook.create`` raises."""
        return await self.parts.invitations.create(invite)

    async def invitation(self, token: str | Secret) -> Invitation:
        """Return the invitation of a token. Raises ``InvitationUnknown`` or a ``StoreError``."""
        return await self.parts.invitations.open(as_secret("token", token))

    async def invitations(
        self, cursor: str | None = None, limit: int = 100, *, state: InvitationState | None = None
    ) -> InvitationPage:
        """Return invitations page by page, of one state or of all. Raises as ``accounts`` does."""
        check_page(cursor, limit)
        found, following = await self.parts.invitations.page(cursor, limit)
        return InvitationPage(tuple(one for one in found if state in {None, one.state}), following)

    async def revoke_invitation(self, invitation_id: str) -> Invitation:
        """Take an invitation back. Raises what ``InvitationBook.revoke`` raises."""
        check_texts({"invitation_id": invitation_id})
        return await self.parts.invitations.revoke(invitation_id)

    async def resend_invitation(self, invitation_id: str) -> MadeInvitation:
        """Send an invitation again, with a new token. Raises what ``InvitationBook.resend`` raises."""
        check_texts({"invitation_id": invitation_id})
        return await self.parts.invitations.resend(invitation_id)

    async def accept_invitation(
        self,
        token: str | Secret,
        *,
        password: str | Secret,
        full_name: str | None = None,
        username: str | None = None,
        idempotency_key: str | None = None,
    ) -> Registered:
        """Accept an invitation by making the account that it is for; its token proves the email.

        Raises what ``register`` raises, ``InvitationUnknown``, ``InvitationUsed``, ``InvitationExpired`` or
        ``InvitationRevoked``.
        """
        given = {"full_name": full_name, "username": username, "idempotency_key": idempotency_key}
        check_texts({field: value for field, value in given.items() if value is not None})
        intent = msgspec.structs.replace(Intent(password=as_secret("password", password)), **given)
        invitation = await self.invitation(token)
        return await self.parts.registrar.register(acceptance(invitation, intent))

    async def accept_invitation_as(self, token: str | Secret, account: Account) -> Account:
        """Accept for who has an account with the invited email and is signed in: the role is granted, once.

        Raises what ``InvitationBook.accept`` raises.
        """
        return await self.parts.invitations.accept(as_secret("token", token), account)


def _change(settings: Settings, update: AccountUpdate) -> Change:
    """Return the change that is asked for. Raises ``InvalidInput`` that names every field at fault."""
    faults: list[FieldError] = []

    def tried(make: Callable[[], Any]) -> Any:  # noqa: ANN401 - each makes something else
        try:
            return make()
        except InvalidInput as error:
            faults.extend(error.errors)

    if update.username is not UNSET and _realms_own(settings):
        faults.append(_AT_THE_PROVIDER)
    username: Any = update.username
    if isinstance(update.username, str):
        username = tried(partial(canonical.username, update.username))
    fields = {name: getattr(update, name) for name in ("full_name", "role", "roles", "onboarding_completed")}
    fields = {name: value for name, value in fields.items() if value is not UNSET}
    if isinstance(update.full_name, str):
        fields["full_name"] = tried(
            partial(canonical.text, "full_name", update.full_name, max_length=_FULL_NAME_LONGEST)
        )
    faults += _faults_of_roles(update)
    if faults:
        raise InvalidInput(errors=tuple(faults))
    return Change(
        username=username,
        fields=fields,
        is_active=update.is_active,
        attributes={} if isinstance(update.attributes, UnsetType) else update.attributes,
        attributes_max_bytes=settings.attributes_max_bytes,
    )


def _faults_of_roles(update: AccountUpdate) -> list[FieldError]:
    faults: list[FieldError] = []
    roles = () if isinstance(update.roles, UnsetType) else update.roles
    if len(roles) > MOST_ROLES:
        faults.append(FieldError("roles", "too_many", f"Give at most {MOST_ROLES} roles"))
    for field, role in (("role", update.role), *(("roles", one) for one in roles)):
        try:
            canonical.text(field, role if isinstance(role, str) else "x", max_length=_ROLE_LONGEST)
        except InvalidInput as error:
            faults += error.errors
    return faults


def _realms_own(settings: Settings) -> bool:
    """Tell whether people's usernames are a realm's of Keycloak as well, which lets us change none."""
    kind = scheme(settings.provider_url.get_secret_value()).partition("+")[0]
    return settings.keycloak_own_usernames and kind == "keycloak"
