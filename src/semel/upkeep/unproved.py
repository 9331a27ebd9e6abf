"""Expiry of accounts whose email nobody proved in time: each ends with its identity, as by deletion."""

from __future__ import annotations

from typing import cast

from semel.errors import NotFound, StoreRejected
from semel.model import Account, Record
from semel.ports import Replace
from semel.protocol import commits
from semel.protocol.commits import Owned
from semel.protocol.engine import Engine
from semel.protocol.owning import everything

__all__ = ["expire_unproved"]


async def expire_unproved(engine: Engine, record: Record) -> bool:
    """End an account that awaited its proof for too long.

    Where the application's own rows refer to it, its row stays, switched off and without a name to it. One that was
    let in while no proof was required is spared. So is one that was made at a sign-in, which awaits its proof on: its
    identity was at the provider before, and is not ours to remove; nor does it keep anybody from the email whom the
    identity would not.
    """
    account = cast("Account", record)
    if account.last_sign_in_at is not None or account.registration == commits.healing(account.id):
        await _spare(engine, account)
        return False
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


async def _spare(engine: Engine, account: Account) -> None:
    proving = engine.options.proving
    again = engine.later(proving.unproved_kept) if proving is not None and account.awaits_proof else None
    await engine.put([Replace(account.but(due_at=again))])


async def _ended(engine: Engine, owned: Owned) -> bool:
    now, options, embedded = engine.clock.now(), engine.options, engine.embedded is not None
    try:
        return (await engine.put(commits.account_end(owned, now, options, embedded=embedded))).done
    except StoreRejected:
        end = commits.account_end(owned, now, options, embedded=embedded, stays=True)
        return (await engine.put(end)).done
