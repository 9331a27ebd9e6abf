"""Deliveries that are wrong in one respect each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from typing_extensions import override

from semel.model import OutboxEvent, Record
from semel.outgoing import Courier, Refused, Sent
from semel.ports import Delete, Unknown
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.states import EventState
from semel.upkeep import delivery
from semel.upkeep.delivery import DeliveryDuty

_made = delivery._made  # noqa: SLF001 - what the mutants are made of


class SendsWithoutALease(DeliveryDuty):
    """An event is sent first, and only what came of it is written."""

    @override
    async def __call__(self, engine: Engine, record: Record) -> bool:
        event = cast("OutboxEvent", record)
        ways = [(one, name) for one in self._couriers for name in one.endpoints(event)]
        if event.state is not EventState.WAITING:
            return False
        outcomes = await self._sent(engine, event, ways, f"att_{engine.ids.uuid()}")
        after = delivery._after(engine, event.but(attempts=event.attempts + 1), [name for _, name in ways], outcomes)  # noqa: SLF001
        return await delivery._settle(engine, after)  # noqa: SLF001


async def takes_silence_for_taken(
    engine: Engine, courier: Courier, event: OutboxEvent, name: str, attempt: str
) -> Sent | Refused | Unknown:
    """An endpoint that has not answered counts as one that has taken the event."""
    outcome = await _made(engine, courier, event, name, attempt)
    return Sent() if isinstance(outcome, Unknown) else outcome


def tries_for_ever(event: OutboxEvent, failure: str, now: datetime, options: Options) -> OutboxEvent:
    """No event is ever given up."""
    del options
    return event.but(failure=failure, due_at=now + timedelta(seconds=5))


async def forgets_what_waits(engine: Engine, record: Record) -> bool:
    """Retention takes whatever is due, an event that still waits as well."""
    return (await engine.put([Delete(record)])).done
