"""Removal: make sure that a condemned identity does not exist at the provider, and stay until it cannot come again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from semel.model import Identity, Record
from semel.ports import Absent, Delete, Found, Replace, Unknown
from semel.protocol.engine import Engine
from semel.states import IdentityState

__all__ = ["remove"]


async def remove(engine: Engine, record: Record) -> bool:
    """Look once: delete what is there; forget the record only when no create of ours can still land."""
    identity = cast("Identity", record)
    if identity.state is not IdentityState.CONDEMNED:
        return False
    now = engine.clock.now()
    absent = await _absent_now(engine, identity)
    if absent and identity.look_until is not None and identity.look_until <= now:
        done = await engine.put([Delete(identity)])
        if done.done:
            engine.events.emit("identity.removed", {"identity": identity.id, "tries": identity.tries})
    else:
        await engine.put([Replace(identity.but(due_at=_next_look(engine, identity, now), tries=identity.tries + 1))])
    return True


async def _absent_now(engine: Engine, identity: Identity) -> bool:
    """Tell whether the identity is not there; if it is, delete it.

    What was there a moment ago may have signed in just then: its record stays for another look.
    """
    if engine.remote is None:
        return True
    match await engine.remote.find(identity.id):
        case Absent():
            return True
        case Found() as found:
            await engine.remote.delete(found.provider_id)
            return False
        case Unknown():
            return False


def _next_look(engine: Engine, identity: Identity, now: datetime) -> datetime:
    """Double the wait with each look, with jitter, up to a tenth of the horizon; look once at the horizon's end."""
    options = engine.options
    wait = min(options.removal_retry * 2 ** min(identity.tries, 30), options.removal_horizon / 10)
    next_look = now + timedelta(seconds=wait * (0.5 + engine.ids.jitter()))
    if identity.look_until is not None and identity.look_until > now:
        return min(next_look, identity.look_until)
    return next_look
