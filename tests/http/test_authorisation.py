"""Who may do what: every operation that needs an administrator, asked by everybody."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
from httpx import AsyncClient

from semel import Door, Scope, Semel
from semel.http import create_app
from semel.http.app import OPERATIONS
from semel.http.operations import Operation
from semel.intents import Intent
from semel.model import Secret
from semel.testing import VirtualClock
from tests.http.conftest import SETTINGS, running

_NEEDY = [one for one in OPERATIONS if one.needs is not None]
_PASSWORD = "StrongPass123$"
_NOBODYS = "semel_00000000-0000-7000-8000-000000000000_" + 43 * "a"


@dataclass(frozen=True)
class House:
    """A server and who knocks at it."""

    semel: Semel
    client: AsyncClient

    async def account(self, email: str, *roles: str) -> dict[str, str]:
        """Make an account and return the header that speaks for it."""
        intent = Intent(door=Door.ADMIN, email=email, password=Secret(_PASSWORD), role=roles[0], roles=roles)
        await self.semel.parts.registrar.register(intent)
        return _bearer((await self.semel.sign_in(email, _PASSWORD)).tokens.access_token)

    async def key(self, *scopes: str, seconds: float | None = None) -> dict[str, str]:
        return _bearer((await self.semel.create_api_key("a key", scopes, seconds=seconds)).token.reveal())

    async def ask(self, operation: Operation, headers: Mapping[str, str] | None = None) -> tuple[int, str | None]:
        """Return status and code of an answer to a request without a body."""
        path = re.sub(r"{\w+}", "00000000-0000-7000-8000-000000000000", operation.path)
        answer = await self.client.request(operation.method, path, headers=headers)
        return answer.status_code, answer.json().get("code")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    semel = Semel(SETTINGS)
    async with running(create_app(SETTINGS, semel=semel)) as client:
        yield House(semel, client)


REFUSED = (403, "forbidden")
UNKNOWN = (401, "invalid_token")


@pytest.mark.parametrize("operation", _NEEDY, ids=lambda one: one.name)
async def test_only_administrators_and_keys_with_the_scope_are_let_in(house: House, operation: Operation) -> None:
    """401 to whoever is nobody, 403 to whoever may not; the others come as far as the request itself."""
    assert operation.needs is not None
    others = [scope for scope in Scope if scope is not operation.needs]
    assert await house.ask(operation) == UNKNOWN
    for token in ("nonsense", _NOBODYS, "semel_", "semel_\x7f_a"):
        assert await house.ask(operation, _bearer(token)) == UNKNOWN, token
    assert await house.ask(operation, await house.account("user@example.com", "Creator")) == REFUSED
    assert await house.ask(operation, await house.key(*others)) == REFUSED
    assert (await house.ask(operation, await house.key(operation.needs)))[0] not in {401, 403}
    for email, roles in (("a@example.com", ("Administrator",)), ("b@example.com", ("Creator", "Administrator"))):
        assert (await house.ask(operation, await house.account(email, *roles)))[0] not in {401, 403}


async def test_a_role_or_a_key_taken_back_lets_nobody_in(house: House) -> None:
    """From the next request on; so does an account that is switched off."""
    listing = next(one for one in OPERATIONS if one.name == "list_users")
    made = await house.semel.create_api_key("a key", (Scope.USERS_READ,))
    key = _bearer(made.token.reveal())
    assert (await house.ask(listing, key))[0] == 200
    await house.semel.revoke_api_key(made.key.id)
    assert await house.ask(listing, key) == UNKNOWN
    admin = await house.account("admin@example.com", "Administrator")
    account = await house.semel.account_by_email("admin@example.com")
    root = await house.key(*Scope)
    path = f"/api/users/{account.id}"
    await house.client.patch(path, headers=root, json={"role": "Creator", "roles": ["Creator"]})
    assert await house.ask(listing, admin) == REFUSED
    await house.client.patch(path, headers=root, json={"roles": ["Administrator"]})
    assert (await house.ask(listing, admin))[0] == 200
    await house.client.patch(path, headers=root, json={"is_active": False})
    assert await house.ask(listing, admin) == UNKNOWN


async def test_a_key_whose_time_is_over_lets_nobody_in() -> None:
    """By the server's clock."""
    clock = VirtualClock(flowing=False)
    semel = Semel(SETTINGS, clock=clock)
    async with running(create_app(SETTINGS, semel=semel)) as client:
        house = House(semel, client)
        key = await house.key(Scope.USERS_READ, seconds=60)
        assert (await client.get("/api/users", headers=key)).status_code == 200
        clock.advance(60)
        assert (await client.get("/api/users", headers=key)).status_code == 401


async def test_no_key_makes_an_administrator_of_anybody(house: House) -> None:
    """Neither by making, changing or inviting one, nor by a key with more than its own scopes; and it touches none."""
    writer = await house.key(Scope.USERS_WRITE, Scope.INVITATIONS_WRITE, Scope.KEYS_WRITE)
    await house.account("admin@example.com", "Administrator")
    await house.account("user@example.com", "Creator")
    admin = await house.semel.account_by_email("admin@example.com")
    user = await house.semel.account_by_email("user@example.com")
    root = await house.key(*Scope)
    stronger = await house.semel.create_api_key("of the root", (Scope.KEYS_WRITE, Scope.ADMINISTRATORS_WRITE))
    invited = (
        await house.client.post(
            "/api/invitations", headers=root, json={"email": "c@example.com", "role": "Administrator"}
        )
    ).json()["invitation"]
    for method, path, body in (
        ("POST", "/api/users", {"email": "b@example.com", "role": "Administrator"}),
        ("POST", "/api/users", {"email": "b@example.com", "roles": ["Creator", "Administrator"]}),
        ("PATCH", f"/api/users/{user.id}", {"role": "Administrator"}),
        ("PATCH", f"/api/users/{user.id}", {"roles": ["Administrator"]}),
        ("PATCH", f"/api/users/{admin.id}", {"full_name": "Another"}),
        ("DELETE", f"/api/users/{admin.id}", None),
        ("POST", "/api/invitations", {"email": "b@example.com", "role": "Administrator"}),
        ("POST", "/api/invitations", {"email": "Admin@example.com"}),  # never proved: who accepts would end it
        ("POST", f"/api/invitations/{invited['id']}/resend", None),
        ("POST", f"/api/invitations/{invited['id']}/revoke", None),
        ("POST", f"/api/keys/{stronger.key.id}/revoke", None),
        ("POST", "/api/keys", {"name": "more", "scopes": ["administrators:write"]}),
    ):
        answer = await house.client.request(method, path, headers=writer, json=body)
        assert (answer.status_code, answer.json()["code"]) == REFUSED, (method, path, body)
    assert await house.semel.account_by_email("admin@example.com") == admin
    assert await house.semel.account_by_email("user@example.com") == user
    assert (await house.ask(_NEEDY[0], _bearer(stronger.token.reveal()))) == REFUSED  # it still opens
    made = await house.client.post("/api/users", headers=root, json={"email": "b@example.com", "role": "Administrator"})
    assert made.status_code == 201
