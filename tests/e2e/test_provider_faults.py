"""A remote provider that refuses, is down, slow or silent, comes late, or has something there already: over real wires.

Servers are processes, the provider is behind a socket, and what the caller sees is HTTP.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from semel.model import Secret
from semel.testing import Fault, Variant
from semel.testing.fake_server import FakeProviderServer
from tests.e2e.scenes import LOGIN, Scene, Stage
from tests.e2e.snapshot import account, condemned, pending
from tests.proxy import Proxy
from tests.scale import SCALE

pytestmark = pytest.mark.parametrize("stage", SCALE.pick(["postgres"], ["sqlite", "postgres"]), indirect=True)

UNANSWERED = [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.DOWN]


@pytest.fixture
def variant() -> Variant:
    return Variant.OWN


@pytest.fixture
async def scene(stage: Stage, variant: Variant) -> AsyncIterator[Scene]:
    async with stage.scene(variant) as scene:
        yield scene


@pytest.fixture
def remote(scene: Scene) -> FakeProviderServer:
    assert scene.remote is not None
    return scene.remote


@pytest.fixture
async def client(scene: Scene) -> httpx.AsyncClient:
    return await scene.server()


def _told(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code; an answer to come back later must say when, and of what registration it speaks."""
    problem = answer.json()
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0
        assert problem["registration_id"]
    return answer.status_code, problem["code"]


async def _later(scene: Scene) -> httpx.AsyncClient:
    """Return a caller at a server that is started once every lease is over."""
    await scene.over()
    return await scene.server()


@pytest.mark.parametrize("fault", UNANSWERED)
async def test_an_unknown_outcome_is_found_out_by_the_same_key(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient, fault: Fault
) -> None:
    """503, whatever became of the request; the same key has the one success, though the first request lands last."""
    remote.plan.next("create", fault)
    person = scene.person()
    assert _told(await scene.ask(client, person)) == (503, "outcome_unknown")
    later = await _later(scene)
    assert (await scene.ask(later, person)).status_code == 201
    remote.provider.land()
    stolen = replace(person, password=scene.password())
    assert _told(await scene.ask(later, stolen)) == (422, "idempotency_key_reused")
    await scene.sign_in(later, person)
    assert len((await scene.rest()).identities or ()) == 1


@pytest.mark.parametrize("fault", UNANSWERED)
async def test_an_unknown_outcome_that_nobody_asks_for_is_ended_by_upkeep(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient, fault: Fault
) -> None:
    """Only an answer was lost: there is an account. Else nothing is left, though the request lands in the end."""
    remote.plan.next("create", fault)
    person = scene.person()
    assert _told(await scene.ask(client, person)) == (503, "outcome_unknown")
    await scene.over()
    async with scene.opened() as (semel, _):
        await semel.upkeep_once()
    remote.provider.land()
    rested = await scene.rest()
    assert (account(rested, person.email) is not None) == (fault is Fault.LOSE)
    if fault is not Fault.LOSE:
        person = scene.again(person)
        assert (await scene.ask(client, person)).status_code == 201
    await scene.sign_in(client, person)


async def test_a_refusal_is_told_and_leaves_nothing(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """422 with the provider's reason; the email is free at once, also for the same key."""
    remote.plan.next("create", Fault.REFUSE)
    person = scene.person()
    refused = await scene.ask(client, person)
    assert _told(refused) == (422, "provider_refused")
    assert refused.json()["registration_id"]
    assert (await scene.ask(client, person)).status_code == 201
    assert len((await scene.rest()).identities or ()) == 1


async def test_a_request_that_arrives_twice_makes_one_identity(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """The second of the two is told that the identity is there: it is ours, and the password is its own."""
    remote.plan.next("create", Fault.TWICE)
    person = scene.person()
    assert (await scene.ask(client, person)).status_code == 201
    assert len((await scene.rest()).identities or ()) == 1


async def test_a_slow_provider_is_waited_for(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """An answer within the time-out is an answer."""
    remote.provider.timeout = 0.2
    remote.plan.always(Fault.SLOW)
    person = scene.person()
    assert (await scene.ask(client, person)).status_code == 201
    await scene.sign_in(client, person)


async def test_a_provider_that_nobody_reaches(scene: Scene, remote: FakeProviderServer) -> None:
    """Refused connections are an unknown outcome, too; once it is there again all goes well."""
    async with Proxy.before(remote.url) as proxy:
        scene.provider_url = proxy.through(remote.url)
        client = await scene.server()
        await proxy.down()
        person = scene.person()
        assert _told(await scene.ask(client, person)) == (503, "outcome_unknown")
        await proxy.up()
        assert (await scene.ask(await _later(scene), person)).status_code == 201
        assert len((await scene.rest()).identities or ()) == 1


async def test_a_provider_that_answers_too_late(scene: Scene, client: httpx.AsyncClient) -> None:
    """503 after the time-out, though the request goes on and has its effect."""
    held = scene.hold("create")
    person = scene.person()
    assert _told(await scene.ask(client, person)) == (503, "outcome_unknown")
    held.let_go()
    assert (await scene.ask(await _later(scene), person)).status_code == 201
    assert len((await scene.rest()).identities or ()) == 1


@pytest.mark.parametrize("operation", ["find", "verify_password"])
async def test_a_doubt_on_the_way_to_the_same_success(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient, operation: str
) -> None:
    """The identity is there; while the provider does not say so, or verifies no password, nobody is told of success."""
    remote.plan.next("create", Fault.LOSE)
    person = scene.person()
    assert _told(await scene.ask(client, person)) == (503, "outcome_unknown")
    remote.plan.next(operation, Fault.DROP)
    assert _told(await scene.ask(await _later(scene), person)) == (503, "outcome_unknown")
    assert (await scene.ask(await _later(scene), person)).status_code == 201
    assert len((await scene.rest()).identities or ()) == 1


@pytest.mark.parametrize("variant", list(Variant))
async def test_somebody_elses_identity_is_left_alone(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """409 that says where the email is taken; the identity stays, and the username is free."""
    person = scene.person()
    scene.foreign.append(remote.provider.plant(person.email, Secret(scene.password())))
    refused = await scene.ask(client, person)
    assert _told(refused) == (409, "identity_already_exists")
    assert [fault["field"] for fault in refused.json()["errors"]] == ["email"]
    rested = await scene.rest()
    assert account(rested, person.email) is None
    assert [one.provider_id for one in rested.identities or ()] == scene.foreign
    other = replace(person, email=scene.person().email)
    assert (await scene.ask(client, other)).status_code == 201


@pytest.mark.parametrize("variant", [Variant.MARKER])
async def test_a_marker_of_ours_on_somebody_elses_identity_is_forged(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """A marker that was copied from one of ours proves nothing where the email is another."""
    assert (await scene.ask(client, scene.person())).status_code == 201
    (ours,) = remote.provider.state.identities
    person = scene.person()
    scene.foreign.append(remote.provider.plant(person.email, label=ours.label))
    assert _told(await scene.ask(client, person)) == (409, "identity_already_exists")
    assert len((await scene.rest()).identities or ()) == 2


async def test_what_is_left_of_a_deleted_account_is_removed_on_the_way(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """The provider did not delete the identity with the account; the email's next owner does not wait for upkeep."""
    person = scene.person()
    account_id = (await scene.ask(client, person)).json()["user_id"]
    remote.plan.next("delete", Fault.DROP)
    async with scene.opened() as (semel, _):
        await semel.delete_account(account_id)
    assert len(remote.provider.state.identities) == 1
    next_owner = scene.again(person)
    assert (await scene.ask(client, next_owner)).status_code == 201
    assert account_id not in {one.provider_id for one in remote.provider.state.identities}
    assert _told(await scene.ask(client, person)) == (410, "registration_withdrawn")
    await scene.rest()


async def test_upkeep_waits_for_a_provider_that_is_down(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient
) -> None:
    """Rescue and removal end nothing on a guess, however late it is: they come again until the provider answers."""
    left = [scene.person(), scene.person()]
    remote.plan.next("create", Fault.LOSE, Fault.REFUSE)
    for person in left:
        await scene.ask(client, person)
    remote.plan.always(Fault.DOWN)
    async with scene.opened() as (semel, _):
        for _ in range(3):
            await semel.upkeep_once()
            scene.clock.ahead += timedelta(hours=1)
    remote.plan.lift()
    seen = await scene.look()
    assert (len(pending(seen)), len(condemned(seen))) == (1, 1)
    rested = await scene.rest()
    assert [account(rested, person.email) is not None for person in left] == [True, False]


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DOWN])
async def test_sessions_of_a_provider_that_does_not_answer(
    scene: Scene, remote: FakeProviderServer, client: httpx.AsyncClient, fault: Fault
) -> None:
    """503 with ``Retry-After``, never 401: nobody is told that a password or a token is wrong."""
    person = scene.person()
    await scene.ask(client, person)
    tokens = await scene.sign_in(client, person)
    remote.plan.always(fault)
    asked = [
        await client.post(LOGIN, json=person.credentials),
        await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]}),
        await client.post("/api/auth/logout", headers={"Authorization": f"Bearer {tokens['access_token']}"}),
    ]
    remote.plan.lift()
    assert {(answer.status_code, answer.json()["code"]) for answer in asked} == {(503, "provider_unavailable")}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in asked)
    await scene.sign_in(client, person)
