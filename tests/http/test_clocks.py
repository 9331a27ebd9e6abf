"""Servers whose clocks differ: within the allowed skew they get along, beyond it one of them is not ready."""

import asyncio
from datetime import timedelta

import pytest

from semel import Semel
from semel.http import create_app
from semel.model import Registration
from semel.states import RegistrationState
from semel.stores.memory import MemoryStore
from semel.testing.clock import START, VirtualClock
from semel.testing.fake_provider import FakeProvider
from semel.testing.faults import Fault
from tests.http.conftest import running, settings

_QUIET = settings(upkeep=False)


def _clock(ahead: float) -> VirtualClock:
    return VirtualClock(START + timedelta(seconds=ahead), flowing=False)


@pytest.mark.parametrize("ahead", [5.1, -5.1])
async def test_a_clock_too_far_off_is_not_ready(ahead: float) -> None:
    """503 that names the clock, by how much it is off, and what is allowed."""
    semel = Semel(_QUIET, store=MemoryStore(_clock(0).now), clock=_clock(ahead))
    async with running(create_app(_QUIET, semel=semel)) as client:
        answer = await client.get("/readyz")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "not_ready")
    (reason,) = problem["errors"]
    assert (reason["field"], reason["code"]) == ("clock", "clock_skew")
    assert "5.100 s" in reason["message"]


async def test_a_clock_within_the_skew_is_ready() -> None:
    """A few seconds are allowed for: a quarter of a lease."""
    semel = Semel(_QUIET, store=MemoryStore(_clock(0).now), clock=_clock(4.9))
    async with running(create_app(_QUIET, semel=semel)) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_a_server_ahead_kills_no_live_registration() -> None:
    """Up to the end of its lease, upkeep of a server ahead by the whole skew leaves a registration alone."""
    store, reached = MemoryStore(_clock(0).now), asyncio.Event()
    ours, ahead, slow = _clock(0), _clock(5), _clock(0)

    def faults(operation: str) -> Fault | None:
        if operation != "create":
            return None
        reached.set()
        return Fault.SLOW

    provider = FakeProvider(faults=faults, clock=slow)
    async with (
        Semel(_QUIET, store=store, provider=provider, clock=ours) as first,
        Semel(_QUIET, store=store, provider=provider, clock=ahead) as second,
    ):
        working = asyncio.create_task(first.register(email="ada@example.com", password="StrongPass123$"))
        await reached.wait()
        ours.advance(19.9)
        ahead.advance(19.9)
        await second.upkeep_once()
        (registration,) = (await store.page(Registration, None, 10)).records
        assert isinstance(registration, Registration)
        assert registration.state is RegistrationState.PENDING
        slow.advance(provider.timeout)
        assert not (await working).replayed
