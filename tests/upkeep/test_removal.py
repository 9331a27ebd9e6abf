"""Removal: a condemned identity is deleted, and looked for until it cannot come any more."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from semel.errors import OutcomeUnknown
from semel.model import Account, Identity
from semel.states import IdentityState
from semel.testing import Fault, Variant
from tests.protocol.worlds import CREATED_REMOTE, FORGOTTEN, World

RENAMING = pytest.mark.parametrize("variant", [Variant.NAMED, Variant.MARKER])
"""Providers with ids of their own, at which what says whose an identity is can be changed."""
VARIANTS = pytest.mark.parametrize("variant", list(Variant))


@VARIANTS
async def test_a_create_that_lands_late_is_removed(variant: Variant) -> None:
    """A create of a registration that has failed lands after the first look: a later one finds and deletes it."""
    world = World(variant)
    world.outside.next("create", Fault.LATE)
    with pytest.raises(OutcomeUnknown):
        await world.server().register()
    world.lease_over()
    await world.server().upkeep.once()
    world.provider.land()
    assert world.left()["at the provider"] == 1
    await world.server().rest()
    assert world.left() == FORGOTTEN


async def condemned(world: World, count: int = 1) -> None:
    """Leave removals that nobody has looked at yet, due now, with their identities at the provider."""
    server = world.server("the owner")
    world.outside.always(Fault.DOWN, "find")
    for n in range(count):
        account = (await server.register(email=f"ada{n}@example.org")).account
        await server.delete(account.id)
    world.outside.lift()


async def look(world: World) -> Identity | None:
    """Let the removal come due, and upkeep look; return what is kept of it then."""
    due = world.condemned().due_at
    assert due is not None
    world.clock.advance(max(0.0, (due - world.clock.now()).total_seconds()))
    await world.server().upkeep.once()
    return next(iter(world.records(Identity)), None)


async def looks(world: World) -> list[float]:
    """Look until the removal is forgotten; return after how many seconds each look came, the last one included."""
    began, at = world.clock.now(), []
    while True:
        kept = await look(world)
        at.append((world.clock.now() - began).total_seconds())
        if kept is None:
            return at


@pytest.mark.parametrize("fault", [None, Fault.DOWN], ids=["absent each time", "no answer"])
async def test_looks_back_off_with_jitter_until_the_horizon(fault: Fault | None) -> None:
    """The wait doubles up to a tenth of the horizon, spread by jitter; the last look is a horizon after the delete."""
    world = World()
    await condemned(world)
    world.outside.next("find", *[fault] * 12)
    options = world.options
    at = await looks(world)
    found = at[12] if fault else 0.0
    full = [min(options.removal_retry * 2**n, options.removal_horizon / 10) for n in range(len(at) - 2)]
    shares = [(then - now) / wait for now, then, wait in zip(at, at[1:], full, strict=False)]
    assert all(0.5 <= share <= 1.5 for share in shares)
    assert max(shares) - min(shares) > 0.1
    assert (at[0], at[-1]) == (0.0, options.removal_horizon + found)


async def test_what_comes_at_the_last_moment_is_removed() -> None:
    """An identity that comes up just before the horizon's end is still deleted; only then is the removal forgotten."""
    world = World()
    await condemned(world)
    state = world.provider.state
    horizon = world.condemned().look_until
    assert horizon is not None
    while world.condemned().due_at != horizon:
        await look(world)
    world.provider.state = state
    assert await look(world)
    assert world.left()["at the provider"] == 0
    await looks(world)
    assert world.left() == Counter({"registration withdrawn": 1})


async def test_a_deletion_is_watched_for_a_whole_horizon() -> None:
    """Who signed in just before it has so long to be noticed: no look of before, and none soon after, forgets it."""
    world = World()
    await condemned(world)
    world.clock.advance(2 * world.options.removal_horizon)
    assert await look(world)
    began = world.clock.now()
    assert world.left()["at the provider"] == 0
    await looks(world)
    assert (world.clock.now() - began).total_seconds() == world.options.removal_horizon


async def test_a_removal_that_cannot_be_noted_deletes_nothing() -> None:
    """The record says first that it is to be watched on; where somebody else was faster, the delete is theirs."""
    world = World()
    await condemned(world)
    world.network.before("commit", lambda: world.edit(world.condemned().but(version=7)))
    await world.server().upkeep.once()
    assert world.outside.calls["delete"] == 0
    assert world.left()["at the provider"] == 1


async def test_a_removal_outlives_its_horizon_while_nobody_answers() -> None:
    """It is forgotten only by a look that was answered, however late."""
    world = World()
    await condemned(world)
    world.outside.always(Fault.DOWN)
    world.clock.advance(2 * world.options.removal_horizon)
    assert await look(world)
    assert await look(world)
    world.outside.lift()
    assert await look(world)
    assert world.left()["at the provider"] == 0
    await looks(world)


async def test_an_unanswered_delete_is_no_removal() -> None:
    """Found, and the delete's answer lost: not known to be gone, so looked for again."""
    world = World()
    await condemned(world)
    world.clock.advance(world.options.removal_horizon)
    world.outside.next("delete", Fault.DROP)
    assert await look(world)
    assert world.left()["at the provider"] == 1
    assert await look(world)
    assert world.left()["at the provider"] == 0
    await looks(world)


async def test_two_servers_remove_as_one() -> None:
    """Two passes at once over several removals: all are gone, and nothing but them."""
    world = World()
    stays = (await world.server().register()).account
    await condemned(world, 3)
    world.outside.always(Fault.SLOW)
    for seconds in (0.0, world.options.removal_horizon):
        world.clock.advance(seconds)
        await asyncio.gather(*(world.server(name).upkeep.once() for name in "BC"))
    assert world.left() == CREATED_REMOTE + Counter({"registration withdrawn": 3})
    assert world.one(Identity).id == stays.id


def rename(world: World, **changes: Any) -> None:  # noqa: ANN401 - as the provider keeps them
    """Take away from the identities at the provider what says that they are ours; or as is said."""
    kept = tuple(replace(one, label=None, **changes) for one in world.provider.state.identities)
    world.provider.state = replace(world.provider.state, identities=kept)


@RENAMING
async def test_what_was_renamed_at_the_provider_is_removed(variant: Variant) -> None:
    """By the provider's own id: it looks absent by ours, and would stay for ever."""
    world = World(variant)
    account = (await world.server().register()).account
    rename(world)
    await world.server().delete(account.id)
    assert world.left()["at the provider"] == 1
    await world.server().rest()
    assert world.left() == Counter({"registration withdrawn": 1})


@RENAMING
async def test_what_was_renamed_and_has_another_account_stays(variant: Variant) -> None:
    """Somebody has signed in with it meanwhile: the record under which it is known now keeps upkeep from it."""
    world = World(variant)
    account = (await world.server().register()).account
    rename(world, email="grace@example.org")
    healed, _ = await world.server().sign_in("grace@example.org")
    await world.server().delete(account.id)
    await world.server().rest()
    assert (world.one(Account).id, world.one(Identity).id) == (healed.id, healed.id)
    assert world.left() == CREATED_REMOTE + Counter({"registration withdrawn": 1})


@RENAMING
async def test_who_signs_in_while_it_is_looked_at_keeps_it(variant: Variant) -> None:
    """Of the sign-in and the removal one has the record."""
    world = World(variant)
    account = (await world.server().register()).account
    rename(world)
    await world.server().delete(account.id)
    taken = Identity(id="provider-1", state=IdentityState.OWNED, version=7)
    world.network.before("commit", lambda: world.edit(taken))
    await world.server().upkeep.once()
    await world.server().rest()
    assert (world.left()["at the provider"], world.one(Identity)) == (1, taken)


@pytest.mark.parametrize("operation", ["find", "commit"])
async def test_a_removal_is_not_forgotten_before_it_is_handed_on(operation: str) -> None:
    """No answer to the look by the provider's own id, or to the commit that condemns what is there: not yet over."""
    world = World(Variant.NAMED)
    account = (await world.server().register()).account
    rename(world)
    await world.server().delete(account.id)
    world.clock.advance(world.options.removal_horizon)
    if operation == "find":
        world.outside.next("find", None, Fault.DROP)
    else:
        world.network.next("commit", Fault.DROP)
    await world.server().upkeep.once()
    assert world.condemned().id == account.id
    await world.server().rest()
    assert world.left() == Counter({"registration withdrawn": 1})


async def test_a_living_identity_is_no_removal() -> None:
    """Upkeep deletes nothing that is held or owned, whatever is due."""
    world = World()
    await world.server().register()
    world.edit(world.one(Identity).but(due_at=world.clock.now()))
    await world.server().upkeep.once()
    assert world.left() == CREATED_REMOTE
