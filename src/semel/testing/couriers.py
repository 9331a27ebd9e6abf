"""A courier that is none: it keeps what it is given, and fails as told."""

from __future__ import annotations

from typing import Final

from semel.model import OutboxEvent
from semel.outgoing import Refused, Sent
from semel.ports import Clock, Unknown
from semel.testing.clock import VirtualClock
from semel.testing.faults import COURIER_OPERATIONS, Fault, FaultPlan, Faults

__all__ = ["RecordingCourier"]

_TIMEOUT: Final = 5.0
_GONE: Final = 410
_NOTHING_DONE: Final = frozenset({Fault.DROP, Fault.REFUSE, Fault.DOWN})
_FAILED: Final = frozenset({Fault.LOSE, Fault.DROP, Fault.LATE, Fault.DOWN})


class RecordingCourier:
    """Endpoints in memory, with ``faults`` between them and their caller. The operation's name is ``deliver``.

    ``state`` is what they took: delivery id, endpoint and attempt of each, also of those whose answer was lost. A slow
    one takes half the ``timeout`` on the ``clock``; a refused one is ``Refused(410)``.
    """

    def __init__(
        self, names: tuple[str, ...] = ("billing",), faults: Faults | None = None, clock: Clock | None = None
    ) -> None:
        self.timeout = _TIMEOUT
        self.state: tuple[tuple[str, str, str], ...] = ()
        self._names = names
        self._faults = faults or FaultPlan(COURIER_OPERATIONS)
        self._clock = clock or VirtualClock()

    def endpoints(self, event: OutboxEvent) -> tuple[str, ...]:
        """See ``Courier.endpoints``: all of them, for everything but mails."""
        return () if event.is_mail else self._names

    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        """See ``Courier.deliver``. What comes late is there at once, and nobody hears of it."""
        fault = self._faults("deliver")
        if fault not in _NOTHING_DONE:
            taken = (event.delivery_id, endpoint, attempt)
            self.state = (*self.state, *([taken] * (2 if fault is Fault.TWICE else 1)))
        if fault is Fault.SLOW:
            await self._clock.sleep(self.timeout / 2)
        if fault is Fault.REFUSE:
            return Refused(_GONE)
        return Unknown("no answer") if fault in _FAILED else Sent()
