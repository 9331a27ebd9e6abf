"""The explorer tells a race from a proof: check-then-act is broken, an insert as referee is proved."""

from __future__ import annotations

from typing_extensions import override

from semel.errors import CommitUnknown, WriteRefused
from semel.model import OutboxEvent
from semel.ports import Insert
from semel.stores.memory import Table
from semel.testing import START
from semel.testing.explorer import Answer, Ending, Make, Ports, Scenario, StoreService, explore
from tests.testing.explorer.toys import Says


class Reliable(StoreService):
    """A store whose answers always arrive."""

    @override
    def lost(self, verb: str) -> Answer | None:
        return None


def note(ports: Ports, key: str) -> Insert:
    return Insert(OutboxEvent(id=key, kind="note", account_id=ports.name, created_at=START))


async def checks_then_acts(ports: Ports) -> str:
    """Look whether anybody has written a note; if not, write one of one's own."""
    page = await ports.store.page(OutboxEvent, None, 10)
    if page.records:
        return "refused"
    await ports.store.commit([note(ports, ports.ids.uuid())], ports.ids.token())
    return "accepted"


async def lets_the_key_decide(ports: Ports) -> str:
    """Insert under the one key, and be refused."""
    try:
        await ports.store.commit([note(ports, "the one")], ports.ids.token())
    except WriteRefused:
        return "refused"
    except CommitUnknown:
        return "unknown"
    return "accepted"


def one_note(ending: Ending) -> str | None:
    table: Table = ending.states["store"]
    accepted = sum(outcome.value == "accepted" for outcome in ending.outcomes.values())
    if len(table) > 1 or accepted > len(table):
        return f"{len(table)} notes, {accepted} accepted"
    return None


def meeting(names: str, party: Make, store: StoreService) -> Scenario:
    return Scenario(
        name="two-notes",
        about="Some callers write the one note there may be.",
        parties=dict.fromkeys(names.split(), party),
        services={"store": store},
        judge=Says(one_note),
    )


def test_check_then_act_is_broken() -> None:
    """The shortest schedule shows the race: both look, both write."""
    report = explore(meeting("ann bob", checks_then_acts, Reliable()), faults=0)
    assert report.violations[0].startswith("2 notes")
    assert not report.exhausted
    done = [line.partition("  ")[2].split()[0] for line in report.story if "→" in line]
    assert done == ["asks", "asks", "commits:", "commits:"]


def test_an_insert_as_referee_is_proved() -> None:
    """With two faults, no schedule of three callers breaks it."""
    report = explore(meeting("ann bob cid", lets_the_key_decide, StoreService()), faults=2)
    assert (report.exhausted, report.violations, report.story) == (True, (), ())
    assert report.schedules > report.states
