"""The end of sessions whose time is over."""

from __future__ import annotations

from typing import cast

from semel.model import Account, Record, SessionFamily
from semel.ports import Delete, Replace, Write
from semel.protocol.engine import Engine
from semel.sessions import without_sessions

__all__ = ["expire"]


async def expire(engine: Engine, record: Record) -> bool:
    """Delete the session and take it off the account's list, in one commit."""
    family = cast("SessionFamily", record)
    account = await engine.store.get(Account, (family.account_id,))
    listed: list[Write] = [Replace(without_sessions(account, (family.id,)))] if account is not None else []
    expired = (await engine.put([Delete(family), *listed])).done
    if expired:
        engine.events.emit("session.expired", {"session": family.id, "account": family.account_id})
    return expired
