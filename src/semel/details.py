"""What a face of the embedded provider keeps of an identity beyond its account: the JSON of ``Identity.details``.

The account is the one source of all that it says itself: email, attributes, when it was made and signed in last. Here
stands only what Supabase Auth keeps of a user besides (https://supabase.com/docs/reference/api), and what an account
made by another door has none of.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from semel.errors import StoreInconsistent
from semel.model import Identity

__all__ = ["Details", "details_of", "details_text"]


class Details(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The details of one identity; what is not said is left out, and a field of a later release is passed over."""

    signed_up: bool = False
    """Whether the person came by a sign-up of that face: its ``user_metadata`` then names the user as well."""
    confirmed: bool | None = None
    """Whether the email counted as confirmed when the account was made; ``None`` where nobody said."""
    confirmed_at: datetime | None = None
    """When the email was confirmed, if that was later."""
    role: str | None = None
    """The role that access tokens name; ``None`` for the usual one."""
    aud: str | None = None
    """The audience that access tokens name; ``None`` for the usual one."""
    app_metadata: dict[str, Any] = {}
    """What only an administrator may change."""


_decode: Final = msgspec.json.Decoder(Details).decode


def details_of(identity: Identity) -> Details:
    """Return the details of an identity; one that has none says nothing. Raises ``StoreInconsistent``."""
    if identity.details is None:
        return Details()
    try:
        return _decode(identity.details)
    except msgspec.DecodeError:
        raise StoreInconsistent("The details of an identity cannot be read: its row was edited.") from None


def details_text(details: Details) -> str:
    """Return details as an identity's record keeps them: the same value, the same text."""
    return msgspec.json.encode(details, order="deterministic").decode()
