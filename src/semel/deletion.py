"""Deleting an account: with it go its identifiers, its identity, its sessions, and the answer of its key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from semel.errors import NotFound, StoreInconsistent
from semel.model import Account
from semel.patience import Patience
from semel.ports import Found
from semel.protocol import commits
from semel.protocol.engine import Engine
from semel.protocol.owning import everything

__all__ = ["delete_account"]


async def delete_account(engine: Engine, account_id: str, allowed: Callable[[Account], None] | None = None) -> None:
    """End the account in one commit; at a remote provider the identity is removed at once if possible, else by upkeep.

    From then on its idempotency key answers 410 until retention. ``allowed`` may raise why the account, as it is at a
    try, must stay. Raises ``NotFound``, ``OutcomeUnknown``,
    ``StoreInconsistent`` or another ``StoreError``.
    """
    with Patience(engine) as patience:
        deletion = _Deletion(engine, account_id, patience, allowed)
        while not await deletion.tried():
            if deletion.tries >= engine.options.rounds:  # the first go at once: most meet one change, and no crowd
                await patience.pause()
    await _deleted(engine, account_id)


class _Deletion:
    """The deletion of one account in one life: an id that was freed may be chosen again."""

    def __init__(
        self, engine: Engine, account_id: str, patience: Patience, allowed: Callable[[Account], None] | None
    ) -> None:
        self._engine = engine
        self._account_id = account_id
        self._patience = patience
        self._allowed = allowed
        self._life: tuple[str, datetime] | None = None
        self._contradictions = 0
        self.tries = 0

    async def tried(self) -> bool:
        """Whether it is done. Raises ``NotFound`` where there is no such account, and a commit of ours is not why."""
        engine = self._engine
        self.tries += 1
        try:
            owned = await everything(engine, self._account_id)
        except NotFound:
            if self._patience.doubt:
                return True
            raise
        if owned is None:
            self._contradicted()
            return False
        life = (owned.account.registration, owned.account.created_at)
        self._life = self._life or life
        if life != self._life:
            if self._patience.doubt:
                return True
            raise NotFound
        if self._allowed is not None:
            self._allowed(owned.account)
        embedded = engine.embedded is not None
        end = commits.account_end(owned, engine.clock.now(), engine.options, embedded=embedded)
        return (await self._patience.put(end)).done

    def _contradicted(self) -> None:
        """Take note; once it is no passing sight, and no commit of ours is why, say so."""
        self._contradictions += 1
        if self._contradictions == self._engine.options.rounds and not self._patience.doubt:
            raise StoreInconsistent("The account has no identity of its own")


async def _deleted(engine: Engine, account_id: str) -> None:
    engine.events.emit("account.deleted", {"account": account_id})
    await _remove_now(engine, account_id)


async def _remove_now(engine: Engine, account_id: str) -> None:
    """Ask the provider at once; whatever it answers, the durable removal looks again."""
    if engine.remote is not None:
        found = await engine.remote.find(account_id)
        if isinstance(found, Found):
            await engine.remote.delete(found.provider_id)
