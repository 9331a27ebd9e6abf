"""Access tokens of a Keycloak realm, read by the keys that it publishes: whose session a genuine one is of."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from semel.model import Secret
from semel.ports import Absent, Clock, Unknown
from semel.providers.http import Http, Request, nonsense, unknown

__all__ = ["AccessTokens"]

_CERTS: Final = Request("GET", "/protocol/openid-connect/certs")
_ALGORITHMS: Final = [f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)]
"""With which a realm signs: never one by which whoever has the public key could sign."""
_RELOAD: Final = 10.0
"""Seconds that lie at least between two readings for the sake of unknown keys, which anybody can make up."""


class _Claims(msgspec.Struct, frozen=True):
    sid: str
    typ: str
    exp: float


class AccessTokens:
    """Reads access tokens. The keys are read when the first token comes, and again for one that is not known."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._keys: dict[str, dict[str, Any]] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def session(self, token: Secret, deadline: float) -> str | Absent | Unknown:
        """Return the id of a token's session. ``Absent``: it is forged, malformed or expired, or not of this realm."""
        try:
            raw = token.reveal().encode()
            header: object = jws.extract_compact(raw).headers()
            kid = header.get("kid") if isinstance(header, dict) else None  # it may be any JSON that mentions "alg"
            if not isinstance(kid, str):
                return Absent()
            failed = await self._look_for(kid, deadline)
            if failed is not None or kid not in self._keys:
                return failed or Absent()
            keys = KeySet.import_key_set({"keys": [self._keys[kid]]})
            said = msgspec.convert(jwt.decode(raw, keys, _ALGORITHMS).claims, _Claims)
        except (JoseError, ValueError, TypeError):  # TypeError: a header whose values are of other types
            return Absent()
        live = said.typ == "Bearer" and said.exp > self._clock.now().timestamp()
        return said.sid if live else Absent()

    async def _look_for(self, kid: str, deadline: float) -> Unknown | None:
        """Read the keys if this one is not among them, and that was not done just now."""
        if kid in self._keys:
            return None
        try:
            async with asyncio.timeout_at(deadline), self._reading:  # so whoever asks meanwhile shares the reading
                fresh = self._read_at is not None and self._clock.monotonic() - self._read_at < _RELOAD
                return None if kid in self._keys or fresh else await self._read(deadline)
        except TimeoutError:
            return Unknown("the identity provider did not answer in time")

    async def _read(self, deadline: float) -> Unknown | None:
        answer = await self._http.send(_CERTS, deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.OK:
            return unknown(answer, self._http.name)
        listed = answer.body.get("keys") if isinstance(answer.body, dict) else None
        if not isinstance(listed, list):
            return nonsense(answer)
        keys = [key for key in listed if isinstance(key, dict) and key.get("use") == "sig"]
        self._keys = {key["kid"]: key for key in keys if isinstance(key.get("kid"), str)}
        self._read_at = self._clock.monotonic()
        return None
