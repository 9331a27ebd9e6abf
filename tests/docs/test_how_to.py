"""The how-to pages of the web frameworks, followed to the letter with the real frameworks."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.docs.how_to import HowTo, send
from tests.servers import Servers, environment
from tests.services import free_port, run_apart

_PYTHON = Path(sys.executable)


@pytest.fixture
def database_url(servers: Servers, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    return url


@pytest.fixture
def fastapi(servers: Servers, postgres_database: str, tmp_path: Path) -> Iterator[str]:
    """The application of the FastAPI page under uvicorn, on PostgreSQL."""
    HowTo.read("fastapi").write_files(tmp_path)
    servers.migrate(postgres_database)
    port = free_port()
    command = [str(_PYTHON.with_name("uvicorn")), "main:app", "--port", str(port)]
    with servers.process(command, port, environment(postgres_database), tmp_path) as server:
        server.wait("/openapi.json")
        yield server.url


def test_fastapi(fastapi: str, postgres_database: str) -> None:
    """The page's requests answer what it says, twice as well as once, and its queries find whole accounts."""
    page = HowTo.read("fastapi")
    sign_up, keyed, sign_in = page.requests()
    for request in (sign_up, keyed):
        first, again = send(request, fastapi), send(request, fastapi)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["user_id"] == again.json()["user_id"]
    taken = send(sign_up.replace("Test User", "Another"), fastapi)
    assert taken.json()["errors"] == [
        {"field": "email", "code": "already_registered", "message": "Email is already registered"}
    ]
    said = send(sign_in, fastapi).json()
    assert said["account"]["onboarding_completed"] is False
    bearer = {"Authorization": f"Bearer {said['access_token']}"}
    assert httpx.get(f"{fastapi}/hello", headers=bearer).json() == {"hello": "Test User"}
    whole, halves = run_apart(_fetched(postgres_database, page.queries()))
    assert [(str(row["id"]), row["role"]) for row in whole] == [(said["account"]["id"], "Creator")]
    assert [row["halves"] for row in halves] == [0]


async def _fetched(url: str, queries: list[str]) -> list[list[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetch(query) for query in queries]
    finally:
        await connection.close()


def test_fastapi_own_door(fastapi: str) -> None:
    """A route of the application's own makes an account once."""
    answers = [httpx.post(f"{fastapi}/guests/guest@example.com") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_flask(servers: Servers, database_url: str, tmp_path: Path) -> None:
    """The page's application, started as the page says, makes one account of two submits and knows who calls."""
    page = HowTo.read("flask")
    page.write_files(tmp_path)
    port = free_port()
    command = [str(_PYTHON.with_name("flask")), "--app", "app", "run", "--port", str(port)]
    sign_up, sign_in = page.requests()
    with servers.process(command, port, environment(database_url), tmp_path) as server:
        server.wait("/")
        first, again = send(sign_up, server.url), send(sign_up, server.url)
        assert (first.status_code, first.json()) == (again.status_code, again.json())
        assert first.status_code == 201
        taken = send(sign_up.replace("name=Ada", "name=Eve"), server.url)
        assert (taken.status_code, taken.json()["errors"]) == (409, {"email": "Email is already registered"})
        bearer = {"Authorization": f"Bearer {send(sign_in, server.url).json()['access_token']}"}
        assert httpx.get(f"{server.url}/hello", headers=bearer).json() == {"hello": "Ada"}
        assert httpx.get(f"{server.url}/hello").status_code == 401


@pytest.fixture
def django(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[str]:
    """A new Django project with the page's application in it, under Django's own server."""
    subprocess.run([_PYTHON.with_name("django-admin"), "startproject", "mysite", tmp_path], check=True)
    HowTo.read("django").write_files(tmp_path)
    port = free_port()
    command = [str(_PYTHON), "manage.py", "runserver", "--noreload", str(port)]
    with servers.process(command, port, environment(database_url), tmp_path) as server:
        server.wait("/hello")
        yield server.url


def _submit(client: httpx.Client, **fields: str) -> httpx.Response:
    """Fill the form in and press its button."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/sign-up").text)
    assert token is not None
    return client.post("/sign-up", data={"csrfmiddlewaretoken": token[1], **fields})


def test_django(django: str) -> None:
    """Two submits are one account; a taken email is told beside its field; a view knows who calls."""
    person = {"full_name": "Ada", "email": "ada@example.com", "password": "an engine of 1843"}
    with httpx.Client(base_url=django) as client:
        answers = [_submit(client, **person) for _ in range(2)]
        assert [(answer.status_code, "Welcome, Ada." in answer.text) for answer in answers] == [(201, True)] * 2
        taken = _submit(client, **{**person, "full_name": "Eve"})
        assert taken.status_code == 409
        assert "Email is already registered" in taken.text
        assert client.get("/hello").json()["code"] == "invalid_token"
