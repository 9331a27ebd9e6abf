"""What only an administrator may do: make, list, see, change and delete users."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import Response

from semel import canonical
from semel.deletion import delete_account
from semel.details import Details, details_of, details_text
from semel.errors import NotFound, UserAlreadyExists
from semel.http.gotrue import rules
from semel.http.gotrue.answers import AuthError, disabled, invalid, reply, user_not_found
from semel.http.gotrue.calls import AuthCall, Body, as_uuid
from semel.http.gotrue.users import user_body
from semel.http.idempotency import idempotency_key
from semel.identity_updates import Change, merged, update_identity
from semel.intents import Intent
from semel.model import Secret
from semel.sessions import Person
from semel.states import Door

__all__ = ["create_user", "delete_user", "get_user", "update_user"]

_WORD_LONGEST: Final = 255
_NIL: Final = "00000000-0000-0000-0000-000000000000"


class _User(msgspec.Struct, frozen=True):
    """What a user is to be, or to become; an empty text is as good as none."""

    id: str | None = None
    email: str | None = None
    phone: str | None = None
    password: Secret | None = None
    password_hash: Secret | None = None
    email_confirm: bool | None = None
    phone_confirm: bool | None = None
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    role: str | None = None
    aud: str | None = None
    ban_duration: str | None = None


class _Deletion(msgspec.Struct, frozen=True):
    should_soft_delete: bool | None = None


_USER: Final = Body(_User)
_DELETION: Final = Body(_Deletion)


async def create_user(call: AuthCall) -> Response:
    """Make an account: a registration by the administrator's door."""
    await call.administrator()
    key = idempotency_key(call.headers)
    intent = _intent(call, await call.body(_USER), key)
    try:
        registered = await call.registrar.register(intent)
    except UserAlreadyExists as error:
        raise _taken({fault.field for fault in error.errors}) from None
    return _shown(call, await call.identified(registered.account), fresh=not registered.replayed)


def _intent(call: AuthCall, given: _User, key: str | None) -> Intent:
    email = _email(call, given)
    _refuse_phone(given)
    if email is None:
        raise invalid("Cannot create a user without either an email or phone")
    metadata = {name: value for name, value in (given.user_metadata or {}).items() if value is not None}
    details = Details(
        confirmed=given.email_confirm is True,
        role=_word("role", given.role),
        aud=_word("aud", given.aud),
        app_metadata=_app_metadata(call, {}, given.app_metadata or {}),
    )
    return Intent(
        door=Door.ADMIN,
        email=email.shown,
        password=_password(call, given, strength=False),
        full_name=rules.full_name(metadata),
        attributes=metadata,
        idempotency_key=key,
        scope="gotrue/admin",
        account_id=_chosen_id(given.id),
        credential=_hash(given),
        details=details_text(details),
        ban_seconds=rules.ban_seconds(given.ban_duration) if given.ban_duration else None,
        strict=True,
        vetted=True,
    )


def _email(call: AuthCall, given: _User) -> canonical.Canonical | None:
    if not given.email:
        return None
    return rules.new_email(given.email, allow_special_use=call.settings.allow_special_use_emails)


def _word(name: str, given: str | None) -> str | None:
    """Return what every access token will say; empty is as good as none. Raises ``AuthError``."""
    if given and (len(given) > _WORD_LONGEST or not given.isprintable()):
        raise invalid(f"{name} must be at most {_WORD_LONGEST} printable characters")
    return given or None


def _refuse_phone(given: _User) -> None:
    if not given.phone:
        return
    if not given.phone.removeprefix("+").isdecimal():
        raise invalid("Invalid phone number format (E.164 required)")
    raise disabled(422, "phone_provider_disabled", "Phone logins are disabled")


def _chosen_id(given: str | None) -> str | None:
    if not given:
        return None
    chosen = as_uuid(given)
    if chosen is None:
        raise invalid("ID must conform to the uuid v4 format")
    if chosen == _NIL:
        raise invalid("ID cannot be a nil uuid")
    return chosen


def _password(call: AuthCall, given: _User, *, strength: bool) -> Secret | None:
    if given.password is None or (not strength and not given.password.reveal()):
        return None
    rules.check_password(given.password.reveal(), call.options, strength=strength)
    return given.password


def _hash(given: _User) -> Secret | None:
    if given.password_hash is None or not given.password_hash.reveal():
        return None
    if given.password is not None and given.password.reveal():
        raise invalid("Only a password or a password hash should be provided")
    rules.check_hash(given.password_hash.reveal())
    return given.password_hash


def _app_metadata(call: AuthCall, present: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata after a change. Raises ``InvalidInput`` where they grow as large as no attributes may."""
    values = merged(present, change)
    canonical.attributes(values, max_bytes=call.settings.attributes_max_bytes)
    return values


def _taken(fields: set[str]) -> AuthError:
    if fields == {"id"}:
        return AuthError(HTTPStatus.UNPROCESSABLE_ENTITY, "user_already_exists", "A user with this id is there already")
    message = "A user with this email address has already been registered"
    return AuthError(HTTPStatus.UNPROCESSABLE_ENTITY, "email_exists", message)


async def get_user(call: AuthCall) -> Response:
    """Show a user."""
    await call.administrator()
    found = await call.person(_user_id(call))
    if found is None:
        raise user_not_found()
    return _shown(call, found)


async def update_user(call: AuthCall) -> Response:
    """Change a user: all that is given by one commit, or nothing."""
    await call.administrator()
    user_id = _user_id(call)
    given = await call.body(_USER)
    now = call.parts.engine.clock.now()
    change = _change(call, given, now)
    try:
        changed = await update_identity(call.parts.engine, user_id, change)
    except NotFound:
        raise user_not_found() from None
    except UserAlreadyExists:
        raise _taken({"email"}) from None
    return _shown(call, changed, fresh=details_of(changed.identity).confirmed_at == now)


def _change(call: AuthCall, given: _User, now: datetime) -> Change:
    email = _email(call, given)
    _refuse_phone(given)
    role, aud = _word("role", given.role), _word("aud", given.aud)
    ban: datetime | msgspec.UnsetType | None = msgspec.UNSET
    if given.ban_duration:
        seconds = rules.ban_seconds(given.ban_duration)
        ban = None if seconds is None else now + timedelta(seconds=seconds)

    def details(before: Details) -> Details:
        app_metadata = before.app_metadata
        if given.app_metadata:
            app_metadata = _app_metadata(call, app_metadata, given.app_metadata)
        after = msgspec.structs.replace(
            before, role=role or before.role, aud=aud or before.aud, app_metadata=app_metadata
        )
        confirmed = before.confirmed or before.confirmed_at is not None
        if not given.email_confirm or confirmed:
            return after
        return msgspec.structs.replace(after, confirmed=False, confirmed_at=now)

    return Change(
        email=email,
        password=_password(call, given, strength=True),
        attributes=given.user_metadata or {},
        attributes_max_bytes=call.settings.attributes_max_bytes,
        details=details,
        banned_until=ban,
    )


async def delete_user(call: AuthCall) -> Response:
    """Delete a user for good."""
    await call.administrator()
    user_id = _user_id(call)
    raw = await call.raw_body()
    if raw and _DELETION.read(raw).should_soft_delete:
        raise disabled(422, "feature_disabled", "Users are deleted for good here: take should_soft_delete away")
    try:
        await delete_account(call.parts.engine, user_id)
    except NotFound:
        raise user_not_found() from None
    return reply({})


def _user_id(call: AuthCall) -> str:
    user_id = as_uuid(call.parameters["user_id"])
    if user_id is None:
        raise invalid("user_id must be an UUID", HTTPStatus.NOT_FOUND)
    return user_id


def _shown(call: AuthCall, person: Person, *, fresh: bool = False) -> Response:
    return reply(user_body(person, autoconfirm=call.options.autoconfirm, fresh=fresh))
