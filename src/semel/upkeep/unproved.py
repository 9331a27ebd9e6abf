"""Expiry of accounts whose email nobody proved in time: each ends with its identity, as by deletion."""

from __future__ import annotations

from typing import cast

from semel.errors import NotFound, StoreRejected
from semel.model import Account, Record
from semel.protocol import commits
from semel.protocol.commits import Owned
from semel.protocol.engine import Engine
from semel.protocol.owning import everything

__all__ = ["expire_unproved"]


async def expire_unproved(engine: Engine, record: Record) -> bool:
    """End an account that awaited its proof for too long.

    Where the application's own rows refer to it, its row stays, switched off and without a name to it.
    """
    account = cast("Account", record)
    if not engine.awaits_proof(account):
        return False
    try:
        owned = await everything(engine, account.id)
    except NotFound:
        return False
    if owned is None or owned.account.version != account.version:
        return False
    ended = await _ended(engine, owned)
    if ended:
        engine.events.emit("account.expired", {"account": account.id})
    return ended


async def _ended(engine: Engine, owned: Owned) -> bool:
    now, options, embedded = engine.clock.now(), engine.options, engine.embedded is not None
    try:
        return (await engine.put(commits.account_end(owned, now, options, embedded=embedded))).done
    except StoreRejected:
        end = commits.account_end(owned, now, options, embedded=embedded, stays=True)
        return (await engine.put(end)).done
