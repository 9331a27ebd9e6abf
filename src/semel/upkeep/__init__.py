"""Upkeep: the duties that run beside requests. Any number of servers may run them at once.

A duty is given one due record at a time, reads it afresh, and ends what is due by the same conditional writes as
everybody else, so two that meet lose nothing: one is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from semel.errors import SemelError
from semel.model import Identity, OutboxEvent, Record, Registration
from semel.protocol.engine import Engine
from semel.upkeep.removal import remove
from semel.upkeep.rescue import rescue
from semel.upkeep.retention import forget_event, forget_registration

__all__ = ["BUILT_IN", "Duty", "Upkeep"]

_BATCH: Final = 100


class Duty(msgspec.Struct, frozen=True):
    """A duty: its name, the type of record it looks after, and what it does with a due one.

    ``True``: it did something.
    """

    name: str
    kind: type[Record]
    run: Callable[[Engine, Record], Awaitable[bool]]


BUILT_IN: Final = (
    Duty("rescue", Registration, rescue),
    Duty("removal", Identity, remove),
    Duty("forget_registration", Registration, forget_registration),
    Duty("forget_event", OutboxEvent, forget_event),
)
"""The duties of the protocol itself."""


class Upkeep:
    """Runs duties over what is due."""

    def __init__(self, engine: Engine, duties: tuple[Duty, ...] = BUILT_IN) -> None:
        self._engine = engine
        self._duties = duties

    async def once(self) -> dict[str, int]:
        """Make one pass over what is due now; return how much each duty did. Raises ``StoreUnavailable``."""
        due: dict[type[Record], list[Record]] = {}
        for kind in dict.fromkeys(duty.kind for duty in self._duties):
            found = await self._engine.store.due(kind, self._engine.clock.now(), _BATCH)
            due[kind] = sorted(found, key=lambda _: self._engine.ids.jitter())
        return {duty.name: await self._run(duty, due[duty.kind]) for duty in self._duties}

    async def _run(self, duty: Duty, records: list[Record]) -> int:
        done = 0
        for record in records:
            fresh = await self._engine.store.get(type(record), record.key)
            if fresh is None or fresh.due_at is None or fresh.due_at > self._engine.clock.now():
                continue
            try:
                done += await duty.run(self._engine, fresh)
            except SemelError as error:
                noted = {"duty": duty.name, "code": error.code, "record": "/".join(record.key)}
                self._engine.events.emit("upkeep.failed", noted)
        return done

    async def run(self, interval: float) -> None:
        """Make a pass about every ``interval`` seconds, spread by jitter, until cancelled, whatever a pass meets."""
        while True:
            await self._engine.clock.sleep(interval * (0.5 + self._engine.ids.jitter()))
            try:
                done = await self.once()
            except SemelError as error:
                self._engine.events.emit("upkeep.failed", {"duty": "pass", "code": error.code})
            else:
                self._engine.events.emit("upkeep.passed", done)
