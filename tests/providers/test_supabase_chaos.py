"""Exactly once across a network that loses, repeats, delays and invents: real HTTP, two servers, one Supabase.

What a network does is drawn from a seed. Time is virtual, and passes while requests are under way, so leases end in the
middle of them and upkeep is among the parties.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
import pytest

from semel import Semel
from semel.errors import SemelError
from semel.model import Account, Name
from semel.providers.supabase import SupabaseProvider
from semel.stores.memory import MemoryStore
from semel.testing import VirtualClock
from semel.testing.invariants import Snapshot, Told, at_rest, records_of
from tests.face.conftest import settings
from tests.providers.gotrue import GoTrue, problem
from tests.providers.supabase_parts import options
from tests.providers.web import Asked, Reply, WebServer
from tests.scale import SCALE

PEOPLE = SCALE.pick(normal=30, full=400)
SEEDS = range(SCALE.pick(normal=2, full=5))
TRIES = 200
TICK = 0.1
HORIZON = 900.0

FAILED = problem(500, "unexpected_failure", "Database error creating new user")
GATEWAY = Reply(502, "<html>Bad Gateway</html>", {"content-type": "text/html"})
THROTTLED = Reply(429, {"code": "over_request_rate_limit"}, {"retry-after": "1"})
UNDONE = {"lost": None, "late": None, "bad gateway": GATEWAY, "failed": FAILED, "throttled": THROTTLED}
"""What is answered where nothing was done, or not yet."""


class Network:
    """What is between a server of ours and Supabase. ``weather`` counts what happened to whom."""

    def __init__(self, gotrue: GoTrue, seed: int) -> None:
        self.gotrue = gotrue
        self.weather: Counter[str] = Counter()
        self.calm = False
        self._random = random.Random(seed)  # noqa: S311 - weather, to be had again
        self._late: set[asyncio.Task[Reply | None]] = set()

    async def __call__(self, asked: Asked) -> Reply | None:
        """Answer, or do what a network does. About two requests of five meet something."""
        kinds = ("lost", "unanswered", "late", "twice", "bad gateway", "failed", "failed after all", "throttled")
        drawn = self._random.random() * 20
        happens = "fair" if self.calm or drawn >= len(kinds) else kinds[int(drawn)]
        self.weather[happens] += 1
        if happens == "late":
            self._late.add(asyncio.create_task(self._later(asked)))
        if happens in UNDONE:
            return UNDONE[happens]
        reply = await self.gotrue(asked)
        if happens == "twice":
            return await self.gotrue(asked)
        return {"unanswered": None, "failed after all": FAILED}.get(happens, reply)

    async def _later(self, asked: Asked) -> Reply | None:
        await asyncio.sleep(self._random.random() / 10)
        return await self.gotrue(asked)

    async def settle(self) -> None:
        """Let what is late arrive, and all be fair from now on."""
        self.calm = True
        await asyncio.gather(*self._late)


@asynccontextmanager
async def two_servers(network: Network, clock: VirtualClock, store: MemoryStore) -> AsyncIterator[list[Semel]]:
    async with WebServer(network) as web, AsyncExitStack() as closing:
        servers = []
        for _ in range(2):
            provider = SupabaseProvider(options(web, confirm_emails=True), clock)
            closing.push_async_callback(provider.close)
            servers.append(
                await closing.enter_async_context(Semel(settings(), store=store, provider=provider, clock=clock))
            )
        yield servers


async def passing(clock: VirtualClock, servers: list[Semel]) -> None:
    """Let time pass, and make a pass of upkeep every second of it."""
    for turn in range(10**9):
        await asyncio.sleep(0.001)
        clock.advance(TICK)
        if turn % 20 == 0:
            await servers[turn // 20 % 2].upkeep_once()


async def signs_up(semel: Semel, clock: VirtualClock, email: str, key: str, password: str) -> Told:
    """Send a sign-up, and the same again, until there is an answer that stays."""
    for _ in range(TRIES):
        try:
            account = (await semel.register(email=email, password=password, idempotency_key=key)).account
        except SemelError as error:
            told = Told(who=key, registration=error.registration_id, code=error.code, asked=(Name("email", email),))
            if error.retry_after is None or error.status not in {409, 503}:
                return told
            await clock.sleep(error.retry_after)
        else:
            return Told(
                who=key, registration=account.registration, account_id=account.id, asked=(Name("email", email),)
            )
    raise AssertionError(f"{key} was never answered for good")


def people() -> list[tuple[str, str, str]]:
    """Return email, key and password of each; every third has a rival for the email."""
    owners = [(f"ada{one}@gmail.com", f"the key of number {one}", f"Enchantress {one}") for one in range(PEOPLE)]
    rivals = [(email, f"a rival's {key}", f"Eavesdropper on {email}") for email, key, _ in owners[::3]]
    return owners + rivals


async def crowd(servers: list[Semel], clock: VirtualClock) -> list[Told]:
    """Everybody signs up at both servers at once, with one key."""
    return await asyncio.gather(*(signs_up(server, clock, *one) for one in people() for server in servers))


async def opens(semel: Semel, told: Told) -> Told:
    """Sign in with the password of a success."""
    if told.account_id is None:
        return told
    (email, password) = next((email, password) for email, key, password in people() if key == told.who)
    try:
        opened = (await semel.sign_in(email, password)).account.id == told.account_id
    except SemelError:
        opened = False
    return msgspec.structs.replace(told, opens=opened)


async def rest(servers: list[Semel], clock: VirtualClock) -> None:
    for seconds in (60.0, HORIZON, HORIZON, HORIZON):
        clock.advance(seconds)
        while any((await servers[0].upkeep_once()).values()):
            clock.advance(1.0)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_the_network_does_each_is_made_once_or_not_at_all(seed: int) -> None:
    """At rest every success has one account and one identity, and no failure has either."""
    clock = VirtualClock(flowing=False)
    store, gotrue = MemoryStore(clock.now), GoTrue()
    network = Network(gotrue, seed)
    async with two_servers(network, clock, store) as servers:
        time = asyncio.create_task(passing(clock, servers))
        told = await crowd(servers, clock)
        time.cancel()
        with suppress(asyncio.CancelledError):
            await time
        await network.settle()
        await rest(servers, clock)
        told = [await opens(servers[0], one) for one in told]
    records, identities = await records_of(store), gotrue.provider.everybody()
    passwords = tuple(password for _, _, password in people())
    assert at_rest(Snapshot(records=records, identities=identities, secrets=passwords), told) == []
    assert {one.code for one in told} <= {None, "user_already_exists", "identity_already_exists"}
    accounts = {one.id for one in records if isinstance(one, Account)}
    assert accounts == {one.account_id for one in told if one.account_id} == {each.identity_id for each in identities}
    assert len(accounts) == PEOPLE
    assert len(network.weather) == 9, network.weather
