"""The tokens of the embedded provider's sessions: access tokens that are read, refresh tokens that are looked up.

An access token is a signed JWT (RFC 7519). A refresh token is 256 random bits; its family's record keeps hashes alone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError

from semel.errors import InvalidToken
from semel.keys import Keys
from semel.model import Secret, SessionFamily

__all__ = [
    "LEAVES",
    "AccessTokens",
    "Claims",
    "Leaf",
    "RefreshTokens",
    "Ticket",
    "hash_of",
    "leaves_of",
    "leaves_text",
    "rotated",
]

LEAVES: Final = 32
"""How many live refresh tokens a family has at most, and how many lately spent ones it remembers."""


class Claims(msgspec.Struct, frozen=True):
    """Whom an access token speaks for."""

    sub: str
    """The account's id."""
    sid: str
    """The session family's id."""
    epoch: int
    """The account's epoch when the token was made."""


class AccessTokens:
    """Makes and reads access tokens. ``issuer`` and ``audience`` are their ``iss`` and ``aud``."""

    def __init__(self, keys: Keys, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    def make(self, claims: Claims, now: datetime, seconds: float) -> str:
        """Return a token that is good for so many seconds."""
        signing = self._keys.signing
        issued = int(now.timestamp())
        said = {"iss": self._issuer, "aud": self._audience, "iat": issued, "exp": issued + int(seconds)}
        header = {"alg": signing.algorithm, "kid": signing.current.kid}
        return jwt.encode(header, said | msgspec.structs.asdict(claims), signing.current, [signing.algorithm])

    async def read(self, token: Secret, now: datetime, leeway: float) -> Claims:
        """Return what a token says, its times being ``leeway`` seconds off at most.

        Raises ``InvalidToken`` where it is forged, malformed, expired or not for us; a ``StoreError`` where its key is
        not known and cannot be looked for.
        """
        signing = self._keys.signing
        try:
            raw = token.reveal().encode()
            header: object = jws.extract_compact(raw).headers()
            kid = header.get("kid") if isinstance(header, dict) else None  # it may be any JSON that mentions "alg"
            if not isinstance(kid, str) or not await self._keys.knows(kid):
                raise InvalidToken
            said = jwt.decode(raw, signing.verifying, [signing.algorithm]).claims
            self._registry(now, leeway).validate(said)
            return msgspec.convert(said, Claims)
        except (JoseError, ValueError, TypeError):  # TypeError: a header whose values are of other types
            # The cause may quote the token.
            raise InvalidToken from None

    def _registry(self, now: datetime, leeway: float) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=int(leeway),
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
        )


class Ticket(msgspec.Struct, frozen=True):
    """An authentic refresh token: whose family it is of, and the hash by which the family knows it."""

    family_id: str
    hash: str


class RefreshTokens:
    """Makes and reads refresh tokens: family, secret, and an HMAC of both under a key of the server.

    The HMAC tells an old token of ours, whose use revokes its family, from a made-up one, which must not.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, family_id: str, secret: str) -> str:
        """Return the token. ``secret`` is 256 random bits."""
        body = f"{family_id}.{secret}"
        return f"{body}.{self._mac(body.encode())}"

    def read(self, token: Secret) -> Ticket:
        """Return what the token stands for. Raises ``InvalidToken`` where none of ours made it."""
        body, _, mac = token.reveal().encode("utf-8", "surrogatepass").rpartition(b".")
        if not hmac.compare_digest(self._mac(body).encode(), mac):
            raise InvalidToken
        family_id, _, secret = body.decode().partition(".")
        return Ticket(family_id, hash_of(secret))

    def _mac(self, body: bytes) -> str:
        return hmac.digest(self._key, body, "sha256").hex()


def hash_of(secret: str) -> str:
    """Return the hash by which a family knows a token's secret."""
    # Nobody can search 256 random bits, so a fast hash is as strong as a slow one.
    return hashlib.sha256(secret.encode()).hexdigest()


class Leaf(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refresh token of a family: live, or spent a moment ago."""

    hash: str
    spent_at: datetime | None = None


_leaves = msgspec.json.Decoder(tuple[Leaf, ...])


def leaves_of(family: SessionFamily) -> tuple[Leaf, ...]:
    """Return the family's leaves, the oldest first."""
    return _leaves.decode(family.leaves)


def leaves_text(leaves: Sequence[Leaf]) -> str:
    """Return leaves as a family's record keeps them."""
    return msgspec.json.encode(leaves).decode()


def rotated(
    leaves: Sequence[Leaf], offered: str, successor: str, now: datetime, reuse_interval: float
) -> tuple[Leaf, ...] | None:
    """Return the leaves after the token with hash ``offered`` bought ``successor``; ``None`` where it was used before.

    A live token is spent by it. One spent within the interval buys a sibling: its first answer was lost, or a second
    tab had it too. The moment it was spent stays the first one, so no chain of siblings makes the interval longer.
    Beyond ``LEAVES`` the oldest go, and whoever still holds one of those is taken for a thief: the safe side.
    """
    since = now - timedelta(seconds=reuse_interval)
    known = [leaf for leaf in leaves if leaf.spent_at is None or leaf.spent_at >= since]
    offers = [hmac.compare_digest(leaf.hash, offered) for leaf in known]
    if not any(offers):
        return None
    marked = [Leaf(leaf.hash, leaf.spent_at or now) if same else leaf for leaf, same in zip(known, offers, strict=True)]
    live = [leaf for leaf in marked if leaf.spent_at is None]
    spent = [leaf for leaf in marked if leaf.spent_at is not None]
    return (*spent[-LEAVES:], *live[1 - LEAVES :], Leaf(successor))
