"""Webhooks, signed by the rules of Standard Webhooks (https://www.standardwebhooks.com).

A request goes to an address that was looked up and judged beforehand, so that no name leads to another one meanwhile.
Redirects are not followed, and nothing of an answer is read but its status and ``Retry-After``.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec
from standardwebhooks.webhooks import Webhook

from semel.couriers.addresses import is_public
from semel.couriers.options import Endpoint, WebhookOptions
from semel.model import OutboxEvent
from semel.outgoing import Refused, Sent
from semel.ports import Clock, Unknown

__all__ = ["LookUp", "Webhooks", "body_of"]

LookUp = Callable[..., Sequence[tuple[Any, ...]]]

_AT_ONCE: Final = 8
"""Requests to one endpoint; so a slow one takes no turn from another."""
_LOOK_UPS: Final = 2
_PORTS: Final = {"https": 443, "http": 80}
_SUBJECTS: Final = {"invitation": "invitation_id"}
"""What the subject of an event is called, by the first word of its kind."""


class Webhooks:
    """``outgoing.Courier`` over HTTPS, to the endpoints of the settings. No secret and no URL is in any answer or log.

    ``look_up`` says which addresses a name leads to, as ``socket.getaddrinfo`` does, in a thread.
    """

    def __init__(self, options: WebhookOptions, clock: Clock, look_up: LookUp = socket.getaddrinfo) -> None:
        self.timeout = options.timeout
        self._clock = clock
        trust = httpx.create_ssl_context()
        self._ways = {one.name: _Way(one, options, trust, look_up) for one in options.endpoints}

    def endpoints(self, event: OutboxEvent) -> tuple[str, ...]:
        """See ``Courier.endpoints``: everybody hears of everything but mails."""
        return () if event.is_mail else tuple(self._ways)

    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        """See ``Courier.deliver``.

        An endpoint that did not answer in time is left alone for as long again: what is meant for others must not wait
        for it over and over.
        """
        way = self._ways[endpoint]
        if way.rests_until > self._clock.monotonic():
            return Unknown("it did not answer in time a moment ago")
        try:
            async with asyncio.timeout(self.timeout), way.turns:
                headers = {"webhook-attempt": attempt, **way.signed(event, self._clock.now())}
                status, pause = await way.sent(body_of(event), headers)
        except TimeoutError:
            way.rests_until = self._clock.monotonic() + self.timeout
            return Unknown("no answer in time")
        except _NotAllowedError:
            return Unknown("its address is not public")
        except (OSError, UnicodeError):
            return Unknown("its name leads nowhere")
        except httpx.HTTPError as error:  # its text may quote the URL
            return Unknown(_broken(error))
        return self._read(status, pause)

    async def close(self) -> None:
        """Give up connections. May be called twice."""
        for way in self._ways.values():
            await way.close()

    def _read(self, status: int, pause: str) -> Sent | Refused | Unknown:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return Sent()
        if status == HTTPStatus.GONE:
            return Refused(status)
        return Unknown(f"HTTP {status}", retry_after=_seconds(pause, self._clock.now()))


def body_of(event: OutboxEvent) -> bytes:
    """Return what is sent of an event: its kind, when it happened, and ids. The same bytes at every attempt."""
    data = {"account_id": event.account_id or None}
    if event.subject is not None:
        data[_SUBJECTS.get(event.kind.partition(".")[0], "subject_id")] = event.subject
    timestamp = event.created_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": event.kind, "timestamp": timestamp, "data": data})


class _NotAllowedError(Exception):
    """None of the addresses of an endpoint may be connected to."""


class _Way:
    """The way to one endpoint, with a client of its own: a kept connection is found by its address, not its name."""

    def __init__(self, endpoint: Endpoint, options: WebhookOptions, trust: ssl.SSLContext, look_up: LookUp) -> None:
        self._url = httpx.URL(endpoint.url.reveal())
        self._host = self._url.raw_host.decode()
        self._look_up = look_up
        # A name that nobody answers for keeps a thread for long.
        self._resolving = ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="webhook-names")
        self._signing = [Webhook(secret.reveal()) for secret in endpoint.secrets]
        self._allow_private = options.allow_private
        self.turns = asyncio.Semaphore(_AT_ONCE)
        self.rests_until = -math.inf
        """Until when nothing is sent, on the clock that never goes back."""
        self._client = httpx.AsyncClient(
            verify=trust,
            # A proxy would look the name up by itself.
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(options.timeout, connect=options.timeout / 3),
            limits=httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Give up connections and threads."""
        await self._client.aclose()
        self._resolving.shutdown(wait=False, cancel_futures=True)

    def signed(self, event: OutboxEvent, now: datetime) -> dict[str, str]:
        """Return the headers that Standard Webhooks asks for."""
        text = body_of(event).decode()
        return {
            "webhook-id": event.delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(one.sign(event.delivery_id, now, text) for one in self._signing),
        }

    async def sent(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return status and ``Retry-After`` of the first address that can be connected to."""
        addresses = await self._addresses()
        for address in addresses[:-1]:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent
                return await self._posted(address, body, headers)
        return await self._posted(addresses[-1], body, headers)

    async def _addresses(self) -> list[str]:
        """Return the addresses that may be connected to. Raises ``_NotAllowedError``, or an ``OSError``."""
        port = self._url.port or _PORTS[self._url.scheme]
        look_up = partial(self._look_up, self._host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._resolving, look_up)
        addresses = dict.fromkeys(str(where[0]) for *_, where in found)
        allowed = [one for one in addresses if self._allow_private or is_public(one)]
        if not allowed:
            raise _NotAllowedError
        return allowed

    async def _posted(self, address: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        host = self._url.netloc.decode()
        async with self._client.stream(
            "POST",
            # httpx logs the URL, which may hold what lets somebody in: so path and query travel as the target alone.
            self._url.copy_with(host=address, raw_path=b"/"),
            content=body,
            headers={"Host": host, "Content-Type": "application/json", "User-Agent": "Semel", **headers},
            extensions={"sni_hostname": self._host, "target": self._url.raw_path},
        ) as answer:
            return answer.status_code, answer.headers.get("retry-after", "")


def _broken(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "its certificate is not trusted, or TLS failed"
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed: {type(error).__name__}"


def _seconds(said: str, now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` (RFC 9110, 10.2.3) asks for."""
    if said.isascii() and said.isdecimal():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except (ValueError, OverflowError):  # the latter for a year that no date has
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
