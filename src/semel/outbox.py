"""The outbox as operators see it: what waits, what is dead, and sending that again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from semel.errors import EventNotDead, NotFound
from semel.model import OutboxEvent
from semel.patience import Patience
from semel.ports import Replace
from semel.protocol.engine import Engine
from semel.states import EventState
from semel.upkeep.delivery import replayed

__all__ = ["Backlog", "backlog", "events_of", "replay", "replay_dead"]

_PAGE: Final = 500
_COUNTED: Final = 1000


class Backlog(NamedTuple):
    """What waits to be delivered: how many, and since when the oldest."""

    waiting: int
    since: datetime | None


async def events_of(engine: Engine, state: EventState | None, limit: int) -> list[OutboxEvent]:
    """Return up to so many events, of one state or of all, the oldest first. It reads all. Raises a ``StoreError``."""
    found = [one async for one in _all(engine) if state is None or one.state is state]
    return sorted(found, key=lambda one: (one.created_at, one.id))[:limit]


async def backlog(engine: Engine) -> Backlog:
    """Return what waits, from the first thousand that upkeep looks at next. Raises a ``StoreError``."""
    longest = 2 * max(engine.options.delivery_waits) + engine.options.lease
    due = await engine.store.due(OutboxEvent, engine.clock.now() + timedelta(seconds=longest), _COUNTED)
    waiting = [one.created_at for one in due if one.state is EventState.WAITING]
    return Backlog(len(waiting), min(waiting, default=None))


async def replay(engine: Engine, event_id: str) -> OutboxEvent:
    """Let a dead event be delivered anew, to all who do not have it; one that waits is as asked.

    ``event_id`` is its id. Raises ``NotFound``, ``EventNotDead``, ``OutcomeUnknown`` or a ``StoreError``.
    """
    with Patience(engine) as patience:
        while True:
            event = await engine.store.get(OutboxEvent, (event_id,))
            if event is None:
                raise NotFound("There is no such event")
            if event.state is EventState.WAITING or patience.doubt:
                return event
            if event.state is EventState.DELIVERED:
                raise EventNotDead
            again = replayed(event, engine.clock.now())
            put = await patience.put([Replace(again)])
            if put.done:
                engine.events.emit("delivery.replayed", {"delivery": event.delivery_id, "kind": event.kind})
                return again.but(version=put.token)
            await patience.pause()


async def replay_dead(engine: Engine) -> int:
    """Let all dead events be delivered anew; return how many. Raises what ``replay`` raises."""
    dead = [one.id async for one in _all(engine) if one.state is EventState.DEAD]
    for one in dead:
        await replay(engine, one)
    return len(dead)


async def _all(engine: Engine) -> AsyncIterator[OutboxEvent]:
    cursor: str | None = None
    while True:
        page = await engine.store.page(OutboxEvent, cursor, _PAGE)
        for record in page.records:
            if isinstance(record, OutboxEvent):
                yield record
        cursor = page.cursor
        if cursor is None:
            return
