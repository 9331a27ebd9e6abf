"""``semel check EMAIL`` before a Supabase Auth server: each of its verdicts, over real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import msgspec
import pytest

from semel import Semel
from semel.checking import EmailState
from semel.cli.exits import Exit
from semel.config_names import PREFIX
from semel.errors import OutcomeUnknown
from semel.ports import Done
from tests.e2e.beyond import NetworkScene, Second
from tests.e2e.grounds import SqliteGround
from tests.e2e.network import Climate, Weather
from tests.e2e.scenes import Person

TIMEOUT = 2.0


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> SqliteGround:
    return SqliteGround(tmp_path_factory.mktemp("ground"))


@pytest.fixture
async def scene(second_semel: Second, ground: SqliteGround, tmp_path: Path) -> AsyncIterator[NetworkScene]:
    async with second_semel.scene(await ground.new(), Climate(TIMEOUT), tmp_path) as scene:
        yield scene


async def _nothing(_scene: NetworkScene, _semel: Semel, _person: Person) -> None:
    """Nobody has come yet."""


async def _whole(scene: NetworkScene, semel: Semel, person: Person) -> None:
    await scene.enter(semel, person)


async def _planted(scene: NetworkScene, _semel: Semel, person: Person) -> None:
    await scene.plant(person)


async def _forgotten(scene: NetworkScene, semel: Semel, person: Person) -> None:
    """Somebody deletes the identity in Supabase's own pages."""
    made = await scene.enter(semel, person)
    assert isinstance(await scene.provider.delete(made.account.id), Done)


async def _given(scene: NetworkScene, semel: Semel, person: Person) -> None:
    """Somebody gives the email to another person's identity in Supabase's own pages."""
    made = await scene.enter(semel, scene.person())
    assert isinstance(await scene.provider.update(made.account.id, email=person.email), Done)


async def _held(scene: NetworkScene, semel: Semel, person: Person) -> None:
    scene.network.next("create", Weather.RESET_AFTER)
    with pytest.raises(OutcomeUnknown):
        await scene.enter(semel, person)


async def _condemned(scene: NetworkScene, semel: Semel, person: Person) -> None:
    made = await scene.enter(semel, person)
    scene.network.next("delete", Weather.RESET)
    await semel.delete_account(made.account.id)


STATES: dict[EmailState, Callable[[NetworkScene, Semel, Person], Awaitable[None]]] = {
    EmailState.NOTHING: _nothing,
    EmailState.COMPLETE: _whole,
    EmailState.IDENTITY_ONLY: _planted,
    EmailState.ACCOUNT_ONLY: _forgotten,
    EmailState.OF_ANOTHER: _given,
    EmailState.IN_FLIGHT: _held,
    EmailState.REMOVAL_DUE: _condemned,
}


async def _check(scene: NetworkScene, second_semel: Second, *words: str) -> CompletedProcess[str]:
    named = {name: text for name, text in scene.environment.items() if name.startswith(PREFIX)}
    del named["SEMEL_DATABASE_URL"]
    # In a thread: meanwhile the network is to pass on what the command asks.
    return await asyncio.to_thread(second_semel.servers.run, "check", *words, database_url=scene.url, **named)


@pytest.mark.parametrize("state", EmailState)
async def test_each_verdict(scene: NetworkScene, second_semel: Second, state: EmailState) -> None:
    """In JSON and for people; with what to do next; and by the exit code whether anything is to be done."""
    person = scene.person()
    async with scene.opened() as (semel, _):
        await STATES[state](scene, semel, person)
    exit_code = Exit.OK if state is EmailState.COMPLETE else Exit.FINDING
    done, shown = await asyncio.gather(
        _check(scene, second_semel, person.email.upper(), "--json"), _check(scene, second_semel, person.email)
    )
    said = msgspec.json.decode(done.stdout)
    assert (said["state"], done.returncode) == (state, exit_code), done.stderr
    assert said["next"].count(" ") > 1
    assert (shown.returncode, state.value in shown.stdout) == (exit_code, True)


async def test_a_provider_that_is_not_there_is_no_verdict(scene: NetworkScene, second_semel: Second) -> None:
    """Try again, says the exit code; nothing is said of the email."""
    scene.network.target = "http://127.0.0.1:9"
    done = await _check(scene, second_semel, scene.person().email, "--json")
    assert (done.returncode, done.stdout) == (Exit.UNAVAILABLE, "")
