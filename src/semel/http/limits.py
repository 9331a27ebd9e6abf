"""How often one may try: attempts are counted by address, and by the account that they are about.

An attempt is counted before anything else is done for it, in one atomic step, so that a crowd gets no further than a
single caller. What turns out to be the replay of an answered idempotency key is uncounted, and so is what was refused.
Windows are fixed: each begins with its first attempt. So at most twice the limit can come in one stretch of a window's
length, around the end of a window.

The answer's fields are those of draft-ietf-httpapi-ratelimit-headers-11 (of 23 May 2026): ``RateLimit-Policy`` has the
quota ``q`` and the window ``w`` in seconds, ``RateLimit`` has what remains, ``r``, and, where nothing does, the seconds
``t`` until there is more.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple, Self

import msgspec
from limits import RateLimitItem, parse_many
from starlette.datastructures import Headers
from starlette.types import Scope

from semel import canonical
from semel.config import Settings
from semel.errors import InvalidInput, RateLimited
from semel.face import Semel
from semel.http.counters import Counters, Redis, open_redis
from semel.http.idempotency import idempotency_key
from semel.intents import registration_id
from semel.keys import Purpose
from semel.model import Registration
from semel.states import RegistrationState

__all__ = ["Attempt", "Counted", "Limit", "Limited", "Limiter", "address_of", "check_limits"]

_OFF: Final = "off"
_MEMORY: Final = "memory"
_SETTING: Final = "rate_limit_"
_BY_ADDRESS: Final = "_by_address"
_BY_ACCOUNT: Final = "_by_account"
_REQUESTS: Final = "requests_by_address"
"""The limit that every request is under that is under any: replays, too, cost something."""
_HALF: Final = 64
"""The bits of an IPv6 address that tell one subscriber's machines apart."""


class Limit(StrEnum):
    """What is limited. ``rate_limit_…_by_address`` and, where attempts are about an account, ``…_by_account`` say how.

    Every door counts under the same name, so that nobody gets twice as much by using two.
    """

    SIGN_UP = "sign_up"
    SIGN_IN = "sign_in"
    INVITATION = "invitation"
    """Accepting one."""
    RESEND = "resend"
    """Asking for a mail once more, or for one to an email that an account is to have."""
    RECOVERY = "recovery"


class Limited(msgspec.Struct, frozen=True):
    """Which limit an operation is under."""

    limit: Limit
    keys: str | Callable[[Scope], str] | None = None
    """The scope of the idempotency keys that the operation takes (``Intent.scope``), or what makes it of a request;
    ``None`` if it takes none."""


class Counted(NamedTuple):
    """One attempt in one window."""

    rate: RateLimitItem
    key: str
    number: int
    shared: bool

    @property
    def over(self) -> bool:
        """Whether it is one too many."""
        return self.number > self.rate.amount

    @property
    def remaining(self) -> int:
        """How many more may come."""
        return max(self.rate.amount - self.number, 0)

    def less(self) -> Self:
        """Return it without the attempt."""
        return self._replace(number=self.number - 1)


class Limiter:
    """The limits of one server; they are off, or work while ``semel`` is open. Raises ``ConfigurationInvalid``."""

    def __init__(self, semel: Semel) -> None:
        self.on = _where(semel.settings) != _OFF
        self.masks = semel.settings.enumeration != "open"
        """Whether nothing may tell a sign-up that made an account from one that met one."""
        self._semel = semel
        self._redis = _redis(semel.settings)
        self._rates = _rates(semel.settings)
        self._flights: dict[str, asyncio.Future[None]] = {}

    @cached_property
    def counters(self) -> Counters:
        """Who counts."""
        return Counters(self._semel.parts.engine.clock, self._redis, self._alone)

    def attempt(self, scope: Scope) -> Attempt:
        """Return a request as the limits see it."""
        return Attempt(self, scope)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            await self._redis.close()

    def refused(self, limit: str) -> None:
        """Tell operators."""
        self._emit("limits.refused", limit=limit)

    async def add(self, limit: str, whose: str) -> list[Counted]:
        """Count an attempt under every rate of a limit."""
        added = []
        for rate in self._rates[limit]:
            key = rate.key_for(limit, self._hidden(limit, whose))
            count = await self.counters.add(key, rate.get_expiry())
            added.append(Counted(rate, key, count.number, count.shared))
        return added

    async def take_back(self, counted: Iterable[Counted]) -> None:
        """Uncount."""
        for one in counted:
            await self.counters.take_back(one.key, one.rate.get_expiry(), shared=one.shared)

    async def left(self, counted: Counted) -> float:
        """Return in how many seconds its window ends."""
        return await self.counters.left(counted.key, shared=counted.shared)

    async def answered(self, registration: str) -> bool:
        """Tell whether a registration has succeeded; one that is under way in this process is waited for."""
        flight = self._flights.get(registration)
        if flight is not None:
            await asyncio.wait([flight], timeout=self._semel.settings.wait_seconds)
        found = await self._semel.parts.engine.store.get(Registration, (registration,))
        return found is not None and found.state is RegistrationState.COMPLETED

    @contextmanager
    def flying(self, registration: str) -> Iterator[None]:
        """Let others know that a registration is under way."""
        if registration in self._flights:
            yield
            return
        over = self._flights[registration] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._flights[registration]
            over.set_result(None)

    def _hidden(self, limit: str, whose: str) -> str:
        """Return what stands for an address or an account: nobody who reads the counters learns which it is."""
        secret = self._semel.parts.keys.secret(Purpose.LIMITS)
        return hmac.new(secret, f"{limit}\0{whose}".encode("utf-8", "surrogatepass"), sha256).hexdigest()

    def _alone(self, why: str) -> None:
        self._emit("limits.alone", error=why)

    def _emit(self, name: str, **fields: str) -> None:
        self._semel.parts.engine.events.emit(name, fields)


class Attempt:
    """One request as the limits see it, for as long as the block: ``with limiter.attempt(scope) as attempt``."""

    def __init__(self, limiter: Limiter, scope: Scope) -> None:
        self._limiter = limiter
        self._scope = scope
        self._limited: Limited | None = None
        self._counted: list[Counted] = []
        """What is uncounted if this turns out to be no attempt."""
        self._told: dict[str, Counted] = {}
        self._waits: dict[str, float] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go who waits for this one."""
        self._closing.close()

    async def begin(self, limited: Limited) -> None:
        """Count the attempt by its address. Raises ``RateLimited`` or ``IdempotencyKeyInvalid``.

        Who has no attempt left is let through with a key that is answered already: else a success would look failed.
        That costs one read, and is under the limit of all requests twice: by the address, and by the key unless it
        turns out a replay.
        """
        if not self._limiter.on:
            return
        self._limited = limited
        address, limit = address_of(self._scope), limited.limit + _BY_ADDRESS
        everything = await self._limiter.add(_REQUESTS, address)
        if _exceeded(everything):
            raise await self._refusal(_REQUESTS, everything)
        registration = self._registration(limited)
        counted = await self._add(limit, address)
        self._told = _named(limit, counted)
        if not _exceeded(counted):
            if registration is not None:
                self._closing.enter_context(self._limiter.flying(registration))
            return
        if registration is None or not await self._limiter.answered(registration):
            raise await self._refusal(limit, counted)
        by_key = await self._add(_REQUESTS, registration)  # so that no password is guessed by way of replays
        if _exceeded(by_key):
            raise await self._refusal(_REQUESTS, by_key)

    async def on(self, account: str, limited: Limit | None = None) -> None:
        """Count the attempt by the account that it is about, as the caller names it. Raises ``RateLimited``.

        Whether there is such an account plays no part, and how often others try it is told to nobody before that.
        ``limited``: under which limit, if not the operation's own.
        """
        if self._limited is None:
            return
        limit = (limited or self._limited.limit) + _BY_ACCOUNT
        counted = await self._add(limit, _one_form(account))
        if _exceeded(counted):
            raise await self._refusal(limit, counted)

    async def replayed(self) -> None:
        """Uncount the attempt: it was the replay of an answer. A masked sign-up never says that it was one."""
        taken, self._counted = self._counted, []
        await self._limiter.take_back(taken)
        self._told = {name: one.less() if one in taken else one for name, one in self._told.items()}

    @property
    def headers(self) -> dict[str, str]:
        """What tells the caller of the limits; empty where there are none."""
        if not self._told:
            return {}
        policy = [f'"{name}";q={one.rate.amount};w={one.rate.get_expiry()}' for name, one in self._told.items()]
        now = [f'"{name}";r={one.remaining}{self._wait(name)}' for name, one in self._told.items()]
        return {"ratelimit-policy": ", ".join(policy), "ratelimit": ", ".join(now)}

    def _wait(self, name: str) -> str:
        return f";t={math.ceil(self._waits[name])}" if name in self._waits else ""

    def _registration(self, limited: Limited) -> str | None:
        """Return the registration that the request's idempotency key names."""
        if limited.keys is None or (self._limiter.masks and limited.limit is Limit.SIGN_UP):
            return None
        key = idempotency_key(Headers(scope=self._scope))
        realm = limited.keys(self._scope) if callable(limited.keys) else limited.keys
        return None if key is None else registration_id(realm, key)

    async def _add(self, limit: str, whose: str) -> list[Counted]:
        """Count, and uncount at once what is too often."""
        counted = await self._limiter.add(limit, whose)
        if _exceeded(counted):
            await self._limiter.take_back(counted)
        else:
            self._counted += counted
        return counted

    async def _refusal(self, limit: str, counted: list[Counted]) -> RateLimited:
        """Return the answer to who tries too often; nothing of it is counted, but as a request."""
        await self._limiter.take_back(self._counted)
        self._counted = []
        self._told = {name: one for name, one in _named(limit, counted).items() if one.over}
        self._waits = {name: await self._limiter.left(one) for name, one in self._told.items()}
        self._limiter.refused(limit)
        return RateLimited(retry_after=max(1.0, *self._waits.values()))


def check_limits(settings: Settings) -> None:
    """Raise ``ConfigurationInvalid`` where the settings ask for what cannot be."""
    _redis(settings)


def address_of(scope: Scope) -> str:
    """Return what counts as the caller's address: with IPv6 its /64, which one subscriber has to itself."""
    host: str = (scope.get("client") or ("",))[0]
    try:
        address = ip_address(host)
    except ValueError:  # a Unix socket, say
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or int(address) >> _HALF)


def _one_form(account: str) -> str:
    """Return one form for all ways to write an email, for whatever else the text itself."""
    try:
        return canonical.email(account, allow_special_use=True).name.value
    except InvalidInput:
        return account.strip().casefold()


def _exceeded(counted: list[Counted]) -> bool:
    return any(one.over for one in counted)


def _named(limit: str, counted: list[Counted]) -> dict[str, Counted]:
    """Return the windows by the names that callers see."""
    if len(counted) == 1:
        return {limit: counted[0]}
    return {f"{limit}-{one.rate.get_expiry()}s": one for one in counted}


def _where(settings: Settings) -> str:
    return settings.rate_limits.get_secret_value()


def _redis(settings: Settings) -> Redis | None:
    url = _where(settings)
    return None if url in {_OFF, _MEMORY} else open_redis(url)


def _rates(settings: Settings) -> dict[str, list[RateLimitItem]]:
    """Return every limit with its rates, by the name of its setting."""
    names = [name for name in Settings.model_fields if name.startswith(_SETTING)]
    return {name.removeprefix(_SETTING): parse_many(getattr(settings, name)) for name in names}
