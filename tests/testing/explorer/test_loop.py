"""What asyncio offers works on the explorer's loop as on any other, and nothing runs where it should not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any

import pytest

from semel.testing.explorer.loop import EscapedError, Loop, SpinningError


def run(coroutine: Coroutine[Any, Any, Any], *, timers: int = 0) -> asyncio.Task[Any]:
    """Run until quiet, let so many timers go off in the order of their times, and return the task."""
    loop = Loop()
    task = loop.create_task(coroutine)
    loop.run_until_quiet()
    for _ in range(timers):
        timer = min(loop.timers, key=asyncio.TimerHandle.when)
        loop.now = timer.when()
        loop.fire(timer)
        loop.run_until_quiet()
    return task


async def later(seconds: float, value: object) -> object:
    await asyncio.sleep(seconds)
    return value


def test_gather_and_sleep_end_in_the_order_of_their_times() -> None:
    """Sleepers wake by their times; what is gathered comes in the order in which it was asked for."""
    order: list[object] = []

    async def both() -> list[object]:
        async def noted(seconds: float) -> object:
            order.append(await later(seconds, seconds))
            return seconds

        return list(await asyncio.gather(noted(2), noted(1)))

    assert run(both(), timers=2).result() == [2, 1]
    assert order == [1, 2]


def test_events_locks_and_queues_wake_who_waits() -> None:
    """Primitives without a time need none."""

    async def meet() -> list[int]:
        opened, queue = asyncio.Event(), asyncio.Queue[int]()

        async def waits() -> None:
            await opened.wait()
            async with asyncio.Lock():
                await queue.put(1)

        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(asyncio.sleep(0))
            opened.set()
        return [queue.get_nowait()]

    assert run(meet()).result() == [1]


@pytest.mark.parametrize(("patience", "found"), [(1.0, "too late"), (3.0, "in time")])
def test_wait_for_gives_up_at_its_time(patience: float, found: str) -> None:
    """A time-out is a timer like any other."""

    async def impatient() -> object:
        try:
            return await asyncio.wait_for(later(2, "in time"), patience)
        except TimeoutError:
            return "too late"

    assert run(impatient(), timers=1).result() == found


def test_a_shielded_task_outlives_its_waiter() -> None:
    """Who is cancelled while it shields a task leaves the task at work."""
    loop = Loop()
    inner = loop.create_task(later(1, "done"))

    async def outer() -> object:
        return await asyncio.shield(inner)

    waiter = loop.create_task(outer())
    loop.run_until_quiet()
    waiter.cancel()
    loop.run_until_quiet()
    assert waiter.cancelled()
    loop.fire(loop.timers[0])
    loop.run_until_quiet()
    assert inner.result() == "done"


def test_a_program_that_spins_is_stopped() -> None:
    """A loop that never waits for anything but its next turn is an error, not a hang."""

    async def spins() -> None:
        for _ in count():
            await asyncio.sleep(0)

    with pytest.raises(SpinningError):
        run(spins())


def test_an_exception_that_nobody_sees_is_seen() -> None:
    """A task that fails, and that nobody asks, does not fail in silence."""

    async def forgets() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(int, "no number")

    with pytest.raises(EscapedError, match="no number"):
        run(forgets())


def test_what_is_abandoned_ends_at_once() -> None:
    """Abandoned tasks are cancelled until they give in, and leave nothing for the collector to complain of."""
    loop = Loop()
    ended: list[str] = []

    async def clings() -> None:
        for attempt in ("first", "second"):
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(attempt)
                await asyncio.sleep(5)

    task = loop.create_task(clings())
    loop.run_until_quiet()
    loop.abandon()
    assert task.cancelled()
    assert ended == ["first"]


def test_there_are_no_threads() -> None:
    """What the loop does not have is missing, and says which."""

    async def off_thread() -> None:
        await asyncio.to_thread(print)

    task = run(off_thread())
    with pytest.raises(AttributeError, match="run_in_executor"):
        task.result()
