"""Delivery: at least once to each endpoint, one attempt by one worker, and an end to every event."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from typing_extensions import override

from semel.errors import EventNotDead, NotFound
from semel.model import OutboxEvent, Record
from semel.outbox import backlog, events_of, replay, replay_dead
from semel.outgoing import Refused, Sent
from semel.ports import Unknown, Write
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.providers.embedded import EmbeddedPasswords
from semel.states import EventState
from semel.stores.memory import MemoryStore
from semel.testing import (
    COURIER_OPERATIONS,
    START,
    STORE_OPERATIONS,
    CheapHasher,
    Fault,
    FaultPlan,
    FaultyStore,
    RecordingCourier,
    SequentialIds,
    VirtualClock,
)
from semel.testing.couriers import RecordingCourier as Courier
from semel.upkeep import BUILT_IN, Duty, Upkeep
from semel.upkeep.delivery import LONGEST_PAUSE, DeliveryDuty
from tests.protocol.worlds import Noted

EVENT = OutboxEvent(
    id="the event", kind="account.created", account_id="ada", created_at=START, state=EventState.WAITING, due_at=START
)
RETENTION = tuple(duty for duty in BUILT_IN if duty.kind is OutboxEvent)


class Ground:
    """A store with one event, endpoints, and workers that know of each other by the store alone."""

    def __init__(self, *names: str, event: OutboxEvent = EVENT, courier: RecordingCourier | None = None) -> None:
        self.clock = VirtualClock(flowing=False)
        self.memory = MemoryStore(self.clock.now)
        self.network = FaultPlan(STORE_OPERATIONS)
        self.store = FaultyStore(self.memory, self.network, self.clock)
        self.outside = FaultPlan(COURIER_OPERATIONS)
        self.courier = courier or RecordingCourier(names or ("billing",), self.outside, self.clock)
        self.events = Noted()
        self.options = Options()
        self._workers: dict[str, Upkeep] = {}
        self.memory.table = {(event.TYPE, event.key): event.but(version=1)}

    def engine(self, name: str = "A") -> Engine:
        return Engine(
            self.store,
            EmbeddedPasswords(CheapHasher()),
            clock=self.clock,
            ids=SequentialIds(name),
            events=self.events,
            fingerprint_key=b"of the tests",
            options=self.options,
        )

    def worker(self, name: str = "A") -> Upkeep:
        """Return the process of this name."""
        duty = Duty("deliver", OutboxEvent, DeliveryDuty([self.courier]))
        return self._workers.setdefault(name, Upkeep(self.engine(name), (*RETENTION, duty)))

    async def passes(self, count: int) -> None:
        """Let upkeep look, so often, each time at the moment when the event is due."""
        for _ in range(count):
            await self.worker().once()
            self.to_due()

    def to_due(self) -> None:
        due = self.event.due_at
        assert due is not None
        self.clock.advance(max((due - self.clock.now()).total_seconds(), 0.0))

    @property
    def event(self) -> OutboxEvent:
        (event,) = self.memory.table.values()
        assert isinstance(event, OutboxEvent)
        return event

    def taken(self) -> Counter[str]:
        return Counter(name for _, name, _ in self.courier.state)


async def test_each_endpoint_gets_it_once_and_it_is_kept() -> None:
    """Delivered to all, it is left alone until retention, and then forgotten."""
    ground = Ground("billing", "crm")
    assert await ground.worker().once() == {"forget_event": 0, "deliver": 1}
    assert ground.event.state is EventState.DELIVERED
    assert ground.event.delivered == ("billing", "crm")
    await ground.worker().once()
    assert ground.taken() == {"billing": 1, "crm": 1}
    ground.to_due()
    assert ground.clock.now() == START + timedelta(seconds=ground.options.events_kept)
    assert (await ground.worker().once())["forget_event"] == 1
    assert not ground.memory.table


async def test_the_delivery_id_stays_and_the_attempt_does_not() -> None:
    """What an endpoint took though its answer was lost comes again: the same delivery, another attempt."""
    ground = Ground()
    ground.outside.next("deliver", Fault.LOSE)
    await ground.passes(2)
    (first, _, one), (second, _, other) = ground.courier.state
    assert first == second == EVENT.delivery_id
    assert one != other
    assert ground.event.state is EventState.DELIVERED


async def test_who_has_it_is_not_told_again() -> None:
    """The endpoint that failed alone gets it again."""
    ground = Ground("billing", "crm")
    ground.outside.next("deliver", None, Fault.DOWN)
    await ground.worker().once()
    assert ground.event.delivered == ("billing",)
    assert ground.event.failure == "crm: no answer"
    ground.to_due()
    await ground.worker().once()
    assert ground.taken() == {"billing": 1, "crm": 1}
    assert ground.event.state is EventState.DELIVERED
    assert ground.event.failure is None


async def test_two_workers_send_one_attempt_once() -> None:
    """They read the same event before either takes it; one is refused and sends nothing."""
    ground = Ground()
    met = asyncio.Barrier(2)

    class Meeting(DeliveryDuty):
        @override
        async def __call__(self, engine: Engine, record: Record) -> bool:
            await met.wait()
            return await super().__call__(engine, record)

    duty = Duty("deliver", OutboxEvent, Meeting([ground.courier]))
    done = await asyncio.gather(*(Upkeep(ground.engine(name), (duty,)).once() for name in "AB"))
    assert sorted(one["deliver"] for one in done) == [0, 1]
    assert ground.taken() == {"billing": 1}


async def test_nobody_else_sends_while_a_lease_lasts() -> None:
    """The worker that took it died: until its lease is over nobody sends it, then the next one does."""
    ground = Ground()
    ground.network.next("commit", None, Fault.DOWN)  # the outcome is never written
    await ground.worker("A").once()
    assert ground.event.attempts == 1
    lease = ground.event.due_at
    assert lease is not None
    assert lease > START + timedelta(seconds=ground.courier.timeout + ground.options.grace)
    ground.clock.advance((lease - START).total_seconds() - 0.001)
    await ground.worker("B").once()
    assert ground.taken() == {"billing": 1}
    ground.clock.advance(0.001)
    await ground.worker("B").once()
    assert ground.taken() == {"billing": 2}
    assert ground.event.state is EventState.DELIVERED


async def test_a_worker_that_slept_over_its_lease_sends_nothing() -> None:
    """Between taking and sending so much time has passed that the attempt could outlast the lease."""
    ground = Ground()

    class Slow(MemoryStore):
        @override
        async def commit(self, writes: Sequence[Write], token: int) -> None:
            await super().commit(writes, token)
            ground.clock.advance(30)

    slow = Slow(ground.clock.now)
    slow.table = ground.memory.table
    ground.store = slow  # type: ignore[assignment]
    await ground.worker().once()
    assert not ground.courier.state


async def test_the_schedule_ends() -> None:
    """Ten attempts over some three days, ever further apart; then it is dead, and kept as long as any event."""
    ground = Ground()
    ground.outside.always(Fault.DOWN)
    times = []
    ended = START
    for _ in range(30):
        if ground.event.state is not EventState.WAITING:
            break
        times.append(ground.clock.now())
        await ground.worker().once()
        ended = ground.clock.now()
        ground.to_due()
    assert len(times) == len(ground.options.delivery_waits) + 1 == 10
    waits = [(after - before).total_seconds() for before, after in pairwise(times)]
    for wait, meant in zip(waits, ground.options.delivery_waits, strict=True):
        assert 0.9 * meant <= wait <= 1.1 * meant
    assert ground.event.state is EventState.DEAD
    assert ground.event.due_at == ended + timedelta(seconds=ground.options.events_kept)
    assert [one["why"] for one in ground.events.named("delivery.dead")] == ["billing: no answer"]


async def test_an_event_whose_workers_all_die_ends() -> None:
    """However often a worker dies with it: after as many attempts as there are it is dead, unsent."""
    ground = Ground(event=EVENT.but(attempts=10))
    await ground.worker().once()
    assert ground.event.state is EventState.DEAD
    assert not ground.courier.state


async def test_an_endpoint_that_refuses_for_good_is_left_alone() -> None:
    """The others get it; then it is dead, because one has it not, and says why."""
    ground = Ground("billing", "crm")
    ground.outside.next("deliver", Fault.REFUSE, Fault.DOWN)
    await ground.worker().once()
    assert (ground.event.state, ground.event.refused) == (EventState.WAITING, ("billing",))
    ground.to_due()
    await ground.worker().once()
    assert ground.taken() == {"crm": 1}
    assert (ground.event.state, ground.event.failure) == (EventState.DEAD, "billing: refused (410)")


class Pausing(Courier):
    """Endpoints that ask to be left alone for so long."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    @override
    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        del event, endpoint, attempt
        return Unknown("HTTP 429", retry_after=self._seconds)


@pytest.mark.parametrize(("asked", "least", "most"), [(60, 60, 60), (10 * LONGEST_PAUSE, 3600, 3600), (1, 4.5, 5.5)])
async def test_an_endpoint_may_ask_for_a_pause(asked: float, least: float, most: float) -> None:
    """Within bounds: never sooner than the schedule, never later than in an hour because of this."""
    ground = Ground(courier=Pausing(asked))
    await ground.worker().once()
    assert ground.event.due_at is not None
    assert least <= (ground.event.due_at - START).total_seconds() <= most


class Broken(Courier):
    """A courier with an error in it."""

    @override
    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        del event, endpoint, attempt
        raise ZeroDivisionError


async def test_an_error_in_a_courier_does_not_stop_the_schedule() -> None:
    """It counts as an attempt, so that even this ends."""
    ground = Ground(courier=Broken())
    await ground.passes(9)
    assert (ground.event.state, ground.event.failure) == (EventState.WAITING, "billing: ZeroDivisionError")
    await ground.worker().once()
    assert ground.event.state is EventState.DEAD


async def test_what_this_process_has_no_endpoint_for_is_left_to_others() -> None:
    """A mail without a writer waits; for ever it does not."""
    ground = Ground(event=EVENT.but(kind="mail.unheard_of"))
    assert (await ground.worker().once())["deliver"] == 0
    assert ground.event.state is EventState.WAITING
    ground.clock.advance(ground.options.events_kept)
    await ground.worker().once()
    assert (ground.event.state, ground.event.failure) == (EventState.DEAD, "nobody listens")


async def test_retention_takes_nothing_that_waits() -> None:
    """However long it is due."""
    ground = Ground()
    ground.clock.advance(10 * ground.options.events_kept)
    assert await Upkeep(ground.engine(), RETENTION).once() == {"forget_event": 0}
    assert ground.memory.table


async def test_a_dead_event_is_replayed_to_who_has_it_not() -> None:
    """From the beginning of the schedule; those who refused it are asked once more."""
    ground = Ground("billing", "crm", event=EVENT.but(state=EventState.DEAD, delivered=("billing",), refused=("crm",)))
    event = await replay(ground.engine(), EVENT.id)
    assert (event.state, event.attempts) == (EventState.WAITING, 0)
    assert await replay(ground.engine(), EVENT.id) == event
    await ground.worker().once()
    assert ground.taken() == {"crm": 1}
    assert ground.event.state is EventState.DELIVERED
    with pytest.raises(EventNotDead):
        await replay(ground.engine(), EVENT.id)
    with pytest.raises(NotFound):
        await replay(ground.engine(), "none such")


async def test_all_that_is_dead_is_replayed_at_once() -> None:
    """And nothing else."""
    ground = Ground(event=EVENT.but(state=EventState.DEAD, attempts=10))
    assert [one.id for one in await events_of(ground.engine(), EventState.DEAD, 10)] == [EVENT.id]
    assert await replay_dead(ground.engine()) == 1
    assert await replay_dead(ground.engine()) == 0
    assert await events_of(ground.engine(), EventState.DEAD, 10) == []


async def test_the_backlog_is_what_waits_and_since_when() -> None:
    """Whether it is due or waits for its next attempt."""
    ground = Ground()
    ground.outside.always(Fault.DOWN)
    await ground.worker().once()
    assert await backlog(ground.engine()) == (1, START)
    ground.outside.lift()
    ground.to_due()
    await ground.worker().once()
    assert await backlog(ground.engine()) == (0, None)
