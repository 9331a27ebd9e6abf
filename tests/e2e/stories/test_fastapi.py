"""A FastAPI sign-up on Supabase: the rename test that its authors did by hand, and the orphans they cleaned up."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest

from semel.model import Secret
from semel.ports import NewIdentity
from semel.testing import Fault
from semel.testing.fake_server import FakeProviderServer
from tests.e2e.site import SIGN_UP, key
from tests.servers import Servers, environment
from tests.services import free_port

LOGIN = "/api/auth/login"
MAIN = """
from semel import Row, Semel
from semel.http import create_app

columns = {"id": "id", "name": "full_name", "email": "email_canonical", "role": "role"}
app = create_app(semel=Semel(also=Row("public.profiles", columns)))
"""
PROFILES = "CREATE TABLE public.profiles (id uuid PRIMARY KEY, name text, email text UNIQUE, role text)"


@dataclass(frozen=True)
class Project:
    """The server with its profiles, its database, and the provider beside it."""

    servers: Servers
    database_url: str
    provider: FakeProviderServer
    client: httpx.AsyncClient

    def person(self, name: str) -> dict[str, str]:
        """Return the body of a sign-up as the document has it."""
        password = self.servers.secret()
        return {"name": "Test User", "email": f"{name}@example.com", "password": password, "role": "Creator"}

    async def sign_up(self, person: dict[str, str], named: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the answer's status and what it says."""
        answer = await self.client.post(SIGN_UP, json=person, headers=named)
        return answer.status_code, answer.json()

    async def say(self, *command: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the output of a command of ``semel``, run where the server runs."""
        run = self.servers.run
        done = await asyncio.to_thread(
            run, *command, "--json", database_url=self.database_url, SEMEL_PROVIDER_URL=self.provider.url
        )
        return done.returncode, msgspec.json.decode(done.stdout)

    async def sql(self, statement: str) -> list[Any]:
        """Run a statement as the database's administrator."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    @asynccontextmanager
    async def renamed(self) -> AsyncIterator[None]:
        """Take the profiles away, as the document does."""
        await self.sql("ALTER TABLE public.profiles RENAME TO profiles_backup")
        yield
        await self.sql("ALTER TABLE public.profiles_backup RENAME TO profiles")

    def emails(self) -> list[str | None]:
        """Return the emails of all identities at the provider."""
        return [one.email for one in self.provider.provider.everybody()]


@pytest.fixture
def database_url(servers: Servers, postgres_database: str) -> str:
    servers.migrate(postgres_database)
    return postgres_database


@pytest.fixture
async def project(servers: Servers, database_url: str, tmp_path: Path) -> AsyncIterator[Project]:
    (tmp_path / "main.py").write_text(MAIN)
    port = free_port()
    command = [str(Path(sys.executable).with_name("uvicorn")), "main:app", "--port", str(port)]
    async with FakeProviderServer() as provider:
        variables = environment(database_url, {"SEMEL_PROVIDER_URL": provider.url, "SEMEL_UPKEEP": "false"})
        with servers.process(command, port, variables, tmp_path) as server:
            await asyncio.to_thread(server.wait, "/readyz")
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                project = Project(servers, database_url, provider, client)
                await project.sql(PROFILES)
                yield project


async def test_the_rename_test(project: Project) -> None:
    """Without its table no profile can be written: the answer says that the identity is removed, and nothing is left.

    The same request, under the same key, succeeds once the table is back.
    """
    person, named = project.person("rollback.test"), key()
    async with project.renamed():
        status, said = await project.sign_up(person, named)
        assert (status, said["code"], said["identity"]) == (409, "application_refused", "removed")
        assert project.emails() == []
        assert await project.sql("SELECT id FROM semel.accounts UNION ALL SELECT value FROM semel.identifiers") == []
        _, shown = await project.say("registration", "show", said["registration_id"])
        assert (shown["state"], shown["failure"], shown["identity"]) == ("failed", "application_refused", "removed")
    status, said = await project.sign_up(person, named)
    assert (status, project.emails()) == (201, [person["email"]])
    assert await project.sql("SELECT id::text, email FROM public.profiles") == [(said["user_id"], person["email"])]


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DOWN, Fault.LOSE])
async def test_the_rename_test_where_the_deletion_fails(project: Project, fault: Fault) -> None:
    """What was a line in a log is a durable removal: the answer says that it is due, and the next pass ends it."""
    person, named = project.person("rollback.test"), key()
    project.provider.plan.next("delete", fault)
    async with project.renamed():
        status, said = await project.sign_up(person, named)
    assert (status, said["code"], said["identity"]) == (409, "application_refused", "removal_due")
    _, shown = await project.say("registration", "show", said["registration_id"])
    there = fault is not Fault.LOSE  # then only the answer was lost, which a look finds out
    assert (shown["identity"], shown["next_look_at"] is not None) == ("removal_due" if there else "removed", True)
    assert (await project.say("check", person["email"]))[1]["state"] == ("removal_due" if there else "nothing")
    await project.say("upkeep", "--once")
    assert project.emails() == []
    _, shown = await project.say("registration", "show", said["registration_id"])
    assert shown["identity"] == "removed"
    assert (await project.sign_up(person, named))[0] == 201
    assert project.emails() == [person["email"]]


async def test_an_orphan_is_healed_by_its_owner(project: Project) -> None:
    """An identity whose profile was never made: a sign-up is told whose the email is, and a sign-in makes the rest."""
    person = project.person("orphan")
    orphan = NewIdentity(str(uuid4()), person["email"], Secret(person["password"]), confirmed=True)
    await project.provider.provider.create(orphan)
    status, said = await project.sign_up(project.person("orphan"), key())
    assert (status, said["code"], said["errors"][0]["field"]) == (409, "identity_already_exists", "email")
    assert "identity" not in said  # none of this registration's was ever made
    code, found = await project.say("check", person["email"])
    assert (code, found["state"]) == (1, "identity_only")
    assert "signs in" in found["next"]
    credentials = {"email": person["email"], "password": person["password"]}
    async with project.renamed():
        refused = await project.client.post(LOGIN, json=credentials)
        assert (refused.status_code, refused.json()["code"]) == (409, "application_refused")
    assert (await project.client.post(LOGIN, json=credentials)).status_code == 200
    code, found = await project.say("check", person["email"])
    assert (code, found["state"]) == (0, "complete")
    assert found["account_id"] == orphan.id
    assert await project.sql("SELECT id::text, email FROM public.profiles") == [(orphan.id, person["email"])]
