"""A Supabase project by its settings: what stops the start, and people who sign up and in."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from semel import Semel, Settings
from semel.errors import ConfigurationInvalid, InvalidCredentials, InvalidToken, OutcomeUnknown, ProviderUnavailable
from semel.providers.supabase import open_supabase
from semel.system import SystemClock
from tests.providers.gotrue import ANON_KEY, SERVICE_KEY, GoTrue, problem
from tests.providers.supabase_parts import options
from tests.providers.web import Asked, Reply, WebServer

EMAIL = "ada@gmail.com"
PASSWORD = "Enchantress of Numbers"
HUSH = "hush-hush-hush"
ROOT = Path(__file__).parents[2]


def settings(url: str, **changes: object) -> Settings:
    given = {
        "database_url": "memory:",
        "provider_url": f"supabase+{url}",
        "supabase_service_key": SERVICE_KEY,
        "supabase_anon_key": ANON_KEY,
        "upkeep": False,
        **changes,
    }
    return Settings(_env_file=None, **given)


def token(role: str) -> str:
    """Return a key as those of a project were until 2025: a token that names its role."""
    parts = ({"alg": "HS256"}, {"role": role})
    return ".".join(
        [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + ["s"]
    )


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with WebServer(GoTrue()) as serving:
        yield serving


async def test_people_sign_up_and_in(server: WebServer) -> None:
    """With the provider's own tokens, under the id that Semel chose; the session ends, and its token is none then."""
    async with Semel(settings(server.url, supabase_confirm_emails=True)) as semel:
        account = (await semel.register(email=EMAIL, password=PASSWORD)).account
        signed_in = await semel.sign_in(EMAIL, PASSWORD)
        assert signed_in.account.id == account.id
        fresh = await semel.refresh(signed_in.tokens.refresh_token)
        await semel.sign_out(fresh.tokens.access_token)
        with pytest.raises(InvalidToken):
            await semel.refresh(fresh.tokens.refresh_token)
        with pytest.raises(InvalidToken):
            await semel.sign_out("no token of anybody")
        with pytest.raises(InvalidCredentials):
            await semel.sign_in(EMAIL, "wrong")
        metrics = (await semel.metrics_text()).decode()
    assert 'semel_provider_seconds_count{operation="create",outcome="Done"} 1.0' in metrics
    secrets = (SERVICE_KEY, ANON_KEY, PASSWORD, EMAIL, fresh.tokens.access_token, fresh.tokens.refresh_token)
    assert not [secret for secret in secrets if secret in metrics]


async def test_a_project_that_hangs_holds_up_nobody_beyond_its_queue() -> None:
    """One request is under way and none may wait: the next caller is answered 503 while the first still waits."""
    hanging, go = asyncio.Event(), asyncio.Event()
    gotrue = GoTrue()

    async def answering(asked: Asked) -> Reply | None:
        if asked.method == "POST":
            hanging.set()
            await go.wait()
        return await gotrue(asked)

    async with WebServer(answering) as server:
        few = {"provider_connections": 1, "provider_queue": 0, "provider_timeout_seconds": 60, "lease_seconds": 200}
        async with Semel(settings(server.url, **few)) as semel:
            first = asyncio.create_task(semel.register(email=EMAIL, password=PASSWORD))
            await hanging.wait()
            with pytest.raises(OutcomeUnknown) as refused:
                await semel.register(email="grace@gmail.com", password=PASSWORD)
            assert (refused.value.status, refused.value.retry_after, first.done()) == (503, 1.0, False)
            go.set()
            assert (await first).account.email == EMAIL


async def test_a_retry_under_the_same_key_has_the_same_answer(server: WebServer) -> None:
    """Also while the email is unconfirmed, when nobody may sign in: the password is compared all the same."""
    async with Semel(settings(server.url)) as semel:
        first = await semel.register(email=EMAIL, password=PASSWORD, idempotency_key="a key of sixteen")
        again = await semel.register(email=EMAIL, password=PASSWORD, idempotency_key="a key of sixteen")
        assert (again.account.id, again.replayed) == (first.account.id, True)
        with pytest.raises(InvalidCredentials):
            await semel.sign_in(EMAIL, PASSWORD)


async def test_a_provider_that_is_down_stops_no_start(server: WebServer) -> None:
    """It may come; until then it is unavailable."""
    await server.__aexit__(None, None, None)
    async with Semel(settings(server.url)) as semel:
        with pytest.raises(OutcomeUnknown):
            await semel.register(email=EMAIL, password=PASSWORD)
        with pytest.raises(ProviderUnavailable):
            await semel.sign_in(EMAIL, PASSWORD)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"supabase_service_key": None}, "SEMEL_SUPABASE_SERVICE_KEY is missing"),
        ({"supabase_anon_key": None}, "SEMEL_SUPABASE_ANON_KEY is missing"),
        ({"supabase_service_key": f"{HUSH}\n"}, "SEMEL_SUPABASE_SERVICE_KEY must be a key as Supabase shows it"),
        ({"supabase_anon_key": f"{HUSH}ö"}, "SEMEL_SUPABASE_ANON_KEY must be a key as Supabase shows it"),
        ({"supabase_anon_key": SERVICE_KEY}, "SEMEL_SUPABASE_ANON_KEY must be the anon or publishable key"),
        ({"supabase_anon_key": f"sb_secret_{HUSH}"}, "SEMEL_SUPABASE_ANON_KEY must be the anon or publishable key"),
        ({"supabase_anon_key": token("service_role")}, "SEMEL_SUPABASE_ANON_KEY must be the anon or publishable key"),
        ({"provider_url": "supabase+https:"}, "SEMEL_PROVIDER_URL must read supabase+https://HOST"),
        ({"provider_url": f"supabase+https://{HUSH}@host"}, "SEMEL_PROVIDER_URL must read supabase+https://HOST"),
        ({"provider_url": "supabase+https://host/auth/v1"}, "SEMEL_PROVIDER_URL must read supabase+https://HOST"),
        ({"provider_url": "supabase://host"}, "SEMEL_PROVIDER_URL must begin with one of embedded:"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes: dict[str, object], says: str) -> None:
    """In one line that names the variable, and never its value."""
    with pytest.raises(ConfigurationInvalid) as refused:
        settings("https://project.supabase.co", **changes)
    assert says in refused.value.detail
    assert not [secret for secret in (HUSH, SERVICE_KEY) if secret in refused.value.detail]


def test_keys_of_every_kind_are_taken() -> None:
    """Tokens of the anon role, publishable keys, and what a project of one's own has."""
    for key in (token("anon"), f"sb_publishable_{HUSH}", "a.b.c", "anything"):
        assert settings("https://project.supabase.co/", supabase_anon_key=key).supabase_options().base == (
            "https://project.supabase.co/auth/v1"
        )


@pytest.mark.parametrize("key", ["supabase_service_key", "supabase_anon_key"])
async def test_a_key_that_is_refused_stops_the_start(server: WebServer, key: str) -> None:
    """In one line that names it, whoever refuses it."""
    with pytest.raises(ConfigurationInvalid, match=f"^SEMEL_{key.upper()} is refused") as refused:
        async with Semel(settings(server.url, **{key: HUSH})):
            pass
    assert HUSH not in refused.value.detail
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize("reply", [Reply(404, "404 page not found"), Reply(200, "<html>Welcome</html>")])
async def test_an_address_that_is_another_servers_stops_the_start(reply: Reply) -> None:
    """Rather than every sign-up later."""

    async def answering(_: Asked) -> Reply | None:
        return reply

    async with WebServer(answering) as server:
        with pytest.raises(ConfigurationInvalid, match=r"^SEMEL_PROVIDER_URL leads to no Supabase Auth server"):
            async with Semel(settings(server.url)):
                pass


@pytest.mark.parametrize("reply", [None, Reply(503), problem(500, "unexpected_failure", "Database error")])
async def test_a_server_in_trouble_stops_no_start(reply: Reply | None) -> None:
    """Nothing is known of the keys."""

    async def answering(_: Asked) -> Reply | None:
        return reply

    async with WebServer(answering) as server:
        await (await open_supabase(options(server), SystemClock())).close()


async def test_the_contract_runs_on_a_provider_of_yours(server: WebServer) -> None:
    """As `make test-provider` does; it leaves nothing behind."""
    named = {
        "SEMEL_TEST_PROVIDER_URL": f"supabase+{server.url}",
        "SEMEL_TEST_SUPABASE_SERVICE_KEY": SERVICE_KEY,
        "SEMEL_TEST_SUPABASE_ANON_KEY": ANON_KEY,
    }
    command = sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/providers/yours.py"
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **named}, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert len(server.asked) > 100
    assert isinstance(server.answering, GoTrue)
    assert server.answering.provider.everybody() == ()
