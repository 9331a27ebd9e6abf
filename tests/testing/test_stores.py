"""The store before which the network fails as told, and the plan that tells it."""

import pytest

from semel.errors import CommitUnknown, StoreRejected, StoreUnavailable
from semel.model import KeyRecord
from semel.ports import Insert, Replace, Store
from semel.stores.memory import MemoryStore
from semel.testing import START, STORE_OPERATIONS, Fault, FaultPlan, FaultyStore, VirtualClock
from semel.testing.store_contract import STORE_CONTRACT, Promise, StoreBench

RECORD = KeyRecord(id="a", algorithm="", secret="", wrapped=False, created_at=START)


class Faulty:
    """A faulty store over a store in memory, with its plan and its clock."""

    def __init__(self) -> None:
        self.plan = FaultPlan(STORE_OPERATIONS)
        self.clock = VirtualClock()
        self.inner = MemoryStore()
        self.store = FaultyStore(self.inner, self.plan, self.clock, delay=3)

    async def there(self) -> bool:
        """Tell whether the record was written."""
        return await self.inner.get(KeyRecord, RECORD.key) is not None


@pytest.fixture
def faulty() -> Faulty:
    return Faulty()


@pytest.mark.parametrize("promise", STORE_CONTRACT)
async def test_without_faults_it_is_the_store(promise: Promise, faulty: Faulty) -> None:
    """The wrapper keeps every promise of the store inside it."""
    assert isinstance(faulty.store, Store)
    await promise(StoreBench(faulty.store, faulty.inner))


@pytest.mark.parametrize(("fault", "done"), [(Fault.LOSE, True), (Fault.DROP, False), (Fault.LATE, False)])
async def test_a_commit_without_answer_is_unknown(fault: Fault, done: bool, faulty: Faulty) -> None:  # noqa: FBT001
    """Whether it was done depends on the fault, and the caller cannot tell."""
    faulty.plan.next("commit", fault)
    with pytest.raises(CommitUnknown):
        await faulty.store.commit([Insert(RECORD)], 1)
    assert await faulty.there() is done


@pytest.mark.parametrize(("fault", "error"), [(Fault.REFUSE, StoreRejected), (Fault.DOWN, StoreUnavailable)])
async def test_a_commit_that_is_turned_away_does_nothing(fault: Fault, error: type[Exception], faulty: Faulty) -> None:
    """Refused for good, or nobody there: the caller knows that nothing happened."""
    faulty.plan.next("commit", fault)
    with pytest.raises(error):
        await faulty.store.commit([Insert(RECORD)], 1)
    assert not await faulty.there()


async def test_late_commits_land_in_their_order_and_unheard() -> None:
    """One that is refused on landing disturbs nobody; what was closed over never lands."""
    faulty = Faulty()
    faulty.plan.next("commit", Fault.LATE, Fault.LATE, Fault.LATE)
    for writes, token in (([Insert(RECORD)], 1), ([Insert(RECORD)], 2), ([Replace(RECORD.but(version=1))], 3)):
        with pytest.raises(CommitUnknown):
            await faulty.store.commit(writes, token)
    await faulty.store.land()
    assert await faulty.inner.get(KeyRecord, RECORD.key) == RECORD.but(version=3)
    await faulty.store.land()
    assert await faulty.inner.get(KeyRecord, RECORD.key) == RECORD.but(version=3)


async def test_what_has_not_landed_when_it_is_closed_never_does(faulty: Faulty) -> None:
    """A closed store sends nothing."""
    faulty.plan.next("commit", Fault.LATE)
    with pytest.raises(CommitUnknown):
        await faulty.store.commit([Insert(RECORD)], 1)
    await faulty.store.close()
    await faulty.store.land()
    assert not await faulty.there()


async def test_a_commit_done_twice_is_answered_as_done(faulty: Faulty) -> None:
    """The versions make the second a refusal, which nobody hears."""
    faulty.plan.next("commit", Fault.TWICE)
    await faulty.store.commit([Insert(RECORD)], 1)
    assert await faulty.inner.get(KeyRecord, RECORD.key) == RECORD.but(version=1)


async def test_a_slow_call_waits_on_the_clock(faulty: Faulty) -> None:
    """For the delay that was set, then it is done."""
    faulty.plan.next("commit", Fault.SLOW)
    await faulty.store.commit([Insert(RECORD)], 1)
    assert faulty.clock.monotonic() == 3
    assert await faulty.there()


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.REFUSE, Fault.DOWN])
async def test_a_reading_that_meets_a_fault_is_unavailable(fault: Fault, faulty: Faulty) -> None:
    """Reading has no effect that could be in doubt."""
    faulty.plan.always(fault)
    store = faulty.store
    for reading in (store.get(KeyRecord, ("a",)), store.get_many([]), store.due(KeyRecord, START, 1), store.ping()):
        with pytest.raises(StoreUnavailable):
            await reading
    with pytest.raises(StoreUnavailable):
        await store.page(KeyRecord, None, 1)


def test_a_plan_gives_each_operation_its_faults_in_order() -> None:
    """Those of ``next`` come first, one a call; those of ``always`` stay until they are lifted."""
    plan = FaultPlan(STORE_OPERATIONS)
    plan.next("commit", Fault.LOSE, None, Fault.DROP)
    plan.always(Fault.SLOW, "get")
    assert plan("get") is Fault.SLOW
    assert [plan("commit") for _ in range(2)] == [Fault.LOSE, None]
    assert not plan.spent
    assert [plan("commit") for _ in range(2)] == [Fault.DROP, None]
    assert plan.spent
    plan.always(Fault.DOWN)
    plan.next("commit", Fault.LOSE)
    plan.lift()
    assert plan.spent
    assert [plan(operation) for operation in STORE_OPERATIONS] == [None] * len(STORE_OPERATIONS)


def test_a_fault_for_an_unknown_operation_is_refused() -> None:
    """A fault that never comes would prove nothing."""
    plan = FaultPlan(STORE_OPERATIONS)
    with pytest.raises(ValueError, match="get_many"):
        plan.next("comit", Fault.LOSE)
    with pytest.raises(ValueError, match="get_many"):
        plan.always(Fault.LOSE, "comit")
    with pytest.raises(ValueError, match="get_many"):
        plan("comit")
