"""Tokens as Supabase Auth makes and reads them (JWT, RFC 7519), for the sessions of the embedded provider.

They are signed with a secret that the application shares (HS256), or with Semel's own signing keys (ES256); what bears
the secret's signature is taken either way, since the keys of the service and of the anonymous role are made with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet, OctKey

from semel.errors import ConfigurationInvalid, InvalidToken
from semel.keys import ALGORITHM, Keys
from semel.model import Secret

__all__ = ["ROLES", "GoTrueOptions", "GoTrueTokens", "shared_key_tokens"]

ROLES: Final = ("anon", "service_role")
"""The roles of the keys that an application is given: what every browser may have, and what may do everything."""
_SHARED: Final = "HS256"
_LEAST_SECRET: Final = 32  # characters; RFC 7518, 3.2 asks for 256 bits
_YEARS: Final = 10 * 365 * 86_400
_ALGORITHM: Final = re.compile(r"[A-Za-z0-9]{1,16}")


class GoTrueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How Supabase's API behaves on the embedded provider. Raises ``ConfigurationInvalid``."""

    jwt_secret: Secret
    """What the application shares with the server."""
    algorithm: Literal["HS256", "ES256"] = "HS256"
    """How access tokens are signed."""
    issuer: str = ""
    """The ``iss`` of access tokens; empty for none."""
    disable_signup: bool = False
    email_enabled: bool = True
    autoconfirm: bool = True
    password_min_length: int = 6
    """In characters."""
    password_required_characters: str = ""
    """Sets of characters, parted by colons: a password has one of each."""

    def __post_init__(self) -> None:
        """Check the secret's length."""
        if len(self.jwt_secret.reveal()) < _LEAST_SECRET:
            raise ConfigurationInvalid(f"jwt_secret must be at least {_LEAST_SECRET} characters long, drawn at random")


class GoTrueTokens:
    """Makes and reads access tokens."""

    def __init__(self, keys: Keys, options: GoTrueOptions) -> None:
        self._keys = keys
        self._options = options
        self._secret = OctKey.import_key(options.jwt_secret.reveal())

    @property
    def own_keys(self) -> bool:
        """Whether Semel's own keys sign."""
        return self._options.algorithm == ALGORITHM

    def make(self, claims: Mapping[str, Any], now: datetime, seconds: float) -> tuple[str, int]:
        """Return a token that is good for so many seconds, and when that is over, in seconds since 1970."""
        issued = int(now.timestamp())
        expires = issued + int(seconds)
        issuer = {"iss": self._options.issuer} if self._options.issuer else {}
        said = {**issuer, **claims, "iat": issued, "exp": expires}
        if not self.own_keys:
            return jwt.encode({"alg": _SHARED, "typ": "JWT"}, said, self._secret, [_SHARED]), expires
        current = self._keys.signing.current
        header = {"alg": ALGORITHM, "kid": current.kid, "typ": "JWT"}
        return jwt.encode(header, said, current, [ALGORITHM]), expires

    async def read(self, token: Secret, now: datetime) -> dict[str, Any]:
        """Return what a token claims.

        Raises ``InvalidToken``, which says in Supabase Auth's words what is wrong; a ``StoreError`` where its key is
        not known and cannot be looked for.
        """
        raw = token.reveal().encode("utf-8", "surrogatepass")
        if raw.count(b".") != 2:  # noqa: PLR2004 - header, claims, signature (RFC 7515, 3.1)
            raise _malformed("token contains an invalid number of segments")
        try:
            header: object = jws.extract_compact(raw).headers()
        except (JoseError, ValueError, TypeError):
            raise _malformed("its parts could not be decoded") from None
        said = self._verified(raw, await self._key(header))
        expires, begins = _moment(said, "exp"), _moment(said, "nbf")
        if expires is not None and expires <= now.timestamp():
            raise _refused("token has invalid claims: token is expired")
        if begins is not None and begins > now.timestamp():
            raise _refused("token has invalid claims: token is not valid yet")
        return said

    async def _key(self, header: object) -> tuple[OctKey | KeySet, str]:
        """Return what verifies a token with this header."""
        given = header if isinstance(header, dict) else {}
        algorithm, kid = given.get("alg"), given.get("kid")
        if algorithm == _SHARED:
            return self._secret, _SHARED
        if self.own_keys and algorithm == ALGORITHM:
            if isinstance(kid, str) and await self._keys.knows(kid):
                return self._keys.signing.verifying, ALGORITHM
            raise _refused("token is unverifiable: unrecognized JWT kid")
        named = algorithm if isinstance(algorithm, str) and _ALGORITHM.fullmatch(algorithm) else "unknown"
        raise _refused(f"token signature is invalid: signing method {named} is invalid")

    @staticmethod
    def _verified(raw: bytes, key: tuple[OctKey | KeySet, str]) -> dict[str, Any]:
        verifies, algorithm = key
        try:
            said = jwt.decode(raw, verifies, [algorithm]).claims
        except BadSignatureError:
            raise _refused("token signature is invalid: signature is invalid") from None
        except (JoseError, ValueError, TypeError, RecursionError):  # the cause may quote the token
            raise _malformed("its parts could not be decoded") from None
        if algorithm == ALGORITHM and "session_id" not in said:
            # Semel's own access tokens bear the same keys' signature, and name their session otherwise.
            raise _refused("token has invalid claims: it is none of this API")
        return {**said}


def _moment(said: Mapping[str, Any], claim: str) -> float | None:
    """Return when a claim says, ``None`` where it is not there. Raises ``InvalidToken`` for what is no number."""
    given = said.get(claim)
    if given is None and claim not in said:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise _malformed(f"{claim} is no number")
    return given


def shared_key_tokens(secret: Secret, now: datetime) -> dict[str, str]:
    """Return the keys that an application is given, by role: tokens of the shared secret, good for ten years."""
    key = OctKey.import_key(secret.reveal())
    issued = int(now.timestamp())
    common = {"iss": "semel", "iat": issued, "exp": issued + _YEARS}
    return {
        role: jwt.encode({"alg": _SHARED, "typ": "JWT"}, {**common, "role": role}, key, [_SHARED]) for role in ROLES
    }


def _refused(why: str) -> InvalidToken:
    return InvalidToken(f"invalid JWT: unable to parse or verify signature, {why}")


def _malformed(why: str) -> InvalidToken:
    return _refused(f"token is malformed: {why}")
