"""Time and ids that repeat."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from semel.ports import Clock, Ids
from semel.testing import START, SequentialIds, VirtualClock


class Met(list[tuple[str, float]]):
    """Who woke, and when."""


async def _sleeps(clock: VirtualClock, name: str, met: Met, *naps: float) -> None:
    for nap in naps:
        await clock.sleep(nap)
        met.append((name, clock.monotonic()))


async def test_a_flowing_clock_wakes_in_order_of_time() -> None:
    """Sleepers wake at their own times, however they interleave; equal times wake as they fell asleep."""
    clock, met = VirtualClock(), Met()
    await asyncio.gather(
        _sleeps(clock, "a", met, 5, 5), _sleeps(clock, "b", met, 2, 2, 2), _sleeps(clock, "c", met, 10)
    )
    assert met == [("b", 2), ("b", 4), ("a", 5), ("b", 6), ("c", 10), ("a", 10)]
    assert clock.now() == START + timedelta(seconds=10)


async def test_a_day_passes_at_once() -> None:
    """Time takes no time: polling for a day ends at once."""
    clock = VirtualClock()
    while clock.monotonic() < 86_400:
        await clock.sleep(60)
    assert clock.now() == START + timedelta(days=1)


async def test_others_have_their_turn_before_time_passes() -> None:
    """Whoever is ready runs before the earliest sleeper wakes."""
    clock, met = VirtualClock(), Met()

    async def busy() -> None:
        met.append(("busy", clock.monotonic()))

    await asyncio.gather(_sleeps(clock, "sleeper", met, 1), busy())
    assert met == [("busy", 0), ("sleeper", 1)]


async def test_a_clock_that_does_not_flow_waits_to_be_advanced() -> None:
    """Only ``advance`` wakes, and only those whose time has come; they see the new time."""
    clock, met = VirtualClock(flowing=False), Met()
    tasks = [
        asyncio.ensure_future(_sleeps(clock, name, met, nap)) for name, nap in (("b", 2.0), ("a", 1.0), ("c", 9.0))
    ]
    await asyncio.sleep(0)
    assert met == []
    clock.advance(3)
    await asyncio.wait(tasks[:2])
    assert met == [("a", 3), ("b", 3)]
    clock.advance(6)
    await asyncio.gather(*tasks)
    assert met[2:] == [("c", 9)]


@pytest.mark.parametrize("flowing", [True, False])
async def test_sleeping_for_no_time_gives_a_turn(flowing: bool) -> None:  # noqa: FBT001
    """``sleep(0)`` moves nothing, and never waits for ``advance``."""
    clock, met = VirtualClock(flowing=flowing), Met()
    await asyncio.gather(_sleeps(clock, "a", met, 0, 0), _sleeps(clock, "b", met, 0))
    assert met == [("a", 0), ("b", 0), ("a", 0)]


async def test_a_sleeper_that_is_cancelled_holds_nobody_up() -> None:
    """Its time is passed over."""
    clock, met = VirtualClock(), Met()
    doomed = asyncio.ensure_future(clock.sleep(1))
    await asyncio.sleep(0)
    doomed.cancel()
    await _sleeps(clock, "a", met, 3)
    assert met == [("a", 3)]


def test_ids_are_a_function_of_seed_and_place() -> None:
    """The same seed draws the same; another meets none of it."""
    one, same, other = SequentialIds("a"), SequentialIds("a"), SequentialIds("b")
    drawn = [(ids.uuid(), ids.token(), ids.secret(), ids.jitter()) for ids in (one, same, other)]
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])
    assert one.drawn == 4


def test_uuids_are_of_version_7_and_sort_as_drawn() -> None:
    """RFC 9562: version 7, variant 10, the time first."""
    ids = SequentialIds()
    drawn = [ids.uuid() for _ in range(1000)]
    assert drawn == sorted(drawn)
    assert {(UUID(each).version, UUID(each).variant) for each in drawn} == {(7, UUID(int=1 << 63).variant)}


def test_tokens_and_jitter_keep_their_ranges() -> None:
    """Tokens are signed 64-bit numbers of both signs and never 0; jitter lies from 0 to 1."""
    ids = SequentialIds()
    tokens = [ids.token() for _ in range(1000)]
    assert len(set(tokens)) == 1000
    assert 0 not in tokens
    assert min(tokens) < 0 < max(tokens)
    assert all(-(2**63) <= token < 2**63 for token in tokens)
    assert all(0 <= ids.jitter() <= 1 for _ in range(1000))


def test_the_doubles_have_the_ports_methods() -> None:
    """They stand in for the real ones."""
    assert isinstance(VirtualClock(), Clock)
    assert isinstance(SequentialIds(), Ids)
