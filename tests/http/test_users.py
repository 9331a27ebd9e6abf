"""Accounts over HTTP, as administrators make, see, change and end them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient, Response

from semel import Scope, Semel
from semel.http import create_app
from tests.http.conftest import SETTINGS, running

_KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
_PASSWORD = "StrongPass123$"
_ADA = {
    "email": "Ada@example.com",
    "username": "Ada",
    "full_name": "Ada Lovelace",
    "role": "Editor",
    "password": _PASSWORD,
    "attributes": {"plan": "free", "seats": 1},
}


@pytest.fixture
def semel() -> Semel:
    return Semel(SETTINGS)


@pytest.fixture
async def admin(semel: Semel) -> AsyncIterator[AsyncClient]:
    """A client with an API key that may do everything."""
    async with running(create_app(SETTINGS, semel=semel)) as client:
        client.headers["Authorization"] = f"Bearer {(await semel.create_api_key('all', tuple(Scope))).token.reveal()}"
        yield client


async def _made(admin: AsyncClient, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON has it
    answer = await admin.post("/api/users", json={**_ADA, **changes})
    assert answer.status_code == 201, answer.text
    account: dict[str, Any] = answer.json()
    return account


async def test_an_account_is_made_as_asked(admin: AsyncClient, semel: Semel) -> None:
    """201 with where it is and its version; any role; the password signs in."""
    answer = await admin.post("/api/users", json={**_ADA, "roles": ["Editor", "Author"]})
    account = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/users/{account['id']}")
    assert (account["email"], account["username"], account["role"]) == ("Ada@example.com", "Ada", "Editor")
    assert (account["roles"], account["attributes"]) == (["Editor", "Author"], {"plan": "free", "seats": 1})
    shown = await admin.get(answer.headers["location"])
    assert (shown.json(), shown.headers["etag"]) == (account, answer.headers["etag"])
    assert (await semel.sign_in("ada@example.com", _PASSWORD)).account.id == account["id"]


async def test_without_a_password_nobody_signs_in(admin: AsyncClient) -> None:
    """The account is there all the same, and so is one that is switched off from its beginning."""
    account = await _made(admin, password=None)
    assert (account["is_active"], account["full_name"]) == (True, "Ada Lovelace")
    off = await _made(admin, email="off@example.com", username=None, is_active=False)
    assert off["is_active"] is False
    answer = await admin.post("/api/auth/login", json={"email": "off@example.com", "password": _PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (403, "account_inactive")


async def test_a_taken_email_and_username_are_named(admin: AsyncClient) -> None:
    """409, field by field."""
    await _made(admin)
    answer = await admin.post("/api/users", json={**_ADA, "full_name": "Another"})
    assert (answer.status_code, {fault["field"] for fault in answer.json()["errors"]}) == (409, {"email", "username"})


async def test_keys_of_different_callers_never_meet(admin: AsyncClient, semel: Semel) -> None:
    """The same key again is the same success; under another caller's token it is another intent."""
    first, again = [await admin.post("/api/users", json=_ADA, headers=_KEY) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    reused = await admin.post("/api/users", json={**_ADA, "full_name": "Another"}, headers=_KEY)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    token = (await semel.create_api_key("another", (Scope.USERS_WRITE,))).token.reveal()
    theirs = {**_KEY, "Authorization": f"Bearer {token}"}
    other = await admin.post("/api/users", json={**_ADA, "email": "b@example.com", "username": "bob"}, headers=theirs)
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


async def test_accounts_are_listed_page_by_page(admin: AsyncClient) -> None:
    """Each once; a query that is not known is refused, and so is a cursor of nowhere."""
    made = {(await _made(admin, email=f"{name}@example.com", username=None))["id"] for name in "abcde"}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await admin.get("/api/users", params={"limit": "2", **cursor})).json()
        seen += [one["id"] for one in page["users"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert (len(seen), set(seen)) == (5, made)
    for query in ({"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"page": "2"}, {"cursor": "\0"}):
        assert (await admin.get("/api/users", params=query)).status_code == 422, query


async def _patch(admin: AsyncClient, account: dict[str, Any], body: dict[str, Any], tag: str | None = None) -> Response:
    headers = {} if tag is None else {"If-Match": tag}
    return await admin.patch(f"/api/users/{account['id']}", json=body, headers=headers)


async def test_a_change_merges(admin: AsyncClient) -> None:
    """What is left out stays, null takes away, attributes are merged, and the ETag is another."""
    account = await _made(admin)
    before = (await admin.get(f"/api/users/{account['id']}")).headers["etag"]
    change = {"full_name": "Ada King", "attributes": {"seats": 2, "plan": None}, "onboarding_completed": True}
    answer = await _patch(admin, account, change)
    changed = answer.json()
    assert (answer.status_code, changed["attributes"], changed["full_name"]) == (200, {"seats": 2}, "Ada King")
    assert (changed["role"], changed["username"], changed["onboarding_completed"]) == ("Editor", "Ada", True)
    assert answer.headers["etag"] != before
    assert (await _patch(admin, account, {"full_name": None, "role": None})).json()["full_name"] is None
    assert (await _patch(admin, account, {"email": "other@example.com"})).status_code == 422
    assert (await _patch(admin, {"id": "none"}, change)).status_code == 404


async def test_a_username_moves(admin: AsyncClient) -> None:
    """The old one is free at once, the new one is taken; another account's is refused by name; null frees it."""
    account = await _made(admin)
    other = await _made(admin, email="b@example.com", username="Bob")
    refused = await _patch(admin, account, {"username": "BOB", "full_name": "Another"})
    assert (refused.status_code, [fault["field"] for fault in refused.json()["errors"]]) == (409, ["username"])
    assert (await admin.get(f"/api/users/{account['id']}")).json() == account
    assert (await _patch(admin, account, {"username": "ada.king"})).json()["username"] == "ada.king"
    assert (await _patch(admin, other, {"username": "Ada"})).json()["username"] == "Ada"
    assert (await _patch(admin, other, {"username": None})).json()["username"] is None
    assert (await _patch(admin, account, {"username": "ADA"})).json()["username"] == "ADA"
    assert (await _patch(admin, account, {"username": "ada"})).json()["username"] == "ada"


async def test_an_etag_of_before_changes_nothing(admin: AsyncClient) -> None:
    """412; of ten that send the same one, one is done; any is as good as none where the version does not matter."""
    account = await _made(admin)
    tag = (await admin.get(f"/api/users/{account['id']}")).headers["etag"]
    bodies = [{"full_name": f"Ada {number}"} for number in range(10)]
    answers = await asyncio.gather(*(_patch(admin, account, body, tag) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 9}
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await admin.get(f"/api/users/{account['id']}")).json() == won
    for stale in (tag, f"W/{tag}", '"nonsense"', "nonsense", ""):
        assert (await _patch(admin, account, {"full_name": "Late"}, stale)).json()["code"] == "precondition_failed"
    assert (await _patch(admin, account, {"full_name": "Any"}, "*")).status_code == 200


async def test_who_is_switched_off_is_out_at_once(admin: AsyncClient, semel: Semel) -> None:
    """Access token and refresh token are dead for good, also once the account is switched on again."""
    account = await _made(admin)
    tokens = (await semel.sign_in("ada@example.com", _PASSWORD)).tokens
    assert (await _patch(admin, account, {"is_active": False})).json()["is_active"] is False
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    refresh = {"refresh_token": tokens.refresh_token}
    for _ in range(2):
        assert (await admin.get("/api/me", headers=bearer)).status_code == 401
        assert (await admin.post("/api/auth/refresh", json=refresh)).status_code == 401
        await _patch(admin, account, {"is_active": True})
    assert (await semel.sign_in("ada@example.com", _PASSWORD)).account.is_active


async def test_deleting_is_done_once(admin: AsyncClient) -> None:
    """Of ten at once one is told that it did; the key answers 410 from then on, and the email is free."""
    account = (await admin.post("/api/users", json=_ADA, headers=_KEY)).json()
    path = f"/api/users/{account['id']}"
    answers = await asyncio.gather(*(admin.delete(path) for _ in range(10)))
    assert Counter(answer.status_code for answer in answers) == {204: 1, 404: 9}
    assert (await admin.get(path)).status_code == 404
    withdrawn = await admin.post("/api/users", json=_ADA, headers=_KEY)
    assert (withdrawn.status_code, withdrawn.json()["code"]) == (410, "registration_withdrawn")
    assert (await admin.post("/api/users", json=_ADA)).status_code == 201


async def test_an_etag_of_before_ends_nothing(admin: AsyncClient) -> None:
    """412, and the account is there; with the newest, of ten at once one is told that it did."""
    account = await _made(admin)
    path = f"/api/users/{account['id']}"
    tag = (await admin.get(path)).headers["etag"]
    newest = (await _patch(admin, account, {"full_name": "Ada King"})).headers["etag"]
    for stale in (tag, f"W/{newest}", '"nonsense"', ""):
        answer = await admin.delete(path, headers={"If-Match": stale})
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed"), stale
    answers = await asyncio.gather(*(admin.delete(path, headers={"If-Match": newest}) for _ in range(10)))
    assert Counter(answer.status_code for answer in answers) == {204: 1, 404: 9}
