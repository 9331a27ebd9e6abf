"""Contenders that take turns at the same work, and what comes of it.

The machine is never quiet and never twice the same, so a figure by itself says little. What counts is the ratio to
another contender within a round, and of these the median.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from tests.services import PostgresServer

__all__ = ["Bench", "Benchmark", "Contender", "Effort", "Say", "Table", "ratios", "take_turns", "timed"]

T = TypeVar("T")

Say = Callable[[str], None]
"""Tells whoever waits how far it is."""


class Effort(msgspec.Struct, frozen=True):
    """How much is done."""

    count: int
    """Of whatever is counted, in one turn."""
    rounds: int
    """In each of which every contender has one turn."""
    seconds: float = 60.0
    """No further round begins after so long."""


class Table(msgspec.Struct, frozen=True):
    """What was found: rows of a name and figures, under their heads."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str | float | int, ...], ...]


class Bench(NamedTuple):
    """What a benchmark has to work with."""

    postgres: PostgresServer
    effort: Effort
    say: Say


class Benchmark(NamedTuple):
    """Something to be measured or counted."""

    name: str
    effort: Effort
    run: Callable[[Bench], Coroutine[Any, Any, Table]]


class Contender(NamedTuple):
    """One way to do the work."""

    name: str
    base: str
    """The contender that it is compared with."""
    turn: Callable[[int], Awaitable[float]]
    """Does so much of the work, and returns how many seconds it took. What has to be made ready is not counted."""


async def take_turns(
    bench: Bench, contenders: Sequence[Contender], before: Callable[[], Awaitable[None]] | None = None
) -> dict[str, list[float]]:
    """Return how much each contender did in a second, a figure for each round; ``before`` is called before a turn."""
    effort = bench.effort
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    until = time.perf_counter() + effort.seconds
    for number in range(1, effort.rounds + 1):
        bench.say(f"round {number} of {effort.rounds}")
        for contender in contenders:
            if before is not None:
                await before()
            found[contender.name].append(effort.count / await contender.turn(effort.count))
        if time.perf_counter() > until:
            break
    return found


def ratios(title: str, contenders: Sequence[Contender], found: Mapping[str, Sequence[float]]) -> Table:
    """Return each contender's median, and the median of its ratios to its base with the least and the greatest."""
    rows: list[tuple[str | float | int, ...]] = []
    for name, base, _ in contenders:
        of_rounds = sorted(one / other for one, other in zip(found[name], found[base], strict=True))
        median = round(statistics.median(of_rounds), 2)
        spread = f"{of_rounds[0]:.2f} to {of_rounds[-1]:.2f}"
        rows.append((name, round(statistics.median(found[name])), base, median, spread))
    return Table(title, ("", "a second", "beside", "ratio", "of the rounds"), tuple(rows))


async def timed(workers: Sequence[Callable[[T], Awaitable[Any]]], ready: Sequence[T]) -> float:
    """Return the seconds in which the workers, each in a task, do all that is ready."""
    left = iter(ready)
    gc.collect()
    gc.freeze()  # what lies ready would be walked through again and again, as in no server

    async def task(do: Callable[[T], Awaitable[Any]]) -> None:
        for each in left:
            await do(each)

    begin = time.perf_counter()
    await asyncio.gather(*map(task, workers))
    seconds = time.perf_counter() - begin
    gc.unfreeze()
    return seconds
