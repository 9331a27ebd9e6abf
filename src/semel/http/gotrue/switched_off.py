"""What the server offers and this one does not: each is answered with the code of a server that has it switched off.

A mail is sent by none of these, and by nobody's wish: what needs one is answered as if emails were switched off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import Response

from semel.http.gotrue.answers import AuthError, disabled, invalid, reply
from semel.http.gotrue.calls import AuthCall, Body

__all__ = ["SWITCHED_OFF"]

Handler = Callable[[AuthCall], Awaitable[Response]]


class _Factor(msgspec.Struct, frozen=True):
    factor_type: str | None = None


class _Email(msgspec.Struct, frozen=True):
    email: str | None = None


_FACTOR: Final = Body(_Factor)
_EMAIL: Final = Body(_Email)


def _off(status: int, code: str, message: str) -> Handler:
    async def refuse(_: AuthCall) -> Response:
        raise disabled(status, code, message)

    return refuse


def _for_the_user(refuse: Handler) -> Handler:
    async def handle(call: AuthCall) -> Response:
        await call.caller()
        return await refuse(call)

    return handle


def _for_administrators(refuse: Handler) -> Handler:
    async def handle(call: AuthCall) -> Response:
        await call.administrator()
        return await refuse(call)

    return handle


def _empty(body: Any) -> Handler:  # noqa: ANN401 - JSON
    async def handle(_: AuthCall) -> Response:
        return reply(body)

    return handle


def _mail(status: int) -> Handler:
    """Refuse what needs a mail, once the body is one."""

    async def refuse(call: AuthCall) -> Response:
        await call.body(_EMAIL)
        raise disabled(status, "email_provider_disabled", "Email logins are disabled")

    return refuse


def _closed(refuse: Handler) -> Handler:
    """Say first that sign-ups are refused, as they are where a mail would make a user."""

    async def handle(call: AuthCall) -> Response:
        if call.options.disable_signup:
            raise disabled(422, "signup_disabled", "Signups not allowed for this instance")
        return await refuse(call)

    return handle


async def _enroll(call: AuthCall) -> Response:
    await call.caller()
    kinds = {"phone": "Phone", "totp": "TOTP", "webauthn": "WebAuthn"}
    kind = (await call.body(_FACTOR)).factor_type or ""
    if kind not in kinds:
        raise invalid("factor_type needs to be totp, phone, or webauthn")
    raise disabled(422, f"mfa_{kind}_enroll_not_enabled", f"MFA enroll is disabled for {kinds[kind]}")


async def _no_posted_token(call: AuthCall) -> Response:
    await call.body(_EMAIL)
    return await _no_token(call)


async def _no_token(_: AuthCall) -> Response:
    raise AuthError(HTTPStatus.FORBIDDEN, "otp_expired", "Token has expired or is invalid")


_NO_FACTOR: Final = _for_the_user(_off(404, "mfa_factor_not_found", "Factor not found"))
_NO_OAUTH: Final = _off(404, "feature_disabled", "OAuth server is disabled")
_NO_LINKING: Final = _for_the_user(_off(404, "manual_linking_disabled", "Manual linking is disabled"))
_NO_PASSKEYS: Final = _off(404, "passkey_disabled", "Passkeys are disabled")
_NO_SCIM: Final = _off(404, "feature_disabled", "SCIM server is disabled")
_NO_PROVIDER: Final = _off(400, "validation_failed", "Unsupported provider: provider is not enabled")

SWITCHED_OFF: Final[dict[str, dict[str, Handler]]] = {
    "/recover": {"POST": _mail(400)},
    "/resend": {"POST": _mail(400)},
    "/otp": {"POST": _closed(_mail(422))},
    "/magiclink": {"POST": _closed(_mail(422))},
    "/invite": {"POST": _for_administrators(_mail(422))},
    "/admin/generate_link": {"POST": _for_administrators(_mail(422))},
    "/reauthenticate": {
        "GET": _for_the_user(_off(422, "email_provider_disabled", "Email logins are disabled")),
    },
    "/verify": {"GET": _no_token, "POST": _no_posted_token},
    "/factors": {"POST": _enroll},
    "/factors/{factor_id}": {"DELETE": _NO_FACTOR},
    "/factors/{factor_id}/challenge": {"POST": _NO_FACTOR},
    "/factors/{factor_id}/verify": {"POST": _NO_FACTOR},
    "/admin/users/{user_id}/factors": {"GET": _for_administrators(_empty([]))},
    "/user/identities/authorize": {"GET": _NO_LINKING},
    "/user/identities/{identity_id}": {"DELETE": _NO_LINKING},
    "/sso": {"POST": _off(404, "saml_provider_disabled", "SAML 2.0 is disabled")},
    "/authorize": {"GET": _NO_PROVIDER},
    "/callback": {"GET": _off(400, "bad_oauth_state", "OAuth state parameter is invalid")},
    "/passkeys/authentication/options": {"POST": _NO_PASSKEYS},
    "/passkeys/authentication/verify": {"POST": _NO_PASSKEYS},
    "/passkeys/registration/options": {"POST": _NO_PASSKEYS},
    "/passkeys/registration/verify": {"POST": _NO_PASSKEYS},
    "/admin/oauth/clients": {"GET": _for_administrators(_NO_OAUTH), "POST": _for_administrators(_NO_OAUTH)},
    "/.well-known/oauth-authorization-server": {"GET": _NO_OAUTH},
    "/.well-known/openid-configuration": {"GET": _NO_OAUTH},
    "/admin/custom-providers": {"GET": _for_administrators(_empty({"providers": []}))},
    "/admin/sso/providers": {"GET": _for_administrators(_empty({"items": []}))},
    "/admin/audit": {"GET": _for_administrators(_off(404, "feature_disabled", "The audit log is not shown here"))},
    "/scim/v2/ServiceProviderConfig": {"GET": _NO_SCIM},
}
