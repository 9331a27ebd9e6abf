"""What anybody may ask: sign up, sign in, refresh; see and change oneself; sign out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn

import msgspec
from fastapi import Response

from semel import canonical
from semel.details import Details, details_text
from semel.errors import AccountInactive, InvalidCredentials, NotFound, UserAlreadyExists
from semel.http.gotrue import rules
from semel.http.gotrue.answers import AuthError, banned, disabled, invalid, reply, text
from semel.http.gotrue.calls import AuthCall, Body, Caller
from semel.http.gotrue.users import ROLE, confirmed_at, session_body, to_strangers, user_body
from semel.http.idempotency import idempotency_key
from semel.http.limits import Limit, Limited
from semel.identity_updates import Change, update_identity
from semel.intents import Intent
from semel.model import Account, Identifier, Secret
from semel.ports import Verified
from semel.protocol.replay import verify
from semel.sessions import Ended, Person, Session
from semel.states import Door

__all__ = ["log_out", "me", "sign_up", "token", "update_me"]

_REFRESH_LONGEST: Final = 255
_NOT_RENEWED: Final = {
    Ended.UNKNOWN: ("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"),
    Ended.OVER: ("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"),
    Ended.EXPIRED: ("session_expired", "Invalid Refresh Token: Session Expired"),
    Ended.BARRED: ("user_banned", "Invalid Refresh Token: User Banned"),
    Ended.REUSED: ("refresh_token_already_used", "Invalid Refresh Token: Already Used"),
}


class _SignUp(msgspec.Struct, frozen=True):
    email: str | None = None
    phone: str | None = None
    password: Secret | None = None
    data: dict[str, Any] | None = None


class _Password(msgspec.Struct, frozen=True):
    email: str | None = None
    phone: str | None = None
    password: Secret | None = None


class _Refresh(msgspec.Struct, frozen=True):
    refresh_token: Secret | None = None


class _Pkce(msgspec.Struct, frozen=True):
    auth_code: Secret | None = None
    code_verifier: Secret | None = None


class _UserUpdate(msgspec.Struct, frozen=True):
    email: str | None = None
    phone: str | None = None
    password: Secret | None = None
    data: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None


_KEYS: Final = "gotrue"
"""The scope of idempotency keys."""
_SIGN_UP_LIMITED: Final = Limited(Limit.SIGN_UP, keys=_KEYS)
_SIGN_IN_LIMITED: Final = Limited(Limit.SIGN_IN)

_SIGN_UP: Final = Body(_SignUp)
_PASSWORD: Final = Body(_Password)
_REFRESH: Final = Body(_Refresh)
_PKCE: Final = Body(_Pkce)
_UPDATE: Final = Body(_UserUpdate)


async def sign_up(call: AuthCall) -> Response:
    """Make an account and, where its email counts as confirmed, open a session."""
    await call.attempt.begin(_SIGN_UP_LIMITED)
    if call.options.disable_signup:
        raise disabled(422, "signup_disabled", "Signups not allowed for this instance")
    key = idempotency_key(call.headers)
    body = await call.body(_SIGN_UP)
    email, password = _new_person(call, body)
    autoconfirm = call.options.autoconfirm
    intent = _intent(email, password, body.data or {}, key, confirmed=autoconfirm)
    try:
        registered = await call.registrar.register(intent)
    except UserAlreadyExists:
        if autoconfirm:
            raise
        return reply(await _seen_before(call, intent, email))
    if registered.replayed:
        await call.attempt.replayed()
    if not autoconfirm:
        return reply(user_body(await call.identified(registered.account), autoconfirm=False, fresh=True))
    try:
        session = await call.sessions.enter_made(registered.account, password, _confirmed(call))
    except (AccountInactive, InvalidCredentials):
        # Only where the account was changed in this moment, or the key comes again after that.
        raise banned(HTTPStatus.BAD_REQUEST) from None
    return reply(await _session(call, session, fresh=True))


def _intent(
    email: canonical.Canonical, password: Secret, data: dict[str, Any], key: str | None, *, confirmed: bool
) -> Intent:
    return Intent(
        door=Door.SIGNUP,
        email=email.shown,
        password=password,
        full_name=rules.full_name(data),
        attributes=data,
        idempotency_key=key,
        scope=_KEYS,
        details=details_text(Details(signed_up=True, confirmed=confirmed)),
        strict=True,
        vetted=True,
    )


def _new_person(call: AuthCall, body: _SignUp) -> tuple[canonical.Canonical, Secret]:
    """Return a new person's email and password. Raises ``AuthError``."""
    if not body.email and not body.phone:
        raise disabled(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if body.password is None or not body.password.reveal():
        raise invalid("Signup requires a valid password")
    rules.check_password(body.password.reveal(), call.options)
    if body.email and body.phone:
        raise invalid("Only an email address or phone number should be provided on signup.")
    if not body.email:
        raise disabled(400, "phone_provider_disabled", "Phone signups are disabled")
    if not call.options.email_enabled:
        raise disabled(400, "email_provider_disabled", "Email signups are disabled")
    return rules.new_email(body.email, allow_special_use=call.settings.allow_special_use_emails), body.password


async def _seen_before(call: AuthCall, intent: Intent, email: canonical.Canonical) -> dict[str, Any]:
    """Return what a sign-up with a taken email is answered where emails are to be confirmed.

    Whose email is not confirmed is that user, unchanged, as strangers see it; else a user that was made up, so that
    nobody learns from it who has an account.
    """
    store = call.parts.engine.store
    owner = await store.get(Identifier, email.name)
    found = await call.person(owner.account_id) if owner is not None and owner.account_id is not None else None
    if found is not None and confirmed_at(found, autoconfirm=False) is None:
        return user_body(to_strangers(found), autoconfirm=False, fresh=True)
    now = call.parts.engine.clock.now()
    return {
        "id": call.parts.engine.ids.uuid(),
        "aud": ROLE,
        "role": "",
        "email": email.name.value,
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": {**intent.attributes},
        "identities": [],
        "created_at": now,
        "updated_at": now,
        "is_anonymous": False,
    }


async def token(call: AuthCall) -> Response:
    """Sign in, or exchange a refresh token."""
    grant = _GRANTS.get(call.query.get("grant_type", ""))
    if grant is None:
        raise AuthError(HTTPStatus.BAD_REQUEST, "invalid_credentials", "unsupported_grant_type")
    return await grant(call)


async def _by_password(call: AuthCall) -> Response:
    await call.attempt.begin(_SIGN_IN_LIMITED)
    body = await call.body(_PASSWORD)
    if body.email and body.phone:
        raise invalid("Only an email address or phone number should be provided on login.")
    if body.phone:
        raise disabled(422, "phone_provider_disabled", "Phone logins are disabled")
    if not body.email:
        raise invalid("missing email or phone")
    if not call.options.email_enabled:
        raise disabled(422, "email_provider_disabled", "Email logins are disabled")
    await call.attempt.on(body.email)
    password = body.password or Secret("")
    # Nobody is found by no email, after the same work.
    email = body.email if body.email == body.email.strip() else ""
    try:
        session = await call.sessions.enter(email, password, _confirmed(call))
    except InvalidCredentials:
        raise AuthError(HTTPStatus.BAD_REQUEST, "invalid_credentials", "Invalid login credentials") from None
    except AccountInactive:
        raise banned(HTTPStatus.BAD_REQUEST) from None
    weak = rules.weakness(password.reveal(), call.options)
    warning = {"message": weak.message, "reasons": weak.reasons} if weak else None
    return reply({**await _session(call, session), "weak_password": warning})


def _confirmed(call: AuthCall) -> Callable[[Person], None]:
    """Return the check that keeps out whose email is not confirmed."""

    def check(person: Person) -> None:
        if confirmed_at(person, autoconfirm=call.options.autoconfirm) is None:
            raise AuthError(HTTPStatus.BAD_REQUEST, "email_not_confirmed", "Email not confirmed")

    return check


async def _by_refresh_token(call: AuthCall) -> Response:
    body = await call.body(_REFRESH)
    given = body.refresh_token
    if given is None or not 0 < len(given.reveal()) <= _REFRESH_LONGEST:
        raise invalid("Refresh token is not valid")
    renewed = await call.sessions.renew(given, _confirmed(call))
    if isinstance(renewed, Ended):
        raise AuthError(HTTPStatus.BAD_REQUEST, *_NOT_RENEWED[renewed])
    return reply(await _session(call, renewed))


async def _by_code(call: AuthCall) -> NoReturn:
    body = await call.body(_PKCE)
    if not body.auth_code or not body.auth_code.reveal() or not body.code_verifier or not body.code_verifier.reveal():
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    message = "invalid flow state, no valid flow state found"
    raise AuthError(HTTPStatus.NOT_FOUND, "flow_state_not_found", message)


async def _by_wallet(_: AuthCall) -> NoReturn:
    raise disabled(422, "web3_provider_disabled", "Web3 provider is disabled")


async def _by_id_token(_: AuthCall) -> NoReturn:
    raise disabled(400, "provider_disabled", "The provider (issuer) is not enabled")


_GRANTS: Final[dict[str, Callable[[AuthCall], Awaitable[Response]]]] = {
    "password": _by_password,
    "refresh_token": _by_refresh_token,
    "pkce": _by_code,
    "web3": _by_wallet,
    "id_token": _by_id_token,
}


async def _session(call: AuthCall, session: Session, *, fresh: bool = False) -> dict[str, Any]:
    person = await call.identified(session.account)
    user = user_body(person, autoconfirm=call.options.autoconfirm, fresh=fresh)
    return session_body(call.tokens, session, person, user)


async def me(call: AuthCall) -> Response:
    """Show the user of the token."""
    return _shown(call, await call.caller())


def _shown(call: AuthCall, whose: Caller | Person) -> Response:
    return reply(user_body(Person(whose.account, whose.identity), autoconfirm=call.options.autoconfirm))


async def update_me(call: AuthCall) -> Response:
    """Change the user of the token. A new email needs a mail, which nobody sends yet."""
    caller = await call.caller()
    body = await call.body(_UPDATE)
    if body.app_metadata:
        raise AuthError(HTTPStatus.FORBIDDEN, "not_admin", "Updating app_metadata requires admin privileges")
    await _check_new_email(call, caller, body.email)
    if body.phone:
        raise disabled(422, "phone_provider_disabled", "Phone logins are disabled")
    if body.password is not None:
        await _check_new_password(call, caller, body.password)
    change = Change(
        allowed=_still(call, caller),
        password=body.password,
        keeps=() if caller.session is None else (caller.session,),
        attributes=body.data or {},
        attributes_max_bytes=call.settings.attributes_max_bytes,
    )
    try:
        return _shown(call, await update_identity(call.parts.engine, caller.account.id, change))
    except NotFound:
        message = "User from sub claim in JWT does not exist"
        raise AuthError(HTTPStatus.FORBIDDEN, "user_not_found", message) from None


def _still(call: AuthCall, caller: Caller) -> Callable[[Account], None]:
    """Return the check that the caller may still change it: a hash takes its time, and others act meanwhile."""

    def check(account: Account) -> None:
        if not account.lets_in(call.parts.engine.clock.now()):
            raise banned(HTTPStatus.FORBIDDEN)
        reborn = (account.registration, account.created_at) != (caller.account.registration, caller.account.created_at)
        if reborn or (caller.session is not None and caller.session not in account.sessions):
            message = "Session from session_id claim in JWT does not exist"
            raise AuthError(HTTPStatus.FORBIDDEN, "session_not_found", message)

    return check


async def _check_new_email(call: AuthCall, caller: Caller, given: str | None) -> None:
    if not given:
        return
    email = rules.new_email(given, allow_special_use=call.settings.allow_special_use_emails)
    if email.name.value == caller.account.email_canonical:
        return
    if await call.parts.engine.store.get(Identifier, email.name) is not None:
        message = "A user with this email address has already been registered"
        raise AuthError(HTTPStatus.UNPROCESSABLE_ENTITY, "email_exists", message)
    raise disabled(422, "email_provider_disabled", "Email changes need a mail, and no mail is sent here")


async def _check_new_password(call: AuthCall, caller: Caller, password: Secret) -> None:
    rules.check_password(password.reveal(), call.options)
    if await verify(call.parts.engine, caller.identity, None, password) is Verified.RIGHT:
        message = "New password should be different from the old password."
        raise AuthError(HTTPStatus.UNPROCESSABLE_ENTITY, "same_password", message)


async def log_out(call: AuthCall) -> Response:
    """End all sessions of the user, this one, or the others."""
    caller = await call.caller()
    scope = call.query.get("scope") or "global"
    ends: dict[str, Callable[[str], bool]] = {
        "global": lambda _: True,
        "local": lambda session: session == caller.session,
        "others": lambda session: session != caller.session,
    }
    if scope not in ends:
        raise invalid("Unsupported logout scope: give global, local or others")
    await call.sessions.end(caller.account.id, ends[scope])
    return text(HTTPStatus.NO_CONTENT)
