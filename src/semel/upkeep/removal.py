"""Removal: make sure that a condemned identity does not exist at the provider, and stay until it cannot come again."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from semel.model import Account, Identity, Record
from semel.ports import Absent, Delete, Found, Insert, Replace, Unknown, Write
from semel.protocol import commits
from semel.protocol.engine import Engine, Outcome
from semel.states import IdentityState
from semel.upkeep.backoff import next_look

__all__ = ["remove"]


async def remove(engine: Engine, record: Record) -> bool:
    """Look once: delete what is there and was ours; forget the record only when no request of ours can still land."""
    identity = cast("Identity", record)
    if identity.state is not IdentityState.CONDEMNED:
        return False
    now = engine.clock.now()
    said = await _look(engine, identity)
    if isinstance(said, Absent):
        said = await _renamed(engine, identity, now)
    spared = _spares(identity, said)
    over = identity.look_until is not None and identity.look_until <= now
    if over and (spared or isinstance(said, Absent)):
        if (await engine.put([await _forgotten(engine, identity)])).done:
            name = "identity.spared" if spared else "identity.removed"
            engine.events.emit(name, {"identity": identity.id, "tries": identity.tries})
        return True
    deletes = isinstance(said, Found) and not spared
    watched = commits.watched_on(identity, now, engine.options) if deletes else identity
    look = next_look(engine, watched.tries, watched.look_until, now)
    noted = await engine.put([Replace(watched.but(due_at=look, tries=identity.tries + 1))])
    if noted.done and isinstance(said, Found) and deletes and engine.remote is not None:
        await engine.remote.delete(said.provider_id)
    return True


async def _forgotten(engine: Engine, identity: Identity) -> Write:
    """Return the write that ends the removal: the record goes, unless the row of an ended account must refer to it."""
    stays = await engine.store.get(Account, identity.key) is not None
    return Replace(identity.but(due_at=None)) if stays else Delete(identity)


def _spares(identity: Identity, said: Found | Absent | Unknown) -> bool:
    """Tell whether somebody else's identity is there: planted, and so only for who proves the email to delete.

    An administrator may have given it another email since, or somebody have confirmed it. Its record stays as long as
    any removal's, since whoever condemned it may have sent a delete that still lands.
    """
    return commits.is_planted(identity) and isinstance(said, Found)


async def _look(engine: Engine, identity: Identity) -> Found | Absent | Unknown:
    return Absent() if engine.remote is None else await engine.remote.find(identity.id)


async def _renamed(engine: Engine, identity: Identity, now: datetime) -> Found | Absent | Unknown:
    """Look by the provider's own id as well: whoever renamed what was ours took away what says whose it is.

    Under what it is known by now somebody may have signed in, and been given an account; so the record of that decides.
    Where there is none, this condemns it, which is a removal of its own.
    """
    known = identity.provider_id
    if engine.remote is None or known is None or known == identity.id or commits.is_planted(identity):
        return Absent()
    said = await engine.remote.find(known)
    if not isinstance(said, Found) or said.identity_id == identity.id:
        return said
    also = Identity(id=said.identity_id, state=IdentityState.CONDEMNED, provider_id=said.provider_id)
    put = await engine.put([Insert(commits.condemned(also, now, engine.options))])
    return Unknown("not known to be condemned") if put.outcome is Outcome.UNKNOWN else Absent()
