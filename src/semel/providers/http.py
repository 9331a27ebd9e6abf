"""A way to an identity provider over HTTP: every answer is a value, and comes before its deadline.

No key, token, password or address is in what this module says or lets httpx log.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from operator import attrgetter
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import msgspec

from semel.errors import ConfigurationInvalid
from semel.model import Secret
from semel.ports import Clock, Unknown

__all__ = [
    "LANE",
    "Answer",
    "Http",
    "Limits",
    "NothingSentError",
    "Place",
    "Request",
    "Speech",
    "nonsense",
    "trust",
    "unknown",
]

_LONGEST_PAUSE: Final = 3600.0
_QUEUE_PAUSE: Final = 1.0
LANE: Final = 8
"""Connections of one client. httpx walks through all of a client's at every request: one client with 256 of them takes
some two and a half times the processor that 32 with eight take."""
_KEEP_ALIVE: Final = 15.0
"""Seconds that an idle connection is kept: less than any gateway keeps it, so that none breaks under a request."""


class NothingSentError(Exception):
    """What an ``httpx.Auth`` raises that has nothing to let a request in with: ``outcome`` is the request's."""

    def __init__(self, outcome: Unknown) -> None:
        super().__init__(outcome.why)
        self.outcome = outcome


class Limits(msgspec.Struct, frozen=True):
    """How long a request may take, and how many go on at once by one way."""

    timeout: float
    """Seconds, where a request's deadline is not sooner."""
    connections: int
    """Requests at once."""
    queue: int
    """How many more wait for their turn; whoever comes beyond is answered ``Unknown`` at once."""


class Speech(msgspec.Struct, frozen=True):
    """How one kind of server is spoken to, and how it names what went wrong."""

    code: Callable[[httpx.Headers, object], str | None]
    """The error code of an answer with these headers and this body, ``None`` where somebody else answered for it."""
    headers: Mapping[str, str] = {}
    pause: Callable[[int, object], float | None] = lambda _status, _body: None
    """The seconds to wait that status and body tell of, where no header does."""


class Place(msgspec.Struct, frozen=True):
    """Where a server is, and what all ways to it have in common."""

    url: str
    limits: Limits
    trust: ssl.SSLContext
    """Which certificates count."""
    speech: Speech
    clock: Clock


class Request(msgspec.Struct, frozen=True):
    """A request. ``path`` begins below the place's URL; ``bearer`` is a person's token, in place of the way's own key.

    ``body`` is sent as JSON, ``form`` as a form.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    bearer: Secret | None = None


class Answer(msgspec.Struct, frozen=True):
    """What came back. ``code`` is the server's own error code, ``None`` where somebody else answered for it."""

    status: int
    code: str | None
    body: Any
    """Decoded; ``None`` where it is no JSON."""
    retry_after: float | None
    """In seconds."""
    headers: httpx.Headers


def trust(url: str) -> ssl.SSLContext:
    """Return which certificates count: of a server without TLS none, which costs a fifth of a second less."""
    if url.lower().startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Lane:
    """A client with connections of its own, and how many requests it has under way."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.busy = 0

    def __enter__(self) -> None:
        self.busy += 1

    def __exit__(self, *_: object) -> None:
        self.busy -= 1


class Http:
    """Requests to one place, let in by ``auth``; ``name`` is what people call that.

    Raises ``ConfigurationInvalid`` where the place's URL is none.
    """

    def __init__(self, place: Place, name: str, auth: httpx.Auth) -> None:
        self.name = name
        self._place = place
        limits = place.limits
        self._turns = asyncio.Semaphore(limits.connections)
        self._capacity = limits.connections + limits.queue
        self._admitted = 0
        self._prefix = _prefix(place.url)
        lanes = -(-limits.connections // LANE)
        self._lanes = [_Lane(_client(place, auth)) for _ in range(lanes)]

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
        except NothingSentError as error:
            return error.outcome
        except httpx.HTTPError as error:
            # Its text may quote what was sent.
            return Unknown(f"the connection to the identity provider failed: {type(error).__name__}")
        finally:
            self._admitted -= 1

    async def close(self) -> None:
        """Give up connections. May be called twice."""
        for lane in self._lanes:
            await lane.client.aclose()

    async def _sent(self, request: Request) -> httpx.Response:
        headers = {"Authorization": f"Bearer {request.bearer.reveal()}"} if request.bearer else None
        # httpx logs the URL. The query has people's addresses, so it travels as the request's target alone.
        target = f"{self._prefix}{quote(request.path)}?{urlencode(request.query)}".rstrip("?").encode()
        lane = min(self._lanes, key=attrgetter("busy"))
        with lane:
            return await lane.client.request(
                request.method,
                request.path,
                json=request.body,
                data=request.form,
                headers=headers,
                extensions={"target": target},
            )

    def _read(self, response: httpx.Response) -> Answer:
        body = _json(response.content)
        failed = response.status_code >= HTTPStatus.BAD_REQUEST
        return Answer(
            response.status_code,
            self._place.speech.code(response.headers, body) if failed else None,
            body,
            self._pause(response, body),
            response.headers,
        )

    def _pause(self, response: httpx.Response, body: object) -> float | None:
        """Return the seconds to wait: by ``Retry-After`` (RFC 9110), else as the server words it."""
        said = response.headers.get("retry-after", "").strip()
        if said:
            seconds = float(said) if said.isdecimal() else _until(said, self._place.clock.now())
        else:
            seconds = self._place.speech.pause(response.status_code, body)
        return None if seconds is None else min(seconds, _LONGEST_PAUSE)


def _client(place: Place, auth: httpx.Auth) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=place.url,
        auth=auth,
        headers=place.speech.headers,
        # What one person's answer sets must not go along with another's request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        verify=place.trust,
        # A proxy named by the environment is for the outer world, not for a server beside this one.
        trust_env=place.url.lower().startswith("https:"),
        timeout=place.limits.timeout,
        limits=httpx.Limits(max_connections=LANE, max_keepalive_connections=LANE, keepalive_expiry=_KEEP_ALIVE),
    )


def unknown(answer: Answer, who: str) -> Unknown:
    """Return what an answer comes to that says nothing of what was asked; ``who`` is the key that asked."""
    said = f"HTTP {answer.status}" + (f", {answer.code}" if answer.code else "")
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unknown(f"the identity provider refuses the {who} ({said})")
    return Unknown(f"the identity provider answered {said}", retry_after=answer.retry_after)


def nonsense(answer: Answer) -> Unknown:
    """Return what a page of a proxy, or of another server, comes to whose status says that all is well."""
    return Unknown(f"the identity provider answered HTTP {answer.status} with what is none of its own")


def _prefix(url: str) -> str:
    try:
        return httpx.URL(url).raw_path.decode().removesuffix("/")
    except httpx.InvalidURL:
        raise ConfigurationInvalid("url has a host or a port that is none") from None


def _json(content: bytes) -> Any:  # noqa: ANN401 - as Answer.body
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _until(said: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
