"""Tokens in mails: made of a record's id, with a key, whenever a mail is written. At rest there are hashes alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from typing import Final

from semel.model import Secret

__all__ = ["NOBODYS", "hash_of", "id_in", "made_of", "token_of"]

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NONE: Final = str(uuid.UUID(int=0))
NOBODYS: Final = hashlib.sha256(b"nobody's token").hexdigest()
"""What to compare with where there is no record, so that it costs the same."""


def made_of(key: bytes, said: str) -> str:
    """Return an HMAC-SHA256 (RFC 2104) over what is said, in letters and digits, - and _."""
    made = hmac.digest(key, said.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def token_of(key: bytes, record_id: str, said: str) -> Secret:
    """Return the token of a record: its id, and an HMAC over what is said, which names the record among the rest."""
    return Secret(f"{record_id}.{made_of(key, said)}")


def id_in(token: Secret) -> str:
    """Return the id that a token names; of one that is misspelt an id that none has."""
    name, _, _ = token.reveal().partition(".")
    return name if _ID.fullmatch(name) else _NONE


def hash_of(token: Secret) -> str:
    """Return the SHA-256 of a token, as records keep it: it has 256 random bits, so a fast hash is strong enough."""
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()
