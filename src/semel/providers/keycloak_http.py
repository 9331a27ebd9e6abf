"""How a Keycloak server is spoken to: its clients, the service account's token, its error codes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from http import HTTPStatus
from typing import Final
from urllib.parse import quote_plus

import httpx
import msgspec
from typing_extensions import override

from semel.model import Secret
from semel.ports import Clock, Unknown
from semel.providers.http import Http, NothingSentError, Request, Speech, nonsense, unknown

__all__ = ["CREDENTIALS", "SPEECH", "TOKEN", "ServiceToken", "client"]

TOKEN: Final = "/protocol/openid-connect/token"  # noqa: S105 - a path
CREDENTIALS: Final = Request("POST", TOKEN, form={"grant_type": "client_credentials"})
"""How a client asks for the token of its service account (RFC 6749, 4.4)."""

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,63}")
_USED: Final = 0.9
"""Of a token's life, how much of it is used: the rest is for requests on their way and clocks that run apart."""


class _Granted(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


def client(client_id: str, secret: Secret) -> httpx.Auth:
    """Return what lets a client in (RFC 6749, 2.3.1)."""
    return _ClientAuth(quote_plus(client_id), quote_plus(secret.reveal()))


class _ClientAuth(httpx.BasicAuth):
    """Lets a client in, unless a request brings a person's token."""

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        if "Authorization" in request.headers:
            yield request
        else:
            yield from super().auth_flow(request)


class ServiceToken(httpx.Auth):
    """Lets requests in with the service account's token, which is had by ``http`` and kept while it is good.

    Who needs one while it is being fetched shares that. Where the server refuses it with 401, which it does before it
    does anything, the request goes again, once, with a new one.
    """

    def __init__(self, http: Http, clock: Clock, timeout: float) -> None:
        self._http = http
        self._clock = clock
        self._timeout = timeout
        self._token = ""
        self._good_until = clock.monotonic()
        self._fetching: asyncio.Task[Unknown | None] | None = None

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if self._clock.monotonic() >= self._good_until:
            await self._renew()
        token = self._token
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            if self._token == token:
                await self._renew()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _renew(self) -> None:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
        # Whoever goes away takes nothing from the others.
        failed = await asyncio.shield(self._fetching)
        if failed is not None:
            raise NothingSentError(failed)

    async def _fetch(self) -> Unknown | None:
        asked = self._clock.monotonic()
        answer = await self._http.send(CREDENTIALS, asyncio.get_running_loop().time() + self._timeout)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.OK:
            return unknown(answer, self._http.name)
        try:
            granted = msgspec.convert(answer.body, _Granted)
        except msgspec.ValidationError:
            return nonsense(answer)
        self._token, self._good_until = granted.access_token, asked + granted.expires_in * _USED
        return None


def _code(_headers: httpx.Headers, body: object) -> str | None:
    """Return the error's code: Keycloak has it as ``error``, of a user's fields as ``errorMessage``."""
    if not isinstance(body, dict):
        return None
    listed = body.get("errors")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else body
    named = next((first[key] for key in ("error", "errorMessage") if isinstance(first.get(key), str)), None)
    return named if named is not None and _CODE.fullmatch(named) else None


SPEECH: Final = Speech(_code, {"User-Agent": "semel"})
