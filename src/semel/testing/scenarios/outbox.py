"""Scenarios of the outbox: workers that deliver one event, over endpoints that take it and whose answers are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from typing_extensions import override

from semel.errors import SemelError
from semel.model import OutboxEvent
from semel.outbox import replay
from semel.outgoing import Refused, Sent
from semel.ports import Unknown
from semel.states import EventState
from semel.testing.clock import START
from semel.testing.couriers import RecordingCourier
from semel.testing.explorer.doubles import CourierService, StoreService
from semel.testing.explorer.runs import Make, Ports
from semel.testing.explorer.scenarios import Ending, Judge, Rest, Scenario
from semel.testing.explorer.worlds import Change
from semel.testing.invariants import on_commit
from semel.testing.scenarios.parties import Answer, Setting, upkeep
from semel.upkeep import Duty
from semel.upkeep.delivery import DeliveryDuty
from semel.upkeep.retention import forget_event

__all__ = ["outbox_scenarios"]

_EVENT: Final = OutboxEvent(
    id="the event",
    kind="account.deleted",
    account_id="ann",
    created_at=START,
    state=EventState.WAITING,
    due_at=START,
    version=7,
)
_DEAD: Final = _EVENT.but(state=EventState.DEAD, due_at=START + timedelta(days=30), attempts=3)
_NAMES: Final = ("billing", "crm")
_WAITS: Final = (5.0, 60.0)
_JUMP: Final = timedelta(seconds=40)
"""Past a delivery's lease."""
_FAR: Final = timedelta(seconds=1000)


class GoneCourier(RecordingCourier):
    """Endpoints of which the second is gone for good."""

    @override
    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        taken = await super().deliver(event, endpoint, attempt)
        return Refused(410) if endpoint == _NAMES[1] else taken


class DownCourier(RecordingCourier):
    """Endpoints of which the second is never there."""

    @override
    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        if endpoint == _NAMES[1]:
            return Unknown("nobody is there")
        return await super().deliver(event, endpoint, attempt)


class OutboxJudge(Judge):
    """Judges that an event ends, that one which counts as delivered was, and that none goes out needlessly."""

    def __init__(self, names: Sequence[str], ends: EventState) -> None:
        self._names = {*names}
        self._ends = ends
        """The state in which it ends where nothing goes wrong."""

    @override
    def changed(self, change: Change) -> Sequence[str]:
        if change.call.name != "store":
            return ()
        found = on_commit(change.before["store"], change.after["store"], change.now)
        missing = self._names - {name for _, name, _ in change.after["courier"]}
        delivered = [one for one in _events(change.after) if one.state is EventState.DELIVERED]
        return [*found, *(f"E: an event counts as delivered that {name} never got" for name in missing if delivered)]

    @override
    def ended(self, ending: Ending) -> Sequence[str]:
        events = _events(ending.states)
        found = [f"P: an event is still {one.state}" for one in events if one.state is EventState.WAITING]
        if not events:
            found.append("E: an event is gone")
        if ending.disturbed:
            return found
        found += [f"L: undisturbed, an event is {one.state}" for one in events if one.state is not self._ends]
        sent = [name for _, name, _ in ending.states["courier"]]
        return [*found, *(f"E: undisturbed, {name} got it {sent.count(name)} times" for name in _twice(sent))]


def _events(states: Mapping[str, Any]) -> list[OutboxEvent]:
    return [one for one in states["store"].values() if isinstance(one, OutboxEvent)]


def _twice(sent: Sequence[str]) -> list[str]:
    return sorted({name for name in sent if sent.count(name) > 1})


def delivering(setting: Setting) -> Make:
    """One pass of upkeep over the outbox."""

    async def party(ports: Ports) -> Answer:
        forget = Duty("forget_event", OutboxEvent, forget_event)
        deliver = Duty("deliver", OutboxEvent, DeliveryDuty([ports["courier"]]))
        answer: Answer = await upkeep(setting, (forget, deliver))(ports)
        return answer

    return party


def replaying(setting: Setting) -> Make:
    """An operator who has a dead event delivered anew."""

    async def party(ports: Ports) -> Answer:
        try:
            await replay(setting.engine_over(ports), _EVENT.id)
        except SemelError as error:
            return Answer(code=error.code)
        return Answer(did="replayed")

    return party


def outbox_scenarios(setting: Setting) -> Iterator[Scenario]:
    """Yield them, over this setting's engine."""
    one = _NAMES[:1]
    yield _scenario(setting, "waiting", ("delivers",), _NAMES, RecordingCourier)
    yield _scenario(setting, "waiting", ("delivers", "delivers-2"), one, RecordingCourier)
    yield _scenario(setting, "gone", ("delivers", "delivers-2"), _NAMES[1:], GoneCourier)
    yield _scenario(setting, "down", ("delivers",), _NAMES, DownCourier)
    yield _scenario(setting, "dead", ("replays", "replays-2"), one, RecordingCourier)
    yield _scenario(setting, "dead", ("replays", "delivers"), one, RecordingCourier)


_ABOUT: Final = {
    "waiting": "an event waits to be delivered",
    "gone": "an event waits to be delivered to an endpoint that is gone for good",
    "down": "an event waits to be delivered, and one of two endpoints is never there",
    "dead": "an event was given up",
}
_ENDS_DEAD: Final = frozenset({"gone", "down"})


def _scenario(
    setting: Setting, world: str, people: tuple[str, ...], names: tuple[str, ...], kind: type[RecordingCourier]
) -> Scenario:
    options = msgspec.structs.replace(setting.options, delivery_waits=_WAITS)
    setting = msgspec.structs.replace(setting, embedded=True, options=options)
    parties = {who: (replaying if who.startswith("replays") else delivering)(setting) for who in people}
    return Scenario(
        name=f"outbox/{world}/{'+'.join(people)}",
        about=f"{_ABOUT[world]}; {', '.join(people)} meet",
        parties=parties,
        services={
            "store": StoreService([_DEAD if world == "dead" else _EVENT]),
            "courier": CourierService(names, kind),
        },
        judge=OutboxJudge(names, EventState.DEAD if world in _ENDS_DEAD else EventState.DELIVERED),
        rest=Rest(upkeep=delivering(setting), near=(_JUMP, _JUMP), far=(_FAR, _FAR, _FAR, timedelta())),
        jump=_JUMP,
        jumps=1,
    )
