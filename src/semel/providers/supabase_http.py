"""One key's way to a Supabase Auth server over HTTP: every answer is a value, and comes before its deadline.

No key, token, password or address is in what this module says or lets httpx log.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import msgspec
from typing_extensions import override

from semel.model import Secret
from semel.ports import Clock, Unknown

__all__ = ["Answer", "AuthHttp", "Limits", "Request", "unknown"]

_VERSION: Final = {"X-Supabase-Api-Version": "2024-01-01", "X-Client-Info": "semel", "User-Agent": "semel"}
"""The version has error codes as clients know them (https://supabase.com/docs/guides/auth/debugging/error-codes)."""
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_COUNT: Final = re.compile(r"[0-9]{1,12}")
_IN_WORDS: Final = re.compile(r"after (\d{1,6}) seconds")
_LONGEST_PAUSE: Final = 3600.0
_QUEUE_PAUSE: Final = 1.0
_KEEP_ALIVE: Final = 15.0
"""Seconds that an idle connection is kept: less than any gateway keeps it, so that none breaks under a request."""


class Limits(msgspec.Struct, frozen=True):
    """What is common to the requests of all keys, and how many go on at once with one."""

    trust: ssl.SSLContext
    """Which certificates count."""
    timeout: float
    """Seconds, where a request's deadline is not sooner."""
    connections: int
    """Requests at once."""
    queue: int
    """How many more wait for their turn; whoever comes beyond is answered ``Unknown`` at once."""


class Request(msgspec.Struct, frozen=True):
    """A request. ``path`` begins below ``/auth/v1``; ``bearer`` is a person's token, in place of the key."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    bearer: Secret | None = None


class Answer(msgspec.Struct, frozen=True):
    """What came back. ``code`` is Supabase Auth's own error code, ``None`` where somebody else answered for it."""

    status: int
    code: str | None
    body: Any
    """Decoded; ``None`` where it is no JSON."""
    retry_after: float | None
    """In seconds."""
    total: int | None
    """Of a listing: how many there are in all."""
    more: bool | None
    """Of a listing: whether another page follows; ``None`` where that is not said."""


class _Key(httpx.Auth):
    """Adds the key to a request: kept here it is in no repr of a client."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["apikey"] = self._key.reveal()
        request.headers.setdefault("Authorization", f"Bearer {self._key.reveal()}")
        yield request


class AuthHttp:
    """Requests with one key to the server at ``url``, which ends in ``/auth/v1``; ``name`` is the key's for people."""

    def __init__(self, url: str, key: Secret, name: str, limits: Limits, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._turns = asyncio.Semaphore(limits.connections)
        self._capacity = limits.connections + limits.queue
        self._admitted = 0
        self._prefix = httpx.URL(url).raw_path.decode()
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=_Key(key),
            headers=_VERSION,
            # What one person's answer sets must not go along with another's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            verify=limits.trust,
            # A proxy named by the environment is for the outer world, not for a server beside this one.
            trust_env=url.lower().startswith("https:"),
            timeout=limits.timeout,
            limits=httpx.Limits(
                max_connections=limits.connections,
                max_keepalive_connections=limits.connections,
                keepalive_expiry=_KEEP_ALIVE,
            ),
        )

    async def send(self, request: Request, deadline: float) -> Answer | Unknown:
        """Return the answer, whatever its status; ``deadline`` is in the event loop's time."""
        if self._admitted >= self._capacity:
            return Unknown("too many requests wait for the identity provider", retry_after=_QUEUE_PAUSE)
        self._admitted += 1
        try:
            async with asyncio.timeout_at(deadline), self._turns:
                return self._read(await self._sent(request))
        except TimeoutError:
            return Unknown("the identity provider did not answer in time")
        except httpx.HTTPError as error:
            # Its text may quote what was sent.
            return Unknown(f"the connection to the identity provider failed: {type(error).__name__}")
        finally:
            self._admitted -= 1

    async def close(self) -> None:
        """Give up connections. May be called twice."""
        await self._client.aclose()

    async def _sent(self, request: Request) -> httpx.Response:
        headers = {"Authorization": f"Bearer {request.bearer.reveal()}"} if request.bearer else None
        # httpx logs the URL. The query has people's addresses, so it travels as the request's target alone.
        target = f"{self._prefix}{quote(request.path)}?{urlencode(request.query)}".rstrip("?").encode()
        return await self._client.request(
            request.method, request.path, json=request.body, headers=headers, extensions={"target": target}
        )

    def _read(self, response: httpx.Response) -> Answer:
        body = _json(response.content)
        total = response.headers.get("x-total-count", "")
        return Answer(
            response.status_code,
            _code(response.headers, body) if response.status_code >= HTTPStatus.BAD_REQUEST else None,
            body,
            _pause(response, body, self._clock.now()),
            int(total) if _COUNT.fullmatch(total) else None,
            "next" in response.links if response.links else None,
        )


def unknown(answer: Answer, who: str) -> Unknown:
    """Return what an answer comes to that says nothing of what was asked; ``who`` is the key that asked."""
    said = f"HTTP {answer.status}" + (f", {answer.code}" if answer.code else "")
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unknown(f"the identity provider refuses the {who} ({said})")
    return Unknown(f"the identity provider answered {said}", retry_after=answer.retry_after)


def _json(content: bytes) -> Any:  # noqa: ANN401 - as Answer.body
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _code(headers: httpx.Headers, body: object) -> str | None:
    """Return the error code, which stands in a header; with some of them in the body alone."""
    named = headers.get("x-sb-error-code")
    if named is None and isinstance(body, dict):
        named = next((body[key] for key in ("error_code", "code") if isinstance(body.get(key), str)), None)
    return named if named is not None and _CODE.fullmatch(named) else None


def _pause(response: httpx.Response, body: object, now: datetime) -> float | None:
    """Return the seconds to wait: by ``Retry-After`` (RFC 9110), else as Supabase Auth words it."""
    said = response.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return min(float(said), _LONGEST_PAUSE)
    if said:
        try:
            moment = parsedate_to_datetime(said)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((moment - now).total_seconds(), 0.0), _LONGEST_PAUSE)
    if response.status_code != HTTPStatus.TOO_MANY_REQUESTS or not isinstance(body, dict):
        return None
    worded = _IN_WORDS.search(f"{body.get('message')} {body.get('msg')}")
    return min(float(worded[1]), _LONGEST_PAUSE) if worded else None
