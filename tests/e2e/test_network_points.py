"""Each thing that a network does, at each kind of request to a Supabase Auth server, one at a time.

The server is a second Semel. What asks it is the library in this process, whose clock goes forward at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from semel import Semel
from semel.errors import IdentityAlreadyExists, SemelError
from semel.model import Account
from semel.protocol.engine import Registered
from tests.e2e.beyond import NetworkScene, Second
from tests.e2e.grounds import SqliteGround
from tests.e2e.network import Climate, Weather
from tests.e2e.scenes import Person

T = TypeVar("T")

TIMEOUT = 0.5
TRIES = 10

FAST = {
    "SEMEL_LEASE_SECONDS": "2",
    "SEMEL_REMOVAL_HORIZON_SECONDS": "8",
}
HARMLESS = frozenset({Weather.SLOW, Weather.TWICE, Weather.AGAIN})
"""The answer is heard all the same."""
SETTLED = {("create", Weather.FAILED_AFTER)}
"""A look says that it was done."""
UNIMPORTANT = {"logout", "delete"}
"""What becomes of a session that nobody has, or of an identity that is condemned, is nothing to wait for."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> SqliteGround:
    return SqliteGround(tmp_path_factory.mktemp("ground"))


@pytest.fixture
async def scene(second_semel: Second, ground: SqliteGround, tmp_path: Path) -> AsyncIterator[NetworkScene]:
    async with second_semel.scene(await ground.new(), Climate(TIMEOUT), tmp_path) as scene:
        scene.variables |= FAST
        await scene.already()
        yield scene


@dataclass
class Visit:
    """Somebody who meets one accident, and what it was good for. ``later`` counts the answers to come back later."""

    scene: NetworkScene
    semel: Semel
    person: Person
    kind: str
    weather: Weather
    later: int = 0

    async def meet(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask while the accident happens, and until there is an answer for good."""
        self.scene.network.next(self.kind, self.weather)
        return await self.patiently(ask)

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and again whenever the lease is over, until there is an answer for good."""
        for _ in range(TRIES):
            try:
                return await ask()
            except SemelError as error:
                if error.retry_after is None or error.status != 503:
                    raise
                self.later += 1
                await self.scene.over()
        raise AssertionError(f"there was never an answer for good: {self.kind}, {self.weather}")

    async def enter(self) -> Registered:
        return await self.scene.enter(self.semel, self.person)


async def _sign_up(visit: Visit) -> None:
    await visit.meet(visit.enter)


async def _sign_up_again(visit: Visit) -> None:
    """The same key has the same success, for which the password is verified."""
    made = (await visit.patiently(visit.enter)).account
    visit.later = 0
    assert (await visit.meet(visit.enter)).account.id == made.id


async def _sign_up_where_somebody_is(visit: Visit) -> None:
    """The email's identity at the provider is none of ours."""
    await visit.scene.plant(visit.person)
    with pytest.raises(IdentityAlreadyExists):
        await visit.meet(visit.enter)


async def _delete(visit: Visit) -> None:
    """The account is deleted, and the identity sooner or later."""
    account = (await visit.patiently(visit.enter)).account
    await visit.meet(lambda: visit.semel.delete_account(account.id))


DEEDS: dict[str, Callable[[Visit], Awaitable[None]]] = {
    "create": _sign_up,
    "find": _sign_up_again,
    "token": _sign_up_again,
    "logout": _sign_up_again,
    "list": _sign_up_where_somebody_is,
    "delete": _delete,
}


@pytest.mark.parametrize("weather", Weather)
@pytest.mark.parametrize("kind", DEEDS)
async def test_each_thing_at_each_kind_of_request(scene: NetworkScene, kind: str, weather: Weather) -> None:
    """An answer for good, at once or when the same is asked again; at rest all or nothing of it is there."""
    async with scene.opened() as (semel, _):
        visit = Visit(scene, semel, scene.person(), kind, weather)
        await DEEDS[kind](visit)
    await scene.network.settle()
    assert scene.network.met == {(kind, weather): 1}
    unheard = weather not in HARMLESS and kind not in UNIMPORTANT and (kind, weather) not in SETTLED
    assert visit.later > 0 or not unheard
    rested = await scene.rest()
    ours = {one.identity_id for one in rested.identities or ()} - set(scene.foreign)
    assert ours == {one.id for one in rested.all(Account)}
    assert len(ours) == (0 if kind in {"list", "delete"} else 1)


@pytest.mark.parametrize("weather", [Weather.AGAIN, Weather.LATE])
async def test_a_create_that_lands_after_the_account_has_gone(scene: NetworkScene, weather: Weather) -> None:
    """Upkeep has found nothing; then the identity is there once more. It looks as long as that can happen."""
    async with scene.opened() as (semel, _):
        visit = Visit(scene, semel, scene.person(), "create", weather)
        made = await visit.meet(visit.enter)
        await semel.delete_account(made.account.id)
        await scene.over()
        await semel.upkeep_once()
    await scene.network.settle()
    there = {one.identity_id for one in (await scene.look()).identities or ()} - set(scene.foreign)
    assert there == {made.account.id}
    rested = await scene.rest()
    assert {one.provider_id for one in rested.identities or ()} == set(scene.foreign)
