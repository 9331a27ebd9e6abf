"""What the page on operations says of a restored backup is what happens."""

from __future__ import annotations

import pytest

from semel import Semel
from semel.errors import IdentityAlreadyExists, InvalidCredentials, NotFound, UserAlreadyExists
from semel.protocol.engine import Registered
from semel.providers.embedded import EmbeddedPasswords
from semel.stores.memory import MemoryStore
from semel.testing import CheapHasher, FakeProvider, VirtualClock
from semel.testing.invariants import Snapshot, at_rest
from tests.face.conftest import settings

EARLY, LATE = "early@gmail.com", "late@gmail.com"
PASSWORD = "correct horse battery"


async def sign_up(semel: Semel, email: str) -> Registered:
    key = f"the key of {email}'s form"
    return await semel.register(email=email, password=PASSWORD, full_name="A Name", idempotency_key=key)


async def rest(semel: Semel, clock: VirtualClock) -> None:
    """Let upkeep do all that it has to do."""
    for _ in range(4):
        clock.advance(semel.settings.removal_horizon_seconds + 1)
        await semel.upkeep_once()


async def test_with_identities_in_the_store() -> None:
    """Who signed up since is gone whole, and the same key makes a new account; who was deleted is back whole."""
    store, clock = MemoryStore(), VirtualClock(flowing=False)
    provider = EmbeddedPasswords(CheapHasher())
    async with Semel(settings(), store=store, provider=provider, clock=clock) as semel:
        early = await sign_up(semel, EARLY)
        backup = store.table
        late = await sign_up(semel, LATE)
        await semel.delete_account(early.account.id)
        store.table = backup
        await rest(semel, clock)
        with pytest.raises(InvalidCredentials):
            await semel.sign_in(LATE, PASSWORD)
        with pytest.raises(NotFound):
            await semel.account_by_email(LATE)
        assert (await sign_up(semel, LATE)).account.id != late.account.id
        assert (await semel.sign_in(EARLY, PASSWORD)).account.id == early.account.id
        await semel.delete_account(early.account.id)
        with pytest.raises(InvalidCredentials):
            await semel.sign_in(EARLY, PASSWORD)
        assert at_rest(Snapshot(records=tuple(store.table.values()))) == []


async def test_with_identities_at_a_remote_provider() -> None:
    """Who signed up since has an identity and no account until they sign in; who was deleted has it the other way."""
    store, clock, provider = MemoryStore(), VirtualClock(flowing=False), FakeProvider()
    async with Semel(settings(), store=store, provider=provider, clock=clock) as semel:
        early = await sign_up(semel, EARLY)
        backup = store.table
        late = await sign_up(semel, LATE)
        await semel.delete_account(early.account.id)
        await rest(semel, clock)
        assert [one.email for one in provider.everybody()] == [LATE]
        store.table = backup
        await rest(semel, clock)
        with pytest.raises(IdentityAlreadyExists):
            await sign_up(semel, LATE)
        healed = (await semel.sign_in(LATE, PASSWORD)).account
        assert (healed.id, healed.email, healed.full_name) == (late.account.id, LATE, None)
        with pytest.raises(InvalidCredentials):
            await semel.sign_in(EARLY, PASSWORD)
        with pytest.raises(UserAlreadyExists):
            await semel.register(email=EARLY, password="another password")
        await semel.delete_account(early.account.id)
        await rest(semel, clock)
        assert (await semel.register(email=EARLY, password=PASSWORD)).account.id != early.account.id
        everybody = provider.everybody()
        assert at_rest(Snapshot(records=tuple(store.table.values()), identities=everybody)) == []
