"""What a remote provider must come to say: sent at once, and repeated until nothing of before can land."""

from datetime import timedelta

import pytest

from semel.identity_updates import Change, update_identity
from semel.model import Account, Identity
from semel.ports import Found
from semel.states import Door
from semel.testing import Fault, Variant
from tests.protocol.worlds import World

OFF, ON = Change(is_active=False), Change(is_active=True)


async def made() -> tuple[World, Account]:
    world = World(Variant.OWN)
    return world, (await world.server().register()).account


async def changed(world: World, account: Account, change: Change, server: str = "A") -> Account:
    return (await update_identity(world.server(server).engine, account.id, change)).account


async def disabled(world: World, account: Account) -> bool:
    found = await world.provider.find(account.id)
    assert isinstance(found, Found)
    return found.disabled


async def test_the_provider_is_told_at_once_and_the_wish_stays() -> None:
    """In the same commit as the account's change; over the horizon upkeep forgets it."""
    world, account = await made()
    off = await changed(world, account, OFF)
    assert (off.is_active, off.epoch, await disabled(world, account)) == (False, account.epoch + 1, True)
    identity = world.one(Identity)
    assert (identity.wanted_disabled, identity.version) == (True, off.version)
    horizon = world.server().engine.options.removal_horizon
    assert identity.wanted_until == world.clock.now() + timedelta(seconds=horizon)
    world.clock.advance(horizon)
    await world.server().upkeep.once()
    identity = world.one(Identity)
    assert (identity.wanted_disabled, identity.wanted_until, identity.due_at) == (None, None, None)
    assert await disabled(world, account)


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.LOSE])
async def test_a_request_that_is_lost_is_repeated(fault: Fault) -> None:
    """The caller is told of the account's change, which is done; upkeep sees to the provider."""
    world, account = await made()
    world.outside.next("update", fault)
    await changed(world, account, OFF)
    await world.server().upkeep.once()
    assert await disabled(world, account)


async def test_a_late_request_of_before_does_not_stay() -> None:
    """Switched off and on again: the first request lands last, and the wish of the second undoes it."""
    world, account = await made()
    world.outside.next("update", Fault.LATE)
    await changed(world, account, OFF)
    assert (await changed(world, account, ON, "B")).is_active
    await world.server("B").upkeep.once()
    world.provider.land()
    assert await disabled(world, account)
    world.clock.advance(world.server().engine.options.removal_horizon / 2)
    await world.server().upkeep.once()
    assert not await disabled(world, account)


async def test_an_account_that_ends_wishes_nothing_more() -> None:
    """Its identity is condemned, which is another record; nothing is asked of what has gone."""
    world, account = await made()
    world.outside.next("update", Fault.DROP)
    await changed(world, account, OFF)
    await world.server().delete(account.id)
    identity = world.one(Identity)
    assert (identity.wanted_disabled, identity.wanted_until) == (None, None)
    before = world.outside.calls["update"]
    await world.server().upkeep.once()
    assert world.outside.calls["update"] == before


async def test_an_account_that_is_made_switched_off_is_kept_out_at_the_provider() -> None:
    """The wish is part of the commit that makes it, and upkeep sees to it."""
    world = World(Variant.OWN)
    account = (await world.server().register(door=Door.ADMIN, inactive=True)).account
    assert (account.is_active, world.one(Identity).wanted_disabled) == (False, True)
    await world.server().upkeep.once()
    assert await disabled(world, account)
