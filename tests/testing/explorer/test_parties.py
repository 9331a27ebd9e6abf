"""A party is a function of its answers: replayed, forked, cancelled and ended without a trace."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count

import pytest

from semel.testing import START
from semel.testing.explorer import Ports, explore
from semel.testing.explorer.moves import Moves
from semel.testing.explorer.parties import NotDeterministicError
from semel.testing.explorer.search import Explorer
from tests.testing.explorer.toys import SECOND, Blind, NoAnswerError, scenario, steps


async def at_once(ports: Ports) -> None:
    """Ask for two things at the same time."""
    await asyncio.gather(ports["shelf"].put("left", 1), ports["shelf"].put("right", 1))


def test_two_requests_at_once_are_answered_in_either_order() -> None:
    """A party that asks for two things at once is answered in both orders, between all that others do."""
    report = explore(scenario({"A": at_once, "B": steps(1)}), faults=0)
    assert (report.schedules, report.exhausted) == (6, True)


def test_a_party_that_draws_lots_is_found_out() -> None:
    """Two runs that had the same answers must ask for the same."""
    lots = count()

    async def capricious(ports: Ports) -> None:
        with suppress(NoAnswerError):
            await ports["shelf"].put("it", next(lots))

    with pytest.raises(NotDeterministicError):
        explore(scenario({"A": capricious}), faults=1)


def test_a_party_that_waits_for_nobody_is_a_violation() -> None:
    """A deadlock is found wherever it happens."""

    async def waits(ports: Ports) -> None:
        if await ports["shelf"].get("B0"):
            await asyncio.Event().wait()

    report = explore(scenario({"A": waits, "B": steps(1)}), faults=0)
    assert report.violations == ("A waits for something that nobody will ever do",)


def test_a_party_that_breaks_is_a_violation() -> None:
    """An error that a party does not turn into an answer is a flaw of the program."""

    async def divides(ports: Ports) -> None:
        assert 1 / (1 - await ports["shelf"].get("it"))

    report = explore(scenario({"A": divides}, shelf=Blind(it=1)), faults=0)
    assert report.violations == ("A broke: ZeroDivisionError('division by zero')",)


def test_ids_are_the_same_however_often_a_party_runs() -> None:
    """Ids and tokens are drawn in one sequence a party, none of which two parties share."""
    drawn: dict[str, set[tuple[object, ...]]] = {"A": set(), "B": set()}

    async def draws(ports: Ports) -> None:
        ids = ports.ids
        drawn[ports.name].add((ids.uuid(), ids.token(), ids.secret(), ids.jitter()))
        await ports["shelf"].get("it")
        await ports["shelf"].put("it", 1)

    explore(scenario({"A": draws, "B": draws}, shelf=Blind()), faults=1)
    assert {name: len(each) for name, each in drawn.items()} == {"A": 1, "B": 1}
    assert not set(*drawn["A"]) & set(*drawn["B"]) - {0.5}


def test_a_clock_never_goes_back() -> None:
    """A party that slept is ahead of the world until the world's time has caught up."""
    seen: set[tuple[float, ...]] = set()

    async def sleeps(ports: Ports) -> None:
        times = [ports.clock.monotonic()]
        for seconds in (3, 20):
            await ports.clock.sleep(seconds)
            times.append(ports.clock.monotonic())
            await ports["shelf"].get("it")
            times.append(ports.clock.monotonic())
        seen.add(tuple(times))

    async def leases(ports: Ports) -> None:
        await ports["shelf"].lease(5)

    explore(scenario({"A": sleeps, "B": leases}, shelf=Blind(), jump=10 * SECOND, jumps=1), faults=0)
    assert (0, 3, 3, 23, 23) in seen
    assert (0, 3, 10, 30, 30) in seen
    assert all(list(times) == sorted(times) for times in seen)


def test_of_two_timers_the_earlier_goes_off_first() -> None:
    """Time runs one way within a party, whatever others do in between."""
    orders: set[tuple[int, ...]] = set()

    async def sleeps(ports: Ports) -> None:
        order: list[int] = []

        async def nap(seconds: int) -> None:
            await ports.clock.sleep(seconds)
            await ports["shelf"].get("it")
            order.append(seconds)

        await asyncio.gather(nap(2), nap(1))
        orders.add(tuple(order))

    report = explore(scenario({"A": sleeps}, shelf=Blind()), faults=0)
    assert (orders, report.schedules) == ({(1, 2), (2, 1)}, 3)


def test_who_does_not_look_at_the_clock_does_not_know_what_time_it_was() -> None:
    """Answers before and after a jump are one branch of a party that did not look: fewer states."""
    looks = {True: 0, False: 0}
    for look in looks:

        async def party(ports: Ports, *, look: bool = look) -> None:
            for _ in range(3):
                await ports["shelf"].get("it")
                if look:
                    ports.clock.now()

        async def leases(ports: Ports) -> None:
            await ports["shelf"].lease(5)

        one = scenario({"A": party, "B": leases}, shelf=Blind(), jump=10 * SECOND, jumps=1)
        with Explorer(Moves(one, 0)) as explorer:
            found = explorer.exhaust()
        looks[look] = found.states
        assert found.schedules == 10
    assert looks[False] < looks[True]


def test_a_party_begins_before_a_jump_or_at_it() -> None:
    """Who has had no answer when the clock jumps may have begun before, and be slow, or begin only now."""
    begun: set[tuple[float, float]] = set()

    async def looks(ports: Ports) -> None:
        before = ports.clock.monotonic()
        await ports["shelf"].get("it")
        begun.add((before, ports.clock.monotonic()))

    one = scenario({"A": looks}, shelf=Blind(lease=START + 5 * SECOND), jump=10 * SECOND, jumps=1)
    report = explore(one, faults=0)
    assert (report.schedules, report.exhausted) == (3, True)
    assert begun == {(0, 0), (0, 10), (10, 10)}


@pytest.mark.parametrize("name", ["jump", "two words", "a.b", "a:b", "@0", ""])
def test_a_party_has_a_name_that_can_be_spelled(name: str) -> None:
    """A schedule is spelled in words, so each party is called by one."""
    with pytest.raises(ValueError, match="name parties by"):
        scenario({name: steps(1)})
