"""Retention: forget what has been kept for long enough."""

from __future__ import annotations

from typing import cast

from semel.model import OutboxEvent, Record, Registration
from semel.ports import Delete
from semel.protocol.engine import Engine
from semel.states import EventState, RegistrationState

__all__ = ["forget_event", "forget_registration"]


async def forget_registration(engine: Engine, record: Record) -> bool:
    """Forget a registration that has ended; from then on its key is as good as new."""
    registration = cast("Registration", record)
    if registration.state is RegistrationState.PENDING:
        return False
    return (await engine.put([Delete(registration)])).done


async def forget_event(engine: Engine, record: Record) -> bool:
    """Forget an event of the outbox that is delivered or dead."""
    if cast("OutboxEvent", record).state is EventState.WAITING:
        return False
    return (await engine.put([Delete(record)])).done
