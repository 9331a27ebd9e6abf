"""Callers that hang up, and servers told to stop, in the middle of a registration at a slow remote provider."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from semel.testing import Variant
from semel.testing.invariants import at_rest
from tests.e2e.grounds import KINDS
from tests.e2e.scenes import Scene, Stage, caller
from tests.e2e.snapshot import account
from tests.scale import SCALE
from tests.servers import Server

pytestmark = pytest.mark.parametrize("stage", SCALE.pick(["sqlite"], KINDS), indirect=True)

PATIENT = {
    "SEMEL_PROVIDER_TIMEOUT_SECONDS": "60",
    "SEMEL_LEASE_SECONDS": "120",
    # Far shorter than the lease: who comes second goes on at once, or is turned away.
    "SEMEL_WAIT_SECONDS": "1",
}
"""Nothing ends here because of the time that it takes."""


@pytest.fixture
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    async with stage.scene(Variant.OWN) as scene:
        scene.variables |= PATIENT
        yield scene


async def _hang_up(asking: asyncio.Task[httpx.Response]) -> None:
    """Close the connection of a request."""
    asking.cancel()
    await asyncio.wait([asking])


async def _says(server: Server, words: str) -> None:
    """Return once the server has printed the words."""
    while words not in server.output():  # noqa: ASYNC110 - another process sets no event of ours
        await asyncio.sleep(0.02)


async def test_a_caller_who_hangs_up_strands_nothing(scene: Scene) -> None:
    """The registration goes on without its caller, and without upkeep."""
    held = scene.hold("create")
    client, person = await scene.server(), scene.person()
    asking = asyncio.create_task(scene.ask(client, person))
    await held.there.get()
    await _hang_up(asking)
    held.let_go()
    while not account(await scene.look(), person.email):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.02)
    await scene.sign_in(client, person)
    assert at_rest(await scene.look(), scene.told) == []


@pytest.mark.parametrize(
    ("hangs_up", "waits_for"), [(True, "Waiting for application shutdown"), (False, "Waiting for connections to close")]
)
async def test_a_server_told_to_stop_ends_the_registrations_in_flight(
    scene: Scene,
    hangs_up: bool,  # noqa: FBT001 - a parameter of pytest
    waits_for: str,
) -> None:
    """Who waits gets the answer, who has hung up has an account; the server ends with 0, and leaves nothing to do."""
    held, person = scene.hold("create"), scene.person()
    with scene.real_server() as server:
        async with caller(server.url) as client:
            asking = asyncio.create_task(scene.ask(client, person))
            await held.there.get()
            if hangs_up:
                await _hang_up(asking)
            stopped = asyncio.create_task(asyncio.to_thread(server.stop))
            await _says(server, waits_for)
            held.let_go()
            assert hangs_up or (await asking).status_code == 201
            assert await stopped == 0
    seen = await scene.look()
    assert account(seen, person.email) is not None
    assert at_rest(seen, scene.told) == []


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_server_that_stops_gives_its_leases_up(scene: Scene, comes_back: bool) -> None:  # noqa: FBT001
    """It does not wait for ever for a provider, and says so; the next server, or upkeep, goes on at once."""
    held, person = scene.hold("create"), scene.person()
    scene.variables["SEMEL_SHUTDOWN_SECONDS"] = "1"
    with scene.real_server() as server:
        async with caller(server.url) as client:
            asking = asyncio.create_task(scene.ask(client, person))
            await held.there.get()
            assert await asyncio.to_thread(server.stop) == 0
            given_up = await asking
            assert (given_up.status_code, given_up.json()["code"]) == (503, "outcome_unknown")
            assert given_up.headers["Retry-After"]
    if comes_back:
        assert (await scene.ask(await scene.server(), person)).status_code == 201
    else:
        async with scene.opened() as (semel, _):
            assert (await semel.upkeep_once())["rescue"] == 1
    held.let_go()
    assert (account(await scene.rest(), person.email) is not None) == comes_back
