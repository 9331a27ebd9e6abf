"""Removal: make sure that a condemned identity does not exist at the provider, and stay until it cannot come again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from semel.model import Identity, Record
from semel.ports import Absent, Delete, Found, Replace, Unknown
from semel.protocol import commits
from semel.protocol.engine import Engine
from semel.states import IdentityState

__all__ = ["remove"]


async def remove(engine: Engine, record: Record) -> bool:
    """Look once: delete what is there; forget the record only when no create of ours can still land."""
    identity = cast("Identity", record)
    if identity.state is not IdentityState.CONDEMNED:
        return False
    now = engine.clock.now()
    said = await _look(engine, identity)
    over = identity.look_until is not None and identity.look_until <= now
    if isinstance(said, Absent) and over:
        if (await engine.put([Delete(identity)])).done:
            engine.events.emit("identity.removed", {"identity": identity.id, "tries": identity.tries})
        return True
    watched = commits.watched_on(identity, now, engine.options) if isinstance(said, Found) else identity
    next_look = _next_look(engine, watched, now)
    noted = await engine.put([Replace(watched.but(due_at=next_look, tries=identity.tries + 1))])
    if noted.done and isinstance(said, Found) and engine.remote is not None:
        await engine.remote.delete(said.provider_id)
    return True


async def _look(engine: Engine, identity: Identity) -> Found | Absent | Unknown:
    return Absent() if engine.remote is None else await engine.remote.find(identity.id)


def _next_look(engine: Engine, identity: Identity, now: datetime) -> datetime:
    """Double the wait with each look, with jitter, up to a tenth of the horizon; look once at the horizon's end."""
    options = engine.options
    wait = min(options.removal_retry * 2 ** min(identity.tries, 30), options.removal_horizon / 10)
    next_look = now + timedelta(seconds=wait * (0.5 + engine.ids.jitter()))
    if identity.look_until is not None and identity.look_until > now:
        return min(next_look, identity.look_until)
    return next_look
