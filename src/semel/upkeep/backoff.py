"""When upkeep looks again at what a provider has not yet come to."""

from __future__ import annotations

from datetime import datetime, timedelta

from semel.protocol.engine import Engine

__all__ = ["next_look"]


def next_look(engine: Engine, tries: int, until: datetime | None, now: datetime) -> datetime:
    """Double the wait with each look, with jitter, up to a tenth of the horizon; look once at the horizon's end."""
    options = engine.options
    wait = min(options.removal_retry * 2 ** min(tries, 30), options.removal_horizon / 10)
    look = now + timedelta(seconds=wait * (0.5 + engine.ids.jitter()))
    return min(look, until) if until is not None and until > now else look
