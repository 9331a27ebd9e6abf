"""Delivery: hand the outbox's events to whoever listens, each at least once.

A worker takes an event by moving its ``due_at`` ahead, sends, and writes what came of it, each by a conditional write.
So no two send one attempt, and whatever a crash leaves is due again once the lease is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from semel.errors import SemelError
from semel.model import OutboxEvent, Record
from semel.outgoing import Courier, Refused, Sent
from semel.ports import Replace, Unknown
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.states import EventState

__all__ = ["LONGEST_PAUSE", "DeliveryDuty", "replayed"]

LONGEST_PAUSE: Final = 3600.0
"""For how many seconds an endpoint may have itself left alone, where the schedule would come sooner."""
_SLACK: Final = 10.0
"""Seconds that a lease outlasts all else: for the two commits."""
_NOBODY: Final = "nobody listens"
_DIED: Final = "what came of the last attempt is not known"
_Outcome = Sent | Refused | Unknown
_Outcomes = Mapping[str, _Outcome]


class DeliveryDuty:
    """The duty over these couriers; those of one event are the couriers that name endpoints for it."""

    def __init__(self, couriers: Sequence[Courier]) -> None:
        self._couriers = couriers
        self._timeout = max((one.timeout for one in couriers), default=0.0)

    async def __call__(self, engine: Engine, record: Record) -> bool:
        """Make one attempt."""
        event = cast("OutboxEvent", record)
        if event.state is not EventState.WAITING:
            return False
        now, options = engine.clock.now(), engine.options
        ways = [(one, name) for one in self._couriers for name in one.endpoints(event)]
        if not ways:
            return await self._unheard(engine, event, now)
        if event.attempts > len(options.delivery_waits):  # whoever made the last attempt died of it
            return await _settle(engine, dead(event, _DIED, now, options))
        until = now + timedelta(seconds=self._timeout + options.grace + _SLACK)
        taken = event.but(due_at=until, attempts=event.attempts + 1)
        put = await engine.put([Replace(taken)])
        if not put.done or engine.clock.now() + timedelta(seconds=self._timeout + options.grace) > until:
            return put.done
        outcomes = await self._sent(engine, taken, ways, f"att_{put.token % 2**64:016x}")
        after = _after(engine, taken.but(version=put.token), tuple(name for _, name in ways), outcomes)
        return await _settle(engine, after)

    async def _unheard(self, engine: Engine, event: OutboxEvent, now: datetime) -> bool:
        """Leave to others what this process has no endpoint for, unless it has waited for so long that nobody has."""
        if event.created_at + timedelta(seconds=engine.options.events_kept) > now:
            return False
        return await _settle(engine, dead(event, _NOBODY, now, engine.options))

    async def _sent(
        self, engine: Engine, event: OutboxEvent, ways: Sequence[tuple[Courier, str]], attempt: str
    ) -> _Outcomes:
        """Send to all who do not have it yet, at once."""
        settled = {*event.delivered, *event.refused}
        missing = [(courier, name) for courier, name in ways if name not in settled]
        made = await asyncio.gather(*(_made(engine, one, event, name, attempt) for one, name in missing))
        return {name: outcome for (_, name), outcome in zip(missing, made, strict=True)}


async def _made(engine: Engine, courier: Courier, event: OutboxEvent, name: str, attempt: str) -> _Outcome:
    """Return what came of one attempt at one endpoint. A courier that breaks its word must not stop the schedule."""
    try:
        outcome = await courier.deliver(event, name, attempt)
    except Exception as error:  # noqa: BLE001 - it would be tried for ever, since nobody could write what came of it
        outcome = Unknown(error.code if isinstance(error, SemelError) else type(error).__name__)
    word = type(outcome).__name__.lower()
    noted = {"delivery": event.delivery_id, "kind": event.kind, "endpoint": name, "attempt": attempt, "outcome": word}
    engine.events.emit("delivery.tried", noted | ({} if isinstance(outcome, Sent) else {"why": _why(outcome)}))
    return outcome


def _after(engine: Engine, event: OutboxEvent, names: Sequence[str], outcomes: _Outcomes) -> OutboxEvent:
    """Return the event as an attempt leaves it."""
    now, options = engine.clock.now(), engine.options
    event = event.but(
        delivered=(*event.delivered, *(name for name, one in outcomes.items() if isinstance(one, Sent))),
        refused=(*event.refused, *(name for name, one in outcomes.items() if isinstance(one, Refused))),
        failure=_failure(outcomes) or event.failure,
    )
    if {*names} <= {*event.delivered}:
        kept = now + timedelta(seconds=options.events_kept)
        return event.but(state=EventState.DELIVERED, due_at=kept, failure=None)
    if {*names} <= {*event.delivered, *event.refused} or event.attempts > len(options.delivery_waits):
        return dead(event, event.failure or _DIED, now, options)
    wait = options.delivery_waits[event.attempts - 1] * (0.9 + 0.2 * engine.ids.jitter())
    asked = max((one.retry_after or 0.0 for one in outcomes.values() if isinstance(one, Unknown)), default=0.0)
    return event.but(due_at=now + timedelta(seconds=max(wait, min(asked, LONGEST_PAUSE))))


def dead(event: OutboxEvent, failure: str, now: datetime, options: Options) -> OutboxEvent:
    """Return the event as given up: kept, so that it can be replayed."""
    kept = now + timedelta(seconds=options.events_kept)
    return event.but(state=EventState.DEAD, failure=failure, due_at=kept)


def replayed(event: OutboxEvent, now: datetime) -> OutboxEvent:
    """Return a dead event as due anew, for all who do not have it, those who refused it among them."""
    return event.but(state=EventState.WAITING, attempts=0, refused=(), due_at=now)


async def _settle(engine: Engine, event: OutboxEvent) -> bool:
    """Write what came of it. Refused or lost, the lease runs out, and whoever comes then sends it again."""
    done = (await engine.put([Replace(event)])).done
    if done and event.state is EventState.DEAD:
        noted = {"delivery": event.delivery_id, "kind": event.kind, "event": event.id, "why": event.failure or ""}
        engine.events.emit("delivery.dead", noted)
    return done


def _failure(outcomes: _Outcomes) -> str | None:
    """Return why the first endpoint that failed did."""
    failed = ((name, one) for name, one in outcomes.items() if not isinstance(one, Sent))
    return next((f"{name}: {_why(one)}" for name, one in failed), None)


def _why(outcome: Refused | Unknown) -> str:
    return f"refused ({outcome.code})" if isinstance(outcome, Refused) else outcome.why
