"""Twenty sign-ins of one person at once, on Azure Tables: a lock for each person, and Semel in its place."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceModifiedError
from azure.data.tables.aio import TableClient
from typing_extensions import override

from semel import Settings
from semel.assembly import Given, Parts, assembled
from semel.intents import Intent, federated_intent
from semel.model import Account
from semel.observe import Metrics, ObservedEvents
from semel.ports import Replace, Store, Write
from semel.protocol.engine import Registered
from semel.system import SystemIds
from semel.testing import FaultyStore
from semel.testing.invariants import Snapshot, at_rest, records_of
from tests.e2e.killing import LaterClock, open_store
from tests.e2e.scenes import Stage
from tests.e2e.stories.user_accounts import UserAccounts

pytestmark = pytest.mark.parametrize("stage", ["azure_tables"], indirect=True)

TABS = 20
ISSUER = "https://issuer.example.org"


class Instance(FaultyStore):
    """The store handle of one instance, nothing of which fails: it counts, and lets somebody write in between."""

    def __init__(self, store: Store, clock: LaterClock) -> None:
        super().__init__(store, lambda _: None, clock)
        self.commits = 0
        self.rival: Account | None = None
        """Written by somebody else just before the next time that the account is."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        self.commits += 1
        rival = self.rival
        if rival and any(isinstance(write, Replace) and isinstance(write.record, Account) for write in writes):
            self.rival = None
            await self.store.commit([Replace(rival)], token + 1)
        await super().commit(writes, token)


class Instances:
    """Two instances over one table, each as a process has it, and a clock that may be put forward."""

    def __init__(self, handles: Sequence[Instance], parts: Sequence[Parts], clock: LaterClock) -> None:
        self.handles = handles
        self.clock = clock
        self._parts = parts

    async def sign_in(self, intents: Sequence[Intent]) -> list[Registered]:
        """Let all of them come at once, in turn at each instance."""
        registrars = [self._parts[number % len(self._parts)].registrar for number in range(len(intents))]
        calls = (registrar.register(intent) for registrar, intent in zip(registrars, intents, strict=True))
        return await asyncio.gather(*calls)

    async def look(self) -> Snapshot:
        return Snapshot(records=await records_of(self.handles[0].store))

    async def account(self) -> Account:
        """Return the only account."""
        (account,) = (await self.look()).all(Account)
        return account

    def commits(self) -> list[int]:
        """Return how many commits each has sent since the last call."""
        counted = [handle.commits for handle in self.handles]
        for handle in self.handles:
            handle.commits = 0
        return counted


@asynccontextmanager
async def _two(url: str) -> AsyncIterator[Instances]:
    clock, handles, parts = LaterClock(), [], []
    async with AsyncExitStack() as stack:
        for _ in range(2):
            handles.append(Instance(await stack.enter_async_context(open_store(url)), clock))
            metrics = Metrics()
            given = Given(
                clock=clock, ids=SystemIds(), events=ObservedEvents(metrics), metrics=metrics, store=handles[-1]
            )
            parts.append(await stack.enter_async_context(assembled(Settings(_env_file=None), given)))
        instances = Instances(handles, parts, clock)
        instances.commits()
        yield instances


@pytest.fixture
async def instances(stage: Stage) -> AsyncIterator[Instances]:
    async with _two(await stage.ground.new()) as instances:
        yield instances


def _tabs(subject: str = "ann") -> list[Intent]:
    """Return the sign-ins of one person; the issuer says another name each time."""
    return [federated_intent(ISSUER, subject, full_name=f"Ann {number}") for number in range(TABS)]


async def test_twenty_sign_ins_are_given_the_one_account(instances: Instances) -> None:
    """All twenty get it, one of them made it, and it says that its person has signed in."""
    given = await instances.sign_in(_tabs())
    account = await instances.account()
    assert [one.account.id for one in given] == [account.id] * TABS
    assert Counter(one.replayed for one in given) == {True: TABS - 1, False: 1}
    assert account.last_sign_in_at is not None
    assert at_rest(await instances.look()) == []


async def test_a_crowd_costs_each_instance_about_one_callers_commits(instances: Instances) -> None:
    """One flight for each key and process: first an insert each, later a refused one each and the time written."""
    await instances.sign_in(_tabs())
    assert sum(instances.commits()) <= 3
    await instances.sign_in(_tabs())
    assert sum(instances.commits()) <= 4


async def test_other_people_do_not_wait(instances: Instances) -> None:
    """A flight is one person's: twenty people have twenty accounts."""
    given = await instances.sign_in([federated_intent(ISSUER, f"person {number}") for number in range(TABS)])
    assert len({one.account.id for one in given}) == TABS
    assert len((await instances.look()).all(Account)) == TABS


async def test_a_later_sign_in_is_written_over_nobody_elses_change(instances: Instances) -> None:
    """The ETag that was read must still be the account's; where it is not, both changes are there in the end."""
    (made,) = await instances.sign_in(_tabs()[:1])
    before = await instances.account()
    instances.handles[0].rival = before.but(full_name="Ann of the other window")
    (seen,) = await instances.sign_in(_tabs()[:1])
    after = await instances.account()
    assert instances.handles[0].rival is None
    assert (seen.account, seen.account.id) == (after, made.account.id)
    assert after.full_name == "Ann of the other window"
    assert (after.last_sign_in_at or before.created_at) > (before.last_sign_in_at or after.created_at)


@asynccontextmanager
async def _specimens(count: int) -> AsyncIterator[list[UserAccounts]]:
    """Yield instances of the specimen over a table of their own."""
    connection = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    async with TableClient.from_connection_string(connection, f"accounts{uuid4().hex}") as table:
        await table.create_table()
        yield [UserAccounts(table) for _ in range(count)]


async def test_a_lock_in_memory_makes_a_row_for_each_instance(stage: Stage) -> None:
    """Each instance looks before the other writes: two rows for one person, whose tabs are told of either."""
    del stage
    looked = asyncio.Barrier(2)
    async with _specimens(2) as (first, second):
        rows = await asyncio.gather(*(one.sign_in("issuer", "ann", looked.wait) for one in (first, second)))
        assert len(set(rows)) == 2
        assert sorted(await first.rows("issuer", "ann")) == sorted(rows)


async def test_a_lock_in_memory_does_as_it_says_in_one_instance(stage: Stage) -> None:
    """So the specimen is no straw man: twenty tabs of one instance make one row."""
    del stage
    async with _specimens(1) as (only,):
        rows = await asyncio.gather(*(only.sign_in("issuer", "ann", lambda: asyncio.sleep(0)) for _ in range(TABS)))
        assert await only.rows("issuer", "ann") == list(set(rows))


async def test_the_repair_turns_all_tabs_away_but_two(stage: Stage) -> None:
    """One row, and yet: one tab makes it, one writes its sign-in, and eighteen fail with a 412 that nobody expects."""
    del stage
    looked = asyncio.Barrier(TABS - 1)
    async with _specimens(1) as (only,):
        calls = (only.create_user_if_not_exists("issuer", "ann", looked.wait) for _ in range(TABS))
        told = Counter(type(one) for one in await asyncio.gather(*calls, return_exceptions=True))
        assert told == {type(None): 2, ResourceModifiedError: TABS - 2}


async def test_the_repair_does_as_it_says_to_tabs_that_never_meet(stage: Stage) -> None:
    """So the specimen is no straw man: one after the other, each is let in."""
    del stage
    async with _specimens(1) as (only,):
        for _ in range(TABS):
            await only.create_user_if_not_exists("issuer", "ann", lambda: asyncio.sleep(0))
