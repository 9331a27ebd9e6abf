"""A realm by its settings: what stops the start, and people who sign up and in."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from semel import Semel, Settings
from semel.checking import EmailState
from semel.errors import (
    ConfigurationInvalid,
    InvalidCredentials,
    InvalidToken,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
)
from semel.model import Secret
from semel.ports import Done, Exists, NewIdentity, Unknown
from semel.system import SystemIds
from tests.keycloak import Keycloak
from tests.keycloak_realms import CLIENT, PEOPLE, SECRET
from tests.providers.keycloak_parts import Realm, forwarding, opened
from tests.providers.web import Asked, Reply, WebServer

PASSWORD = "Enchantress of 1815"
HUSH = "hush-hush-hush"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start


def email() -> str:
    return f"ada{SystemIds().uuid()}@gmail.com"


def settings(url: str, **changes: object) -> Settings:
    given = {
        "database_url": "memory:",
        "provider_url": url,
        "provider_timeout_seconds": 10,
        "keycloak_client_id": CLIENT,
        "keycloak_client_secret": SECRET,
        "upkeep": False,
        **changes,
    }
    return Settings(_env_file=None, **given)


async def test_people_sign_up_and_in(keycloak: Keycloak) -> None:
    """With the provider's own tokens, under the id that Semel chose; the session ends, and its token is none then."""
    address = email()
    async with Semel(settings(keycloak.realm())) as semel:
        account = (await semel.register(email=address, password=PASSWORD, idempotency_key="a key of sixteen")).account
        again = await semel.register(email=address, password=PASSWORD, idempotency_key="a key of sixteen")
        assert (again.account.id, again.replayed) == (account.id, True)
        signed_in = await semel.sign_in(address, PASSWORD)
        assert signed_in.account.id == account.id
        fresh = await semel.refresh(signed_in.tokens.refresh_token)
        await semel.sign_out(fresh.tokens.access_token)
        with pytest.raises(InvalidToken):
            await semel.refresh(fresh.tokens.refresh_token)
        with pytest.raises(InvalidCredentials):
            await semel.sign_in(address, "wrong")
        metrics = (await semel.metrics_text()).decode()
    secrets = (SECRET, PASSWORD, address, fresh.tokens.access_token, fresh.tokens.refresh_token)
    assert not [secret for secret in secrets if secret in metrics]


async def test_an_email_is_checked_on_both_sides(keycloak: Keycloak) -> None:
    """As `semel check` does: complete, and an identity alone, which signs in and then has an account."""
    realm, lonely = Realm(keycloak), email()
    credentials = [{"type": "password", "value": PASSWORD}]
    theirs = await realm.add(username=SystemIds().uuid(), email=lonely, emailVerified=True, credentials=credentials)
    await realm.close()
    async with Semel(settings(keycloak.realm())) as semel:
        address = email()
        account = (await semel.register(email=address, password=PASSWORD)).account
        seen = await semel.check(address)
        assert (seen.state, seen.account_id) == (EmailState.COMPLETE, account.id)
        assert (await semel.check(lonely)).state is EmailState.IDENTITY_ONLY
        assert (await semel.sign_in(lonely, PASSWORD)).account.id == theirs
        assert (await semel.check(lonely)).state is EmailState.COMPLETE


async def test_a_username_of_ones_own_is_the_realms_too(keycloak: Keycloak) -> None:
    """Where the settings say so."""
    realm, name = Realm(keycloak), f"ada{SystemIds().uuid()[:13]}"
    async with Semel(settings(keycloak.realm(), keycloak_own_usernames=True)) as semel:
        await semel.register(email=email(), username=name, password=PASSWORD)
    (user,) = (await realm.ask("GET", "/users", params={"username": name, "exact": "true"})).json()
    await realm.close()
    assert user["username"] == name


async def test_a_password_against_the_realms_policy_is_refused(keycloak: Keycloak) -> None:
    """With the field, and the email is free at once."""
    address = email()
    async with Semel(settings(keycloak.realm("strict"))) as semel:
        with pytest.raises(ProviderRefused) as refused:
            await semel.register(email=address, password="no digits in it")
        assert [fault.field for fault in refused.value.errors] == ["password"]
        await semel.register(email=address, password=PASSWORD)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keycloak_client_id": None}, "SEMEL_KEYCLOAK_CLIENT_ID is missing"),
        ({"keycloak_client_secret": None}, "SEMEL_KEYCLOAK_CLIENT_SECRET is missing"),
        ({"keycloak_client_secret": f"{HUSH} x"}, "SEMEL_KEYCLOAK_CLIENT_SECRET must be as Keycloak shows it"),
        ({"keycloak_sign_in_client_id": "x"}, "SEMEL_KEYCLOAK_SIGN_IN_CLIENT_SECRET go together"),
        ({"provider_url": "keycloak+https://host"}, "SEMEL_PROVIDER_URL must read keycloak+https://HOST/realms/NAME"),
        ({"provider_url": f"keycloak+https://{HUSH}@h/realms/x"}, "SEMEL_PROVIDER_URL must read keycloak+https://HOST"),
        ({"provider_url": "keycloak+https://host/realms/x/y"}, "SEMEL_PROVIDER_URL must read keycloak+https://HOST"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes: dict[str, object], says: str) -> None:
    """In one line that names the variable, and never its value."""
    with pytest.raises(ConfigurationInvalid) as refused:
        settings("keycloak+https://host/realms/shop", **changes)
    assert says in refused.value.detail
    assert HUSH not in refused.value.detail


def test_a_server_below_a_path_is_reached() -> None:
    """As Keycloak was until version 17, and as proxies have it."""
    options = settings("keycloak+https://host:8443/auth/realms/shop/").keycloak_options()
    assert options.realm_url == "https://host:8443/auth/realms/shop"
    assert options.admin_url == "https://host:8443/auth/admin/realms/shop"


@pytest.mark.parametrize(
    ("realm", "changes", "says"),
    [
        ("nowhere", {}, "^SEMEL_PROVIDER_URL names a realm that the server does not have$"),
        ("semel", {"keycloak_client_id": "nobody"}, "^SEMEL_KEYCLOAK_CLIENT_ID or .* is refused"),
        ("semel", {"keycloak_client_secret": HUSH}, "^SEMEL_KEYCLOAK_CLIENT_SECRET is refused"),
        ("semel", {"keycloak_client_id": PEOPLE}, "^SEMEL_KEYCLOAK_CLIENT_SECRET is refused, or .* no service account"),
        ("semel", {"keycloak_client_id": "sees-nobody"}, "may not manage users: give .* manage-users"),
        ("semel", {"keycloak_client_id": "only-sees"}, "may not manage users: give .* manage-users"),
        ("semel", {"keycloak_client_id": "may-nothing"}, "may not manage users: give .* manage-users"),
        ("semel", {"keycloak_client_id": "grants-nothing"}, '^SEMEL_KEYCLOAK_CLIENT_ID .* "Direct access grants"'),
        (
            "semel",
            {"keycloak_sign_in_client_id": "grants-nothing", "keycloak_sign_in_client_secret": SECRET},
            '^SEMEL_KEYCLOAK_SIGN_IN_CLIENT_ID .* "Direct access grants"',
        ),
        (
            "semel",
            {"keycloak_sign_in_client_id": PEOPLE, "keycloak_sign_in_client_secret": HUSH},
            "^SEMEL_KEYCLOAK_SIGN_IN_CLIENT_ID or SEMEL_KEYCLOAK_SIGN_IN_CLIENT_SECRET is refused",
        ),
        ("email-as-username", {}, '^SEMEL_PROVIDER_URL leads to a realm that has "Email as username" switched on'),
        ("undeclared", {}, "^SEMEL_PROVIDER_URL leads to a realm whose user profile lacks the attribute semel_id"),
        ("forgeable", {}, "^SEMEL_PROVIDER_URL leads to a realm whose user profile lacks the attribute semel_id"),
    ],
)
async def test_a_realm_that_is_not_as_it_must_be_stops_the_start(
    keycloak: Keycloak, realm: str, changes: dict[str, object], says: str
) -> None:
    """In one line that says what to do: each would go wrong at every sign-up, or without a word."""
    with pytest.raises(ConfigurationInvalid, match=says) as refused:
        async with Semel(settings(keycloak.realm(realm), **changes)):
            pass
    assert "\n" not in refused.value.detail
    assert not [secret for secret in (HUSH, SECRET) if secret in refused.value.detail]


@pytest.mark.parametrize("reply", [Reply(404, "404 page not found"), Reply(200, "<html>Welcome</html>")])
async def test_an_address_that_is_another_servers_stops_the_start(reply: Reply) -> None:
    """Rather than every sign-up later."""

    async def answering(_: Asked) -> Reply | None:
        return reply

    async with WebServer(answering) as server:
        with pytest.raises(ConfigurationInvalid, match=r"^SEMEL_PROVIDER_URL leads to no Keycloak server"):
            async with Semel(settings(f"keycloak+{server.url}/realms/shop")):
                pass


async def test_a_provider_that_is_down_stops_no_start() -> None:
    """It may come; until then it is unavailable."""

    async def never(_: Asked) -> Reply | None:
        return None

    async with WebServer(never) as gone:
        pass
    async with Semel(settings(f"keycloak+{gone.url}/realms/shop")) as semel:
        with pytest.raises(OutcomeUnknown):
            await semel.register(email=email(), password=PASSWORD)
        with pytest.raises(ProviderUnavailable):
            await semel.sign_in(email(), PASSWORD)


@pytest.mark.parametrize("realm", ["semel", "undeclared"])
async def test_a_realm_that_was_silent_at_the_start_is_looked_at_before_a_create(
    keycloak: Keycloak, realm: str
) -> None:
    """One that drops the attributes would take the user, and nobody would know whose it is."""
    up = False
    async with forwarding(keycloak.url) as forward:

        async def answering(asked: Asked) -> Reply | None:
            return await forward(asked) if up else None

        async with WebServer(answering) as server:
            url = Secret(f"keycloak+{server.url}/realms/{realm}")
            async with opened(keycloak.options(url=url)) as provider:
                new = NewIdentity(SystemIds().uuid(), email(), Secret(PASSWORD), confirmed=True)
                assert isinstance(await provider.create(new), Unknown)
                up = True
                made = await asyncio.gather(*(provider.create(new) for _ in range(3)))
    if realm == "semel":
        assert Counter(type(one) for one in made) == {Done: 1, Exists: 2}
        assert len([one for one in server.asked if one.path.endswith("/users/profile")]) == 1
    else:
        assert ["semel_id" in one.why for one in made if isinstance(one, Unknown)] == [True] * 3
        assert not [one for one in server.asked if one.method == "POST" and one.path.endswith("/users")]


@pytest.mark.parametrize("which", ["an_identity_is_made_whole or until_it_ends"])
async def test_the_contract_runs_on_a_provider_of_yours(keycloak: Keycloak, which: str) -> None:
    """As `make test-provider` does, here some of it; what it makes it deletes."""
    named = {
        "SEMEL_TEST_PROVIDER_URL": keycloak.realm(),
        "SEMEL_TEST_KEYCLOAK_CLIENT_ID": CLIENT,
        "SEMEL_TEST_KEYCLOAK_CLIENT_SECRET": SECRET,
    }
    yours = "tests/providers/yours.py", "-k", which
    command = (
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "-p",
        "no:cacheprovider",
        *yours,
    )
    variables = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    process = await asyncio.create_subprocess_exec(
        *command, env={**variables, **named}, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b"2 passed" in said
