"""Commands about the outbox."""

import asyncio
from pathlib import Path

from semel import Semel, Settings
from semel.model import OutboxEvent
from semel.ports import Replace
from semel.states import EventState
from tests.cli.conftest import Run, run, sign_up

__all__ = ["run"]


async def give_up() -> str:
    """Make an account, and let what tells of it be dead; return the event's id."""
    await sign_up("ada@gmail.com")
    async with Semel(Settings(upkeep=False)) as semel:
        (event,) = await semel.outbox()
        dead = event.but(state=EventState.DEAD, failure="billing: HTTP 500", attempts=10)
        await semel.parts.engine.store.commit([Replace(dead)], 4711)
        return event.id


def test_what_was_given_up_is_listed_and_replayed(run: Run, here: Path) -> None:
    """Then it waits, and can be listed so; one that is not there is a finding."""
    assert here.is_dir()
    event = asyncio.run(give_up())
    assert "billing: HTTP 500" in run("outbox", "list", "--state", "dead").out
    (shown,) = run("outbox", "list", "--state", "dead", "--json").json
    assert (shown["id"], shown["attempts"], shown["failure"]) == (event, 10, "billing: HTTP 500")
    assert shown["delivery_id"].startswith("evt_")
    assert run("outbox", "replay", event).out == "1 event waits to be delivered.\n"
    assert run("outbox", "list", "--state", "dead").out == "There are no such events.\n"
    (shown,) = run("outbox", "list", "--state", "waiting", "--json").json
    assert (shown["id"], shown["attempts"]) == (event, 0)
    assert run("outbox", "replay", "none such").code == 1


def test_all_that_is_dead(run: Run, here: Path) -> None:
    """At once; and then there is no more."""
    assert here.is_dir()
    asyncio.run(give_up())
    assert run("outbox", "replay", "--all-dead", "--json").json == {"replayed": 1}
    assert run("outbox", "replay", "--all-dead").out == "0 events wait to be delivered.\n"


def test_what_was_delivered_is_not_replayed(run: Run, here: Path) -> None:
    """The exit code says refused."""
    assert here.is_dir()

    async def delivered() -> OutboxEvent:
        await sign_up("ada@gmail.com")
        async with Semel(Settings(upkeep=False)) as semel:
            return (await semel.outbox())[0]

    event = asyncio.run(delivered())
    ended = run("outbox", "replay", event.id)
    assert (ended.code, ended.err.split(":")[1].strip()) == (4, "event_not_dead")


def test_one_or_all(run: Run, here: Path) -> None:
    """Neither, or both, is no command."""
    assert here.is_dir()
    assert run("outbox", "replay").code == 2
    assert run("outbox", "replay", "one", "--all-dead").code == 2
