"""The library's face on real stores: what an application that embeds Semel relies on."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from typing_extensions import override

from semel import Account, Also, Registered, Secret, Semel
from semel.errors import (
    ApplicationRefused,
    ConfigurationInvalid,
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
    NotFound,
    UserAlreadyExists,
)
from semel.model import Identity, Key, KeyRecord, Record, SessionFamily
from semel.ports import Insert
from semel.states import IdentityState, RegistrationState
from semel.stores.memory import MemoryStore
from semel.testing import STORE_OPERATIONS, Fault, FaultPlan, FaultyStore, VirtualClock
from tests.face.conftest import EMAIL, PASSWORD, settings

R = TypeVar("R", bound=Record)


async def sign_up(semel: Semel) -> Registered:
    return await semel.register(email=EMAIL, password=PASSWORD, full_name="Ada", idempotency_key="a key of this test")


async def test_an_account_is_made_once_and_signs_in(semel: Semel) -> None:
    """Sign-up, the same again, sign-in, refresh, sign-out: by text and by secret alike."""
    first, again = await sign_up(semel), await sign_up(semel)
    assert (first.replayed, again.replayed, again.account.id) == (False, True, first.account.id)
    signed_in = await semel.sign_in("ADA@gmail.com", Secret(PASSWORD))
    fresh = await semel.refresh(signed_in.tokens.refresh_token)
    assert await semel.current_account(fresh.tokens.access_token) == signed_in.account
    await semel.sign_out(Secret(fresh.tokens.access_token))
    with pytest.raises(InvalidToken):
        await semel.current_account(fresh.tokens.access_token)


async def test_what_is_in_the_store_is_found(semel: Semel) -> None:
    """Accounts by id, by email, by page; the registration by the id that errors name; and nothing else."""
    account = (await sign_up(semel)).account
    assert await semel.account(account.id) == await semel.account_by_email("Ada@GMAIL.com") == account
    assert (await semel.accounts(limit=10)).accounts == (account,)
    assert (await semel.registration(account.registration)).state is RegistrationState.COMPLETED
    assert await semel.removals() == []
    for nothing in (semel.account("nobody"), semel.account_by_email("b@gmail.com"), semel.registration("none")):
        with pytest.raises(NotFound):
            await nothing


async def test_removals_come_as_upkeep_looks_for_them() -> None:
    """Those first that it looks for next, in whatever order the store gives what is due."""
    clock = VirtualClock()
    store = Backwards(clock.now)
    waiting = [
        Identity(id=str(one), state=IdentityState.CONDEMNED, due_at=clock.now() + timedelta(minutes=one))
        for one in (2, 0, 1)
    ]
    await store.commit([Insert(one) for one in waiting], 1)
    async with Semel(settings(), store=store, clock=clock) as semel:
        assert [one.id for one in await semel.removals()] == ["0", "1", "2"]


class Backwards(MemoryStore):
    """What is due comes in an order that the port allows."""

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        return (await super().due(kind, before, limit))[::-1]


async def test_accounts_come_page_by_page(semel: Semel) -> None:
    """Each is met once; a cursor from elsewhere is wrong input."""
    made = {(await semel.register(email=f"a{one}@gmail.com", password=PASSWORD)).account.id for one in range(5)}
    met: list[Account] = []
    page = await semel.accounts(limit=2)
    while page.cursor is not None:
        met += page.accounts
        page = await semel.accounts(page.cursor, limit=2)
    met += page.accounts
    assert ({one.id for one in met}, len(met)) == (made, 5)
    with pytest.raises(InvalidInput):
        await semel.accounts("from elsewhere")


async def test_an_account_is_deleted(semel: Semel) -> None:
    """Its tokens and its password open nothing; the email is free."""
    account = (await sign_up(semel)).account
    tokens = (await semel.sign_in(EMAIL, PASSWORD)).tokens
    await semel.delete_account(account.id)
    with pytest.raises(InvalidToken):
        await semel.current_account(tokens.access_token)
    with pytest.raises(InvalidCredentials):
        await semel.sign_in(EMAIL, PASSWORD)
    assert (await semel.register(email=EMAIL, password=PASSWORD)).account.id != account.id


async def test_twenty_refreshes_of_one_token_at_once_sign_nobody_out(semel: Semel, url: str) -> None:
    """Tabs that wake together, at two servers: each goes on with its own tokens, and the session is one."""
    await sign_up(semel)
    token = (await semel.sign_in(EMAIL, PASSWORD)).tokens.refresh_token
    async with Semel(settings(url)) as other:
        answers = await asyncio.gather(*((semel, other)[one % 2].refresh(token) for one in range(20)))
        again = await asyncio.gather(*(other.refresh(answer.tokens.refresh_token) for answer in answers))
    assert len({answer.tokens.refresh_token for answer in answers}) == 20
    for answer in again:
        assert len((await semel.current_account(answer.tokens.access_token)).sessions) == 1


async def test_the_store_must_have_been_migrated(tmp_path: object) -> None:
    """One line says how."""
    with pytest.raises(ConfigurationInvalid, match="semel migrate"):
        await Semel(settings(f"sqlite:///{tmp_path}/empty.db")).__aenter__()


@pytest.mark.parametrize("changes", [{"database_url": "mysql://db"}, {"provider_url": "auth0:"}, {"provider_url": ""}])
async def test_what_nobody_knows_is_refused(changes: dict[str, str]) -> None:
    """A URL of no store and of no provider names its variable, and not its value."""
    with pytest.raises(ConfigurationInvalid) as refused:
        await Semel(settings(**changes)).__aenter__()
    (name, value) = next(iter(changes.items()))
    assert f"SEMEL_{name.upper()}" in refused.value.detail
    assert not value or value not in refused.value.detail


def refuse(_: object, __: object) -> None:
    raise LookupError("no place left")


async def test_the_application_has_a_say(sqlite_url: str) -> None:
    """Its callback runs in the transaction that inserts the account; what it refuses is not there."""
    also: Also = refuse
    async with Semel(settings(sqlite_url), also=also) as semel:
        with pytest.raises(ApplicationRefused):
            await sign_up(semel)
        assert (await semel.accounts()).accounts == ()


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_a_store_without_transactions_has_no_place_for_it(store: MemoryStore | None) -> None:
    """That is said when the object is made, not at the first sign-up."""
    with pytest.raises(ConfigurationInvalid, match="also="):
        Semel(settings("memory:" if store is None else "sqlite:///semel.db"), store=store, also=refuse)


async def test_it_is_used_while_open(sqlite_url: str) -> None:
    """Before and after it says so; opened twice it says so; opened again it goes on."""
    semel = Semel(settings(sqlite_url))
    with pytest.raises(ConfigurationInvalid, match="not open"):
        await semel.sign_in(EMAIL, PASSWORD)
    async with semel:
        await sign_up(semel)
        with pytest.raises(ConfigurationInvalid, match="open already"):
            await semel.__aenter__()
    with pytest.raises(ConfigurationInvalid, match="not open"):
        await semel.sign_in(EMAIL, PASSWORD)
    async with semel:
        assert (await sign_up(semel)).replayed


async def test_a_store_of_ones_own_is_not_closed() -> None:
    """Whoever brings it closes it."""
    store = MemoryStore()
    for fresh in (True, False):
        async with Semel(settings(), store=store) as semel:
            if fresh:
                await sign_up(semel)
            else:
                with pytest.raises(UserAlreadyExists):
                    await semel.register(email=EMAIL, password=PASSWORD)


async def test_it_is_ready(semel: Semel) -> None:
    """With a store that answers, and clocks that agree."""
    assert (await semel.ready()).reasons == ()


@pytest.mark.parametrize(("apart", "ready"), [(-5.1, False), (-4.9, True), (4.9, True), (5.1, False)])
async def test_clocks_too_far_apart_make_it_unready(apart: float, ready: bool) -> None:  # noqa: FBT001
    """It says by how much they differ, and how much is allowed."""
    clock = VirtualClock()
    store = MemoryStore(lambda: clock.now() + timedelta(seconds=apart))
    async with Semel(settings(), store=store, clock=clock) as semel:
        readiness = await semel.ready()
    assert readiness.ready is ready
    assert [reason.code for reason in readiness.reasons] == ([] if ready else ["clock_skew"])
    assert all("5.100 s" in reason.message and "5.000 s" in reason.message for reason in readiness.reasons)


async def test_a_slow_answer_is_no_clock_that_is_wrong() -> None:
    """The time that the store's answer takes is not held against its clock."""
    clock, plan = VirtualClock(), FaultPlan(STORE_OPERATIONS)
    async with Semel(settings(), store=FaultyStore(MemoryStore(clock.now), plan, clock, 60), clock=clock) as semel:
        plan.next("ping", Fault.SLOW)
        assert (await semel.ready()).ready


async def test_a_store_that_is_down_makes_it_unready() -> None:
    """It says what is down; its metrics go on, without what only the store knows."""
    clock, plan = VirtualClock(), FaultPlan(STORE_OPERATIONS)
    async with Semel(settings(), store=FaultyStore(MemoryStore(clock.now), plan, clock), clock=clock) as semel:
        plan.always(Fault.DOWN)
        assert [reason.code for reason in (await semel.ready()).reasons] == ["store_unavailable"]
        assert b"semel_removals NaN" in await semel.metrics_text()


async def until(holds: Callable[[], bool]) -> None:
    """Give other tasks their turns until something holds that they bring about."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


async def test_upkeep_runs_while_it_is_open() -> None:
    """Nobody asks, and a session whose time is over goes; a key that has signed for long enough is followed."""
    clock = VirtualClock(flowing=False)
    store = MemoryStore(clock.now)

    def kept(kind: type[Record]) -> int:
        return sum(isinstance(record, kind) for record in store.table.values())

    async with Semel(settings(upkeep=True), store=store, clock=clock) as semel:
        await sign_up(semel)
        await semel.sign_in(EMAIL, PASSWORD)
        sessions, keys = kept(SessionFamily), kept(KeyRecord)
        clock.advance(91 * 86_400)
        await until(lambda: kept(SessionFamily) < sessions and kept(KeyRecord) > keys)
        assert (await semel.ready()).ready


async def test_upkeep_outlives_what_nobody_foresaw() -> None:
    """An error is told by its kind alone, for each of six types; the next pass is made, and the next look at keys."""
    clock = VirtualClock(flowing=False)
    async with Semel(settings(upkeep=True), store=Breaking(clock.now), clock=clock) as semel:
        for failures in (7, 14):
            for _ in range(3):  # until all of them sleep
                await asyncio.sleep(0)
            clock.advance(3600)
            told = f'semel_events_total{{event="upkeep.failed"}} {failures}.0'.encode()
            await until(lambda told=told: told in semel.metrics.text())  # type: ignore[misc]


class Breaking(MemoryStore):
    """A store with a bug, once it is open."""

    opened = False

    @override
    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        self.opened = True
        raise ZeroDivisionError

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        if self.opened:
            raise ZeroDivisionError
        return await super().get(kind, key)


async def test_tokens_outlive_the_key_that_signed_them() -> None:
    """A rotation signs nobody out."""
    clock = VirtualClock(flowing=False)
    async with Semel(settings(session_days=200), store=MemoryStore(clock.now), clock=clock) as semel:
        await sign_up(semel)
        clock.advance(90 * 86_400)
        tokens = (await semel.sign_in(EMAIL, PASSWORD)).tokens
        await semel.upkeep_once()
        assert (await semel.current_account(tokens.access_token)).email == EMAIL
        assert len((await semel.jwks())["keys"]) == 2
