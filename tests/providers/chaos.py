"""A network that loses, repeats, delays and invents, between two servers of ours and an identity provider: real HTTP.

What a network does is drawn from a seed. Time is virtual, and passes while requests are under way, so leases end in the
middle of them and upkeep is among the parties.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from semel import Semel
from semel.errors import SemelError
from semel.model import Account, Name
from semel.ports import Found, RemoteProvider
from semel.stores.memory import MemoryStore
from semel.testing import VirtualClock
from semel.testing.invariants import Snapshot, Told, at_rest, records_of
from tests.face.conftest import settings
from tests.providers.web import Answering, Asked, Reply, WebServer

__all__ = ["KINDS", "Case", "Network", "Person", "exactly_once", "people_of", "storm"]

TRIES = 200
TICK = 0.1
HORIZON = 900.0

Person = tuple[str, str, str]
"""Email, key and password."""

GATEWAY = Reply(502, "<html>Bad Gateway</html>", {"content-type": "text/html"})
THROTTLED = Reply(429, {"code": "over_request_rate_limit"}, {"retry-after": "1"})
KINDS = ("lost", "unanswered", "late", "twice", "bad gateway", "failed", "failed after all", "throttled")


class Network:
    """What is between a server of ours and the ``provider``, which fails so. ``weather`` counts what happened."""

    def __init__(self, provider: Answering, failed: Reply, seed: int) -> None:
        self.provider = provider
        self.failed = failed
        self.undone = {"lost": None, "late": None, "bad gateway": GATEWAY, "failed": failed, "throttled": THROTTLED}
        self.weather: Counter[str] = Counter()
        self.calm = False
        self._random = random.Random(seed)  # noqa: S311 - weather, to be had again
        self._late: set[asyncio.Task[Reply | None]] = set()

    async def __call__(self, asked: Asked) -> Reply | None:
        """Answer, or do what a network does. About two requests of five meet something."""
        drawn = self._random.random() * 20
        happens = "fair" if self.calm or drawn >= len(KINDS) else KINDS[int(drawn)]
        self.weather[happens] += 1
        if happens == "late":
            self._late.add(asyncio.create_task(self._later(asked)))
        if happens in self.undone:
            return self.undone[happens]
        reply = await self.provider(asked)
        if happens == "twice":
            return await self.provider(asked)
        return {"unanswered": None, "failed after all": self.failed}.get(happens, reply)

    async def _later(self, asked: Asked) -> Reply | None:
        await asyncio.sleep(self._random.random() / 10)
        return await self.provider(asked)

    async def settle(self) -> None:
        """Let what is late arrive, and all be fair from now on."""
        self.calm = True
        await asyncio.gather(*self._late)


@asynccontextmanager
async def two_servers(
    network: Network, clock: VirtualClock, store: MemoryStore, opened: Callable[[WebServer], RemoteProvider]
) -> AsyncIterator[list[Semel]]:
    """Yield two servers of ours, each with a provider of its own behind the network."""
    async with WebServer(network) as web, AsyncExitStack() as closing:
        servers = []
        for _ in range(2):
            provider = opened(web)
            closing.push_async_callback(provider.close)
            servers.append(
                await closing.enter_async_context(Semel(settings(), store=store, provider=provider, clock=clock))
            )
        yield servers


async def passing(clock: VirtualClock, servers: list[Semel], tick: float) -> None:
    """Let time pass, so many seconds in a millisecond, and make a pass of upkeep now and then."""
    for turn in range(10**9):
        await asyncio.sleep(0.001)
        clock.advance(tick)
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


def people_of(number: int) -> list[Person]:
    """Return email, key and password of each; every third has a rival for the email."""
    owners = [(f"ada{one}@gmail.com", f"the key of number {one}", f"Enchantress {one}") for one in range(number)]
    rivals = [(email, f"a rival's {key}", f"Eavesdropper on {email}") for email, key, _ in owners[::3]]
    return owners + rivals


async def crowd(servers: list[Semel], clock: VirtualClock, people: list[Person]) -> list[Told]:
    """Everybody signs up at both servers at once, with one key."""
    return await asyncio.gather(*(signs_up(server, clock, *one) for one in people for server in servers))


async def opens(semel: Semel, told: Told, people: list[Person]) -> Told:
    """Sign in with the password of a success."""
    if told.account_id is None:
        return told
    (email, password) = next((email, password) for email, key, password in people if key == told.who)
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


@dataclass
class Case:
    """Who signs up, in which store, and how many seconds pass in a millisecond."""

    people: list[Person]
    tick: float = TICK
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(flowing=False))

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.clock.now)


async def storm(network: Network, case: Case, opened: Callable[[WebServer], RemoteProvider]) -> list[Told]:
    """Let everybody sign up through the network, then all come to rest; return what each was told and what it opens."""
    clock, people = case.clock, case.people
    async with two_servers(network, clock, case.store, opened) as servers:
        time = asyncio.create_task(passing(clock, servers, case.tick))
        told = await crowd(servers, clock, people)
        time.cancel()
        with suppress(asyncio.CancelledError):
            await time
        await network.settle()
        await rest(servers, clock)
        return [await opens(servers[0], one, people) for one in told]


async def exactly_once(case: Case, identities: Sequence[Found], told: list[Told]) -> None:
    """Expect that every success has one account and one identity, and that no failure has either."""
    records = await records_of(case.store)
    passwords = tuple(password for _, _, password in case.people)
    assert at_rest(Snapshot(records=records, identities=tuple(identities), secrets=passwords), told) == []
    assert {one.code for one in told} <= {None, "user_already_exists", "identity_already_exists"}
    accounts = {one.id for one in records if isinstance(one, Account)}
    assert accounts == {one.account_id for one in told if one.account_id} == {each.identity_id for each in identities}
    assert len(accounts) == len({email for email, _, _ in case.people})
