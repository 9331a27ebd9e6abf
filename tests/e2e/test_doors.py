"""The doors of an administrator and of an invitation, raced over two server processes on PostgreSQL."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from semel import Scope, Semel, Settings
from semel.model import Account, ApiKey, Identifier, Identity, Invitation, KeyRecord
from semel.ports import Delete
from semel.states import IdentityState, InvitationState
from semel.system import SystemIds
from semel.testing.fake_provider import State
from semel.testing.fake_server import FakeProviderServer
from semel.testing.invariants import Snapshot, at_rest, records_of
from tests.e2e.crowd import Crowd, Json
from tests.e2e.killing import open_store
from tests.e2e.snapshot import take
from tests.scale import SCALE
from tests.servers import Server, Servers
from tests.services import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CROWDS = SCALE.pick([10, 100], [10, 100, 1000])
AGAIN = 100
ROUNDS = SCALE.pick(5, 50)

Answers = Sequence[httpx.Response]


@dataclass(frozen=True)
class Doors:
    """Two servers over one database, and what lets in there as an administrator."""

    servers: Servers
    url: str = field(repr=False)
    both: tuple[Server, Server]
    fake: FakeProviderServer | None
    key: dict[str, str] = field(repr=False)
    mail: Path

    async def ask(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.both[0].url, headers=self.key, timeout=60) as client:
            return await client.request(method, path, json=body)

    def person(self) -> dict[str, Any]:
        return {"email": f"{uuid4().hex}@example.com", "password": self.servers.secret()}

    async def invited(self, email: str) -> str:
        """Invite an email and return the token, which no server may ever print."""
        answer = await self.ask("POST", "/api/invitations", {"email": email, "role": "Editor"})
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["token"]
        return self.servers.hide(token)

    async def upkeep(self) -> None:
        """Make one pass; the servers make none, so nobody else has taken what is due."""
        at = {"provider_url": self.fake.url} if self.fake else {}
        settings = Settings(_env_file=None, database_url=self.url, upkeep=False, mail_directory=self.mail, **at)
        async with Semel(settings) as semel:
            await semel.upkeep_once()

    async def empty(self) -> None:
        """Take away whatever an earlier test has left."""
        async with open_store(self.url) as store:
            gone = [one for one in await records_of(store) if not isinstance(one, KeyRecord | ApiKey)]
            await store.commit([Delete(one) for one in gone], SystemIds().token())
        if self.fake is not None:
            self.fake.provider.state = State()

    async def look(self) -> Snapshot:
        async with open_store(self.url) as store:
            return await take(store, self.fake.provider if self.fake else None)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["embedded", "remote"])
async def standing(
    request: pytest.FixtureRequest,
    servers: Servers,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(postgres.database())
        servers.migrate(url)
        async with Semel(Settings(_env_file=None, database_url=url, upkeep=False)) as semel:
            token = servers.hide((await semel.create_api_key("of the tests", tuple(Scope))).token.reveal())
        remote = request.param == "remote"
        fake = await stack.enter_async_context(FakeProviderServer()) if remote else None
        # So many connections take their time to come, a body ends when all are there, and the provider is this process.
        settings = {"SEMEL_UPKEEP": "false", "SEMEL_BODY_SECONDS": "60", "SEMEL_WAIT_SECONDS": "60"}
        settings |= {"SEMEL_PROVIDER_URL": fake.url} if fake else {}
        first, second = (stack.enter_context(servers.starting(url, **settings)) for _ in range(2))
        for server in (first, second):
            server.wait("/readyz")
        key, mail = {"Authorization": f"Bearer {token}"}, tmp_path_factory.mktemp("mail")
        yield Doors(servers, url, (first, second), fake, key, mail)


@pytest_asyncio.fixture(loop_scope="module")
async def doors(standing: Doors) -> Doors:
    """The same servers for all tests; each finds them empty."""
    await standing.empty()
    return standing


def codes(answers: Answers) -> Counter[tuple[int, str | None]]:
    """Count the answers by status and code."""
    return Counter((one.status_code, one.json().get("code") if one.content else None) for one in answers)


def keys(number: int) -> list[Mapping[str, str]]:
    """Return a header with a key of its own for each caller."""
    return [{"Idempotency-Key": str(uuid4())} for _ in range(number)]


@pytest.mark.parametrize("size", CROWDS)
async def test_a_crowd_accepts_one_invitation(doors: Doors, size: int) -> None:
    """With different bodies and keys: one account, one identity; all others are told that it is used."""
    email = f"{uuid4().hex}@example.com"
    token = await doors.invited(email)
    bodies = [{"password": doors.servers.secret(), "full_name": f"Ada {number}"} for number in range(size)]
    async with Crowd(doors.both, size) as crowd:
        heads = keys(size)
        path = f"/api/invitations/{token}/accept"
        answers = await crowd.send("POST", path, bodies, heads)
        assert codes(answers) == {(201, None): 1, (409, "invitation_used"): size - 1}
        won = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    # A remote provider is asked for the password each time: as many as it can answer in time.
    async with Crowd(doors.both, min(size, AGAIN)) as crowd:
        again = await crowd.send("POST", path, [bodies[won]] * crowd.size, [heads[won]] * crowd.size)
    assert {(one.status_code, one.json()["user_id"]) for one in again} == {(201, answers[won].json()["user_id"])}
    await doors.upkeep()
    seen = await doors.look()
    assert at_rest(seen) == []
    (account,), (invitation,) = seen.all(Account), seen.all(Invitation)
    assert (account.email, account.full_name, account.role) == (email, f"Ada {won}", "Editor")
    assert (invitation.state, invitation.account_id) == (InvitationState.ACCEPTED, account.id)
    assert [one.id for one in seen.all(Identity) if one.state is IdentityState.OWNED] == [account.id]
    if seen.identities is not None:
        assert [one.identity_id for one in seen.identities] == [account.id]


async def test_racing_creates_and_deletes(doors: Doors) -> None:
    """Of ten that make one account one does; of ten that delete it one does; and nothing is left."""
    async with Crowd(doors.both) as crowd:
        for _ in range(ROUNDS):
            person = {**doors.person(), "username": f"u{uuid4().hex[:20]}"}
            bodies = [{**person, "full_name": f"Ada {number}"} for number in range(crowd.size)]
            made = await crowd.send("POST", "/api/users", bodies, [doors.key] * crowd.size)
            assert codes(made) == {(201, None): 1, (409, "user_already_exists"): crowd.size - 1}
            account_id = next(one.json()["id"] for one in made if one.status_code == 201)
            empty: list[Json] = [{}] * crowd.size
            gone = await crowd.send("DELETE", f"/api/users/{account_id}", empty, [doors.key] * crowd.size)
            assert codes(gone) == {(204, None): 1, (404, "not_found"): crowd.size - 1}
    seen = await doors.look()
    assert (seen.all(Account), seen.all(Identifier)) == ([], [])
    assert not seen.identities


async def test_a_crowd_with_one_etag(doors: Doors) -> None:
    """One change is made, all others are told that the account is another by now."""
    account = (await doors.ask("POST", "/api/users", doors.person())).json()
    path = f"/api/users/{account['id']}"
    async with Crowd(doors.both) as crowd:
        for _ in range(ROUNDS):
            tag = (await doors.ask("GET", path)).headers["etag"]
            bodies = [{"username": f"u{uuid4().hex[:20]}"} for _ in range(crowd.size)]
            answers = await crowd.send("PATCH", path, bodies, [{**doors.key, "If-Match": tag}] * crowd.size)
            assert codes(answers) == {(200, None): 1, (412, "precondition_failed"): crowd.size - 1}
    seen = await doors.look()
    (one,) = seen.all(Account)
    assert {found.name for found in seen.all(Identifier)} == set(one.identifiers)


async def test_who_is_switched_off_is_kept_out(doors: Doors) -> None:
    """At once, by both servers, and at a remote provider too."""
    person = doors.person()
    account = (await doors.ask("POST", "/api/users", person)).json()
    assert (await doors.ask("PATCH", f"/api/users/{account['id']}", {"is_active": False})).status_code == 200
    for server in doors.both:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.post("/api/auth/login", json=person)).status_code in {401, 403}
    seen = await doors.look()
    if seen.identities is not None:
        assert [one.disabled for one in seen.identities] == [True]
        assert [one.wanted_disabled for one in seen.all(Identity)] == [True]
