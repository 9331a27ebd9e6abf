"""Invitations over HTTP: made, shown, accepted once, sent again, taken back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from httpx import AsyncClient, Response

from semel import Invite, Scope, Semel
from semel.http import create_app
from semel.testing import FakeProvider, VirtualClock
from tests.http.conftest import SETTINGS, running, settings

_KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
_PASSWORD = "StrongPass123$"
_INVITE = {"email": "Ada@example.com", "role": "Editor", "note": "Welcome!"}
_UNKNOWN = f"00000000-0000-7000-8000-000000000000.{'a' * 43}"


@dataclass(frozen=True)
class Admin:
    """Asks with an API key that may do everything."""

    client: AsyncClient
    key: dict[str, str]

    async def get(self, path: str, params: dict[str, str] | None = None) -> Response:
        return await self.client.get(path, params=params, headers=self.key)

    async def post(self, path: str, json: Any = None, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401
        return await self.client.post(path, json=json, headers={**self.key, **(headers or {})})


@dataclass(frozen=True)
class House:
    """A server, whose clock is the test's; who may do everything there, and who is nobody."""

    semel: Semel
    clock: VirtualClock
    admin: Admin
    client: AsyncClient

    async def invited(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON has it
        answer = await self.admin.post("/api/invitations", json={**_INVITE, **changes})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def accept(self, token: str, key: dict[str, str] | None = None, **changes: Any) -> Response:  # noqa: ANN401
        body = {"password": _PASSWORD, "full_name": "Ada", **changes}
        return await self.client.post(f"/api/invitations/{token}/accept", json=body, headers=key)

    async def do(self, made: dict[str, Any], what: str) -> Response:
        return await self.admin.post(f"/api/invitations/{made['invitation']['id']}/{what}")

    async def shown(self, token: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.client.get(f"/api/invitations/{token}")).json()
        return answer


@pytest.fixture
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """With identities in the store, or at the provider that a test asks for."""
    clock = VirtualClock(flowing=False)
    semel = Semel(SETTINGS, clock=clock, provider=getattr(request, "param", None))
    app = create_app(SETTINGS, semel=semel)
    async with running(app) as client:
        token = (await semel.create_api_key("all", tuple(Scope))).token.reveal()
        yield House(semel, clock, Admin(client, {"Authorization": f"Bearer {token}"}), client)


async def test_who_is_invited_sees_it_and_accepts_it(house: House) -> None:
    """The account has the invited email, proved, and the role; a second acceptance is a clear conflict."""
    made = await house.invited()
    shown = await house.shown(made["token"])
    assert {name: shown[name] for name in ("email", "role", "note", "state")} == {**_INVITE, "state": "pending"}
    answer = await house.accept(made["token"], username="Ada")
    account = answer.json()["account"]
    assert (answer.status_code, answer.json()["user_id"]) == (201, account["id"])
    assert (account["email"], account["role"], account["username"]) == ("Ada@example.com", "Editor", "Ada")
    assert (await house.semel.account(account["id"])).email_verified_at is not None
    used = await house.accept(made["token"], full_name="Another")
    assert (used.status_code, used.json()["code"]) == (409, "invitation_used")
    listed = (await house.admin.get("/api/invitations")).json()["invitations"]
    assert [(one["state"], one["account_id"]) for one in listed] == [("accepted", account["id"])]


async def test_a_failed_acceptance_leaves_it_as_it_was(house: House) -> None:
    """A bad password, a taken username: the invitation can be accepted afterwards."""
    await house.semel.register(email="b@example.com", password=_PASSWORD, username="taken")
    made = await house.invited()
    assert (await house.accept(made["token"], password="short")).status_code == 422
    taken = await house.accept(made["token"], username="taken")
    assert (taken.status_code, [fault["field"] for fault in taken.json()["errors"]]) == (409, ["username"])
    assert (await house.shown(made["token"]))["state"] == "pending"
    assert (await house.accept(made["token"])).status_code == 201


@pytest.mark.parametrize("token", ["nonsense", _UNKNOWN, "%00", "..", "a.b"])
async def test_an_unknown_token_is_nobodys(house: House, token: str) -> None:
    """Neither shown nor accepted; also where the invitation is there, and the rest of its token is another."""
    made = await house.invited()
    other = made["token"].partition(".")[0] + "." + "a" * 43
    for one in (token, other):
        assert (await house.client.get(f"/api/invitations/{one}")).status_code == 404
        assert (await house.accept(one)).status_code in {404, 405}


async def test_the_end_of_one_is_told(house: House) -> None:
    """Revoked and expired are told apart; what has ended is not revoked or sent again."""
    revoked, expired = await house.invited(), await house.invited(email="b@example.com", expires_in=60)
    assert (await house.do(revoked, "revoke")).json()["state"] == "revoked"
    house.clock.advance(60)
    for made, code, state in ((revoked, "invitation_revoked", "revoked"), (expired, "invitation_expired", "expired")):
        answer = await house.accept(made["token"])
        assert (answer.status_code, answer.json()["code"]) == (410, code)
        assert (await house.shown(made["token"]))["state"] == state
        assert (await house.do(made, "resend")).json()["code"] == code
    assert (await house.do(revoked, "revoke")).status_code == 200
    assert (await house.do(expired, "revoke")).status_code == 410
    await house.semel.upkeep_once()
    pages = [(await house.admin.get("/api/invitations", params={"state": state})).json() for state in ("expired", "x")]
    assert [one["id"] for one in pages[0]["invitations"]] == [expired["invitation"]["id"]]
    assert pages[1]["code"] == "invalid_input"


async def test_sent_again_the_newest_token_is_good(house: House) -> None:
    """And no other."""
    made = await house.invited()
    again = (await house.do(made, "resend")).json()
    assert again["token"] != made["token"]
    assert (await house.accept(made["token"])).json()["code"] == "invitation_unknown"
    assert (await house.accept(again["token"])).status_code == 201
    assert (await house.admin.post(f"/api/invitations/{_UNKNOWN[:36]}/resend")).status_code == 404


async def test_an_email_has_one_pending_invitation(house: House) -> None:
    """The same key again is the same one, with its token; another is refused, and so is an email that is proved."""
    first, again = [await house.admin.post("/api/invitations", json=_INVITE, headers=_KEY) for _ in range(2)]
    assert (first.status_code, first.json()) == (201, again.json())
    other = await house.admin.post("/api/invitations", json=_INVITE)
    assert (other.status_code, other.json()["code"]) == (409, "already_invited")
    assert (await house.accept(first.json()["token"])).status_code == 201
    taken = await house.admin.post("/api/invitations", json=_INVITE)
    assert (taken.status_code, taken.json()["code"]) == (409, "user_already_exists")


@pytest.mark.parametrize("house", [None, FakeProvider()], indirect=True, ids=["embedded", "remote"])
async def test_nobody_is_invited_to_a_role_that_is_no_text(house: House) -> None:
    """Whoever accepted it would be told that the role is wrong, of which they say nothing."""
    for role in ("", " ", "\0", "x" * 65):
        refused = await house.admin.post("/api/invitations", {**_INVITE, "role": role})
        assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, ["role"]), role


async def test_somebody_with_an_account_takes_it_with_that(house: House) -> None:
    """200, and the role is granted once; not signed in, an unproved account stands in nobody's way."""
    account = (await house.semel.register(email="ada@example.com", password=_PASSWORD)).account
    token = (await house.semel.sign_in("ada@example.com", _PASSWORD)).tokens.access_token
    bearer = {"Authorization": f"Bearer {token}"}
    made = await house.invited()
    path = f"/api/invitations/{made['token']}/accept"
    for _ in range(2):
        answer = await house.client.post(path, headers=bearer)
        assert (answer.status_code, answer.json()["user_id"]) == (200, account.id)
        assert answer.json()["account"]["roles"] == ["Member", "Editor"]
    assert (await house.client.post(path, headers={"Authorization": "Bearer nonsense"})).status_code == 401
    other = await house.invited(email="b@example.com")
    refused = await house.client.post(f"/api/invitations/{other['token']}/accept", headers=bearer)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "another_email")


async def test_no_token_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the pattern of the path."""
    caplog.set_level("DEBUG")
    made = await house.invited()
    await house.shown(made["token"])
    await house.accept(made["token"])
    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    routes = [line["route"] for line in told if line.get("event") == "http.request"]
    assert routes[-2:] == ["/api/invitations/{token}", "/api/invitations/{token}/accept"]
    ours = [record.__dict__ for record in caplog.records if record.name != "httpx"]  # which is the client's
    assert made["token"] not in str(ours)


async def test_acceptance_has_its_limit() -> None:
    """429 to who tries too often; the same key again is no attempt, and still the same success."""
    limited = settings(rate_limits="memory", rate_limit_invitation_by_address="1/hour")
    semel = Semel(limited)
    async with running(create_app(limited, semel=semel)) as client:
        token = (await semel.invite(Invite(email="ada@example.com", invited_by="a test"))).token.reveal()
        path, body = f"/api/invitations/{token}/accept", {"password": _PASSWORD}
        first, again = [await client.post(path, json=body, headers=_KEY) for _ in range(2)]
        assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
        assert (await client.post(path, json=body)).status_code == 429
