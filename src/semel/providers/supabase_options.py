"""What it takes to reach a Supabase project. No client is imported here: the settings are checked without one."""

from __future__ import annotations

import base64
import re
from typing import Final

import msgspec

from semel.errors import ConfigurationInvalid
from semel.model import Secret

__all__ = ["SupabaseOptions"]

_URL: Final = re.compile(r"supabase\+(https?://[^/?#@\s]+)/?", re.IGNORECASE)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_ALMIGHTY: Final = frozenset({"service_role", "supabase_admin"})


class SupabaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which server, with which keys. Raises ``ConfigurationInvalid`` where one cannot be right."""

    url: Secret
    """``supabase+https://project.supabase.co``; ``supabase+http:`` for development."""
    service_key: Secret
    """For the admin API: it may do everything."""
    anon_key: Secret
    """For sign-in, refresh and sign-out: what every browser may have."""
    timeout: float = 5.0
    """Seconds for an operation, with all of its requests."""
    connections: int = 64
    """Requests at once, with each key."""
    queue: int = 256
    """How many more may wait, with each key; whoever comes beyond is answered ``Unknown`` at once."""
    confirm_emails: bool = False
    """Whether identities are made with their email confirmed though nobody has proved it."""

    def __post_init__(self) -> None:
        """Check the address and the keys."""
        if _URL.fullmatch(self.url.reveal()) is None:
            raise ConfigurationInvalid("url must read supabase+https://HOST, without a path, a user or a query")
        for name, key in (("service_key", self.service_key), ("anon_key", self.anon_key)):
            if _KEY.fullmatch(key.reveal()) is None:
                raise ConfigurationInvalid(f"{name} must be a key as Supabase shows it, without spaces")
        if _is_almighty(self.anon_key) or self.anon_key.reveal() == self.service_key.reveal():
            raise ConfigurationInvalid("anon_key must be the anon or publishable key, not one that may do everything")

    @property
    def base(self) -> str:
        """Where the server's endpoints are."""
        return _URL.sub(r"\1/auth/v1", self.url.reveal())


def _is_almighty(key: Secret) -> bool:
    """Whether a key says of itself that it may do everything: a secret key, or a token of the service's role."""
    text = key.reveal()
    if text.startswith("sb_secret_"):
        return True
    claims = re.fullmatch(r"[\w-]+\.([\w-]+)\.[\w-]*", text, re.ASCII)
    if claims is None:
        return False
    try:
        said = msgspec.json.decode(base64.urlsafe_b64decode(claims[1] + "=="))
    except (ValueError, msgspec.DecodeError):
        return False
    return isinstance(said, dict) and said.get("role") in _ALMIGHTY
