"""What it takes to send webhooks. No client is imported here: the settings are checked without one."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from semel.errors import ConfigurationInvalid
from semel.model import Secret

__all__ = ["WEBHOOK_OPTIONS", "Endpoint", "WebhookOptions"]

WEBHOOK_OPTIONS: Final = {
    "webhooks": "webhooks",
    "secrets": "webhook_secrets",
    "timeout": "webhook_timeout_seconds",
    "allow_private": "webhook_allow_private",
}
"""Which setting each option is."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PREFIX: Final = "whsec_"
_BYTES: Final = range(24, 65)
"""How long a secret is, by Standard Webhooks."""
_SIGNING_AT_ONCE: Final = 2


class Endpoint(msgspec.Struct, frozen=True):
    """Who is told of events. ``secrets`` sign, the newest first: two while one takes the other's place."""

    name: str
    url: Secret
    secrets: tuple[Secret, ...]


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who listens to the events of accounts and invitations. Raises ``ConfigurationInvalid``, with no value in it."""

    webhooks: Secret | None = None
    """``name=url`` for each endpoint, separated by commas."""
    secrets: Secret | None = None
    """``name=whsec_…`` for each endpoint, separated by commas; two of one name separated by a space."""
    timeout: float = 15.0
    """Seconds for one request, from looking up the name to the answer's status."""
    allow_private: bool = False
    """Whether endpoints may have private addresses, and URLs without TLS."""

    def __post_init__(self) -> None:
        """Check each."""
        _ = self.endpoints

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Who listens."""
        urls, secrets = _pairs("webhooks", self.webhooks), _pairs("secrets", self.secrets)
        unknown = sorted(secrets.keys() - urls.keys())
        if unknown:
            raise ConfigurationInvalid(f"secrets has one for {unknown[0]}, which is not in webhooks")
        return tuple(self._endpoint(name, url, secrets.get(name, "")) for name, url in urls.items())

    def _endpoint(self, name: str, url: str, secrets: str) -> Endpoint:
        given = secrets.split()
        if not 0 < len(given) <= _SIGNING_AT_ONCE or not all(map(_is_secret, given)):
            rule = "must be one or two of the form whsec_ and the base64 of 24 to 64 random bytes, separated by a space"
            raise ConfigurationInvalid(f"secrets: those of {name} {rule}")
        if not _is_url(url, insecure=self.allow_private):
            rule = "must be an https URL without user, password and fragment"
            raise ConfigurationInvalid(f"webhooks: that of {name} {rule} (http: only with allow_private)")
        return Endpoint(name, Secret(url), tuple(map(Secret, given)))


def _pairs(option: str, given: Secret | None) -> dict[str, str]:
    """Return what a setting says of each name."""
    said: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in given.reveal().split(","))) if given is not None else ():
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()) or name.strip() in said:
            rule = "must read name=…, name=…, each name once, of at most 32 lower-case letters, digits, - and _"
            raise ConfigurationInvalid(f"{option} {rule}")
        said[name.strip()] = value.strip()
    return said


def _is_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith(_PREFIX) and len(key) in _BYTES


def _is_url(text: str, *, insecure: bool) -> bool:
    try:
        parts = urlsplit(text)
        right = parts.port is None or parts.port > 0
    except ValueError:
        return False
    schemes = {"https", "http"} if insecure else {"https"}
    bare = parts.username is None and parts.password is None and not parts.fragment
    plain = text.isascii() and text.isprintable() and " " not in text
    return right and bare and plain and parts.scheme in schemes and bool(parts.hostname)
