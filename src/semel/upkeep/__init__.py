"""Upkeep: the duties that run beside requests. Any number of servers may run them at once.

A duty is given one due record at a time, reads it afresh, and ends what is due by the same conditional writes as
everybody else, so two that meet lose nothing: one is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec

from semel.errors import SemelError, StoreUnavailable
from semel.model import Identity, Key, OutboxEvent, Record, Registration
from semel.ports import Tidies
from semel.protocol.engine import Engine
from semel.upkeep.removal import remove
from semel.upkeep.rescue import rescue
from semel.upkeep.retention import forget_event, forget_registration
from semel.upkeep.wishes import fulfil

__all__ = ["BUILT_IN", "Duty", "Upkeep", "code_of"]

_BATCH: Final = 100
_GATHERING: Final = 0.2
"""Seconds from a waking to the pass: a crowd of commits wakes for one pass."""


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
    Duty("wish", Identity, fulfil),
    Duty("forget_registration", Registration, forget_registration),
    Duty("forget_event", OutboxEvent, forget_event),
)
"""The duties of the protocol itself."""


class Upkeep:
    """Runs duties over what is due, up to ``width`` records at a time.

    ``tidies``: whether it tidies the store, if that has to be; where several run beside each other, one is enough.
    """

    def __init__(
        self, engine: Engine, duties: tuple[Duty, ...] = BUILT_IN, width: int = 8, *, tidies: bool = True
    ) -> None:
        self._engine = engine
        self._duties = duties
        self._width = width
        self._tidies = tidies
        self._woken: asyncio.Event | None = None

    def wake(self) -> None:
        """Let the next pass of ``run`` be made at once, if it ``wakes``: there is something to do."""
        if self._woken is not None:
            self._woken.set()

    async def once(self) -> dict[str, int]:
        """Make one pass over all that is due now; return how much each duty did. Raises ``StoreUnavailable``.

        A store that has to be tidied is, which counts as the duty ``tidy``. A type of which the store cannot tell what
        is due is noted, and left to the next pass.
        """
        done = {duty.name: 0 for duty in self._duties}
        if self._tidies and isinstance(self._engine.store, Tidies):
            done["tidy"] = await self._tidied(self._engine.store)
        for kind in dict.fromkeys(duty.kind for duty in self._duties):
            try:
                await self._go_through(kind, done)
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - what cannot be read of one type must not hide the other types
                self._engine.events.emit("upkeep.failed", {"duty": "due", "type": kind.TYPE, "code": code_of(error)})
        return done

    async def _go_through(self, kind: type[Record], done: dict[str, int]) -> None:
        async for batch in self._due(kind):
            for start in range(0, len(batch), self._width):
                await asyncio.gather(*(self._look_after(one, done) for one in batch[start : start + self._width]))

    async def _tidied(self, store: Tidies) -> int:
        try:
            return await store.tidy()
        except Exception as error:  # noqa: BLE001 - what is left harms nothing, and must not keep anything else waiting
            self._engine.events.emit("upkeep.failed", {"duty": "tidy", "code": code_of(error)})
            return 0

    async def _due(self, kind: type[Record]) -> AsyncIterator[list[Record]]:
        """Yield what is due, each record once: whatever a duty could not end must not hide what comes after it."""
        seen: set[Key] = set()
        limit = _BATCH
        while True:
            found = await self._engine.store.due(kind, self._engine.clock.now(), limit)
            new = [record for record in found if record.key not in seen]
            seen.update(record.key for record in new)
            yield sorted(new, key=lambda _: self._engine.ids.jitter())
            if len(found) < limit:
                return
            if not new:
                limit *= 2

    async def _look_after(self, hint: Record, done: dict[str, int]) -> None:
        fresh = await self._engine.store.get(type(hint), hint.key)
        if fresh is None or fresh.due_at is None or fresh.due_at > self._engine.clock.now():
            return
        for duty in self._duties:
            try:
                if duty.kind is type(fresh) and await duty.run(self._engine, fresh):
                    done[duty.name] += 1
                    return
            except Exception as error:  # noqa: BLE001 - one record must not end the pass for all others
                noted = {"duty": duty.name, "code": code_of(error), "record": "/".join(fresh.key)}
                self._engine.events.emit("upkeep.failed", noted)
                return

    async def run(self, interval: float, *, wakes: bool = False) -> None:
        """Make a pass about every ``interval`` seconds, until cancelled, whatever a pass meets.

        With ``wakes`` also soon after ``wake``.
        """
        self._woken = asyncio.Event() if wakes else None
        while True:
            await self._rest(interval * (0.5 + self._engine.ids.jitter()))
            try:
                done = await self.once()
            except Exception as error:  # noqa: BLE001 - one pass must not end all others
                self._engine.events.emit("upkeep.failed", {"duty": "pass", "code": code_of(error)})
            else:
                self._engine.events.emit("upkeep.passed", done)

    async def _rest(self, seconds: float) -> None:
        """Sleep for so long, or until woken; then a moment more, for those who come together."""
        if self._woken is None:
            await self._engine.clock.sleep(seconds)
            return
        sleeping = asyncio.ensure_future(self._engine.clock.sleep(seconds))
        waking = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
            if waking.done():
                await self._engine.clock.sleep(_GATHERING)
        finally:
            sleeping.cancel()
            waking.cancel()
        self._woken.clear()


def code_of(error: Exception) -> str:
    """Return what tells an error apart, and nothing that it may carry."""
    return error.code if isinstance(error, SemelError) else type(error).__name__
