"""What everybody may know: that the server is there, what it offers, and its public keys."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Response

from semel.http.gotrue.answers import reply
from semel.http.gotrue.calls import AuthCall

__all__ = ["health", "jwks", "settings"]

_PROVIDERS: Final = (
    *("anonymous_users", "apple", "azure", "bitbucket", "discord", "facebook", "snapchat", "figma", "fly", "github"),
    *("gitlab", "google", "keycloak", "kakao", "linkedin", "linkedin_oidc", "notion", "spotify", "slack"),
    *("slack_oidc", "workos", "twitch", "twitter", "email", "phone", "zoom"),
)
"""In the server's order; all but the email are off here."""


async def health(_: AuthCall) -> Response:
    """Say that the server is there."""
    about = "GoTrue is a user registration and authentication API"
    return reply({"version": "", "name": "GoTrue", "description": about})


async def settings(call: AuthCall) -> Response:
    """Say what is offered."""
    external = {name: name == "email" and call.options.email_enabled for name in _PROVIDERS}
    shown: dict[str, Any] = {
        "external": external,
        "disable_signup": call.options.disable_signup,
        "mailer_autoconfirm": call.options.autoconfirm,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
        "saml_private_key_next_configured": False,
        "passkeys_enabled": False,
    }
    return reply(shown)


async def jwks(call: AuthCall) -> Response:
    """Show the keys that verify access tokens (RFC 7517); a shared secret is never shown."""
    keys = call.sessions.jwks()["keys"] if call.tokens.own_keys else []
    return reply({"keys": keys}, headers={"cache-control": "public, max-age=600"})
