"""Trying again what others changed under a request: growing pauses, until the wait is over."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from semel.errors import OutcomeUnknown, StoreUnavailable
from semel.ports import Write
from semel.protocol.engine import Engine, Outcome, Put

__all__ = ["Patience"]

_RETRY_AFTER: Final = 1.0
"""In seconds: who comes back with a spent token must do so within the reuse interval."""


class Patience:
    """How long a request tries again what others changed under it: growing pauses, until the wait is over."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._deadline = engine.later(engine.options.wait)
        self._pause = 0.002
        self.doubt = False
        """Whether a commit may have happened, or may still happen, that is not known to have."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After a doubt a store that is down leaves the outcome unknown: "nothing was changed" may be untrue."""
        if self.doubt and isinstance(error, StoreUnavailable):
            raise OutcomeUnknown(retry_after=_RETRY_AFTER) from error

    async def put(self, writes: Sequence[Write]) -> Put:
        """Commit."""
        put = await self._engine.put(writes)
        self.doubt |= put.outcome is Outcome.UNKNOWN
        return put

    async def pause(self) -> None:
        """Wait a moment. Raises ``OutcomeUnknown`` once the wait is over."""
        if self._engine.clock.now() >= self._deadline:
            raise OutcomeUnknown(retry_after=_RETRY_AFTER)
        await self._engine.clock.sleep(self._pause * self._engine.ids.jitter())
        self._pause = min(2 * self._pause, self._engine.options.poll_most)
