"""Rescue: end registrations whose worker died."""

from __future__ import annotations

from typing import cast

from semel.model import Record, Registration
from semel.protocol.ending import finish
from semel.protocol.engine import Engine
from semel.states import RegistrationState

__all__ = ["rescue"]


async def rescue(engine: Engine, record: Record) -> bool:
    """End a dead registration by the same door as the next newcomer does."""
    registration = cast("Registration", record)
    if registration.state is not RegistrationState.PENDING:
        return False
    await finish(engine, registration)
    return True
