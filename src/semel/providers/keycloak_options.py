"""What it takes to reach a Keycloak realm. No client is imported here: the settings are checked without one."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from semel.errors import ConfigurationInvalid
from semel.model import Secret

__all__ = ["KeycloakOptions"]

_URL: Final = re.compile(r"keycloak\+(https?://[^/?#@\s]+(?:/[^/?#@\s]+)*)/realms/([^/?#@\s]+)/?", re.IGNORECASE)
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,4096}")


class KeycloakOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which realm, by which clients. Raises ``ConfigurationInvalid`` where one cannot be right."""

    url: Secret
    """``keycloak+https://host/realms/name``; ``keycloak+http:`` for development."""
    client_id: str
    """The client whose service account makes, finds, changes and deletes users."""
    client_secret: Secret
    sign_in_client_id: str | None = None
    """The client by which people's passwords are tried and sessions opened; by default the same."""
    sign_in_client_secret: Secret | None = None
    timeout: float = 5.0
    """Seconds for an operation, with all of its requests."""
    connections: int = 64
    """Requests at once, to the admin API and to the token endpoint each."""
    queue: int = 256
    """How many more may wait, at each; whoever comes beyond is answered ``Unknown`` at once."""
    own_usernames: bool = False
    """Whether who signs up with a username has it in the realm as well; else our id is the username there."""

    def __post_init__(self) -> None:
        """Check the address, the clients and their secrets."""
        if _URL.fullmatch(self.url.reveal()) is None:
            raise ConfigurationInvalid("url must read keycloak+https://HOST/realms/NAME, without a user or a query")
        if (self.sign_in_client_id is None) is not (self.sign_in_client_secret is None):
            raise ConfigurationInvalid("sign_in_client_id and sign_in_client_secret go together: give both or neither")
        secrets = {"client_secret": self.client_secret, "sign_in_client_secret": self.sign_in[1]}
        texts = {name: secret.reveal() for name, secret in secrets.items()}
        for name, text in {"client_id": self.client_id, "sign_in_client_id": self.sign_in[0], **texts}.items():
            if _PRINTABLE.fullmatch(text) is None:
                raise ConfigurationInvalid(f"{name} must be as Keycloak shows it, without spaces")

    @property
    def sign_in(self) -> tuple[str, Secret]:
        """Id and secret of the client for people's passwords."""
        if self.sign_in_client_id is None or self.sign_in_client_secret is None:
            return self.client_id, self.client_secret
        return self.sign_in_client_id, self.sign_in_client_secret

    @property
    def realm_url(self) -> str:
        """Where the realm's endpoints for people and clients are."""
        return _URL.sub(r"\1/realms/\2", self.url.reveal())

    @property
    def admin_url(self) -> str:
        """Where the realm's admin API is."""
        return _URL.sub(r"\1/admin/realms/\2", self.url.reveal())
