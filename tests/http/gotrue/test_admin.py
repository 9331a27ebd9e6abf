"""The admin API: made once, found, changed and deleted, with no refusal that is an error of the server."""

import asyncio
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from semel.http.gotrue.listing import like
from semel.stores.memory import MemoryStore
from semel.system import SystemClock
from semel.testing import STORE_OPERATIONS, Fault, FaultPlan, FaultyStore
from tests.http.gotrue.conftest import KEYS, PASSWORD, SECRET, Api, refusal, serving

ID = "5f0c2a8e-0000-4000-8000-0000000000aa"
ADA = {"id": ID, "email": "ada@example.org", "password": PASSWORD, "email_confirm": True}


async def test_a_chosen_id_is_taken_once(api: Api) -> None:
    """Ten at once with an email each: one wins. The id is free again once its user is deleted."""
    bodies = [{**ADA, "email": f"ada{number}@example.org"} for number in range(10)]
    answers = await asyncio.gather(*(api.admin("POST", "/users", json=body) for body in bodies))
    assert sorted(one.status_code for one in answers) == [200] + [422] * 9
    assert {refusal(one)[1] for one in answers if one.status_code == 422} == {"user_already_exists"}
    for expected in ([200, 404], [200, 404]):
        ended = [(await api.admin("DELETE", f"/users/{ID}")).status_code for _ in range(2)]
        assert ended == expected
        again = await api.admin("POST", "/users", json={**ADA, "id": f"urn:uuid:{ID.upper()}"})
        assert (again.status_code, again.json()["id"]) == (200, ID)


async def test_a_commit_whose_answer_was_lost_is_settled() -> None:
    """The user is there and the answer says so, with a chosen id as well: its own commit is no rival."""
    plan = FaultPlan(STORE_OPERATIONS)
    store = FaultyStore(MemoryStore(SystemClock().now), plan, SystemClock())
    async with serving(store) as api:
        plan.next("commit", Fault.LOSE)
        assert (await api.admin("POST", "/users", json=ADA)).status_code == 200
        assert refusal(await api.admin("POST", "/users", json=ADA)) == (422, "email_exists")


async def test_a_store_that_is_down_is_503() -> None:
    """In this API's shape, and never 500: the official clients come back."""
    plan = FaultPlan(STORE_OPERATIONS)
    store = FaultyStore(MemoryStore(SystemClock().now), plan, SystemClock())
    async with serving(store) as api:
        session = (await api.sign_up("ada@example.org")).json()
        plan.always(Fault.DOWN)
        answers = [
            await api.sign_up("bob@example.org"),
            await api.sign_in("ada@example.org"),
            await api.ask("GET", "/user", session["access_token"]),
            await api.admin("POST", "/users", json=ADA),
            await api.admin("GET", "/users"),
        ]
        plan.lift()
    assert {refusal(one)[0] for one in answers} == {503}
    assert all("retry-after" in one.headers for one in answers)


async def test_a_user_is_changed_by_one_request(api: Api) -> None:
    """Email, password, metadata, role and ban; who is banned signs in by no face."""
    await api.admin("POST", "/users", json={**ADA, "app_metadata": {"plan": "pro"}, "user_metadata": {"a": 1}})
    change = {"email": "New@example.org", "password": "Battery-staple-8", "ban_duration": "1h30m", "role": "editor"}
    changed = await api.admin(
        "PUT", f"/users/{ID}", json={**change, "app_metadata": {"plan": None, "x": 1}, "user_metadata": {"a": None}}
    )
    user = changed.json()
    assert (user["email"], user["role"], user["user_metadata"]) == (
        "new@example.org",
        "editor",
        {"email_verified": True},
    )
    assert user["app_metadata"] == {"provider": "email", "providers": ["email"], "x": 1}
    assert refusal(await api.sign_in("new@example.org", "Battery-staple-8")) == (400, "user_banned")
    own = {"email": "new@example.org", "password": "Battery-staple-8"}
    assert (await api.client.post("/api/auth/login", json=own)).json()["code"] == "account_inactive"
    await api.admin("PUT", f"/users/{ID}", json={"ban_duration": "none"})
    assert (await api.sign_in("new@example.org", "Battery-staple-8")).status_code == 200
    assert (await api.sign_up("ada@example.org")).status_code == 200


async def test_a_ban_ends_what_goes_on(api: Api) -> None:
    """A token that was good is not, by either face, until the ban is over."""
    session = (await api.sign_up("ada@example.org")).json()
    own = await api.client.post("/api/auth/login", json={"email": "ada@example.org", "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {own.json()['access_token']}"}
    await api.admin("PUT", f"/users/{session['user']['id']}", json={"ban_duration": "24h"})
    assert refusal(await api.ask("GET", "/user", session["access_token"])) == (403, "user_banned")
    assert refusal(await api.refresh(session["refresh_token"])) == (400, "user_banned")
    assert (await api.client.get("/api/me", headers=bearer)).status_code == 401
    refreshed = await api.client.post("/api/auth/refresh", json={"refresh_token": own.json()["refresh_token"]})
    assert refreshed.status_code == 401


async def test_a_taken_email_is_refused_also_in_a_race(api: Api) -> None:
    """Of ten users who are given one email at once, one gets it."""
    made = [await api.admin("POST", "/users", json={"email": f"ada{one}@example.org"}) for one in range(10)]
    ids = [one.json()["id"] for one in made]
    changed = await asyncio.gather(*(api.admin("PUT", f"/users/{one}", json={"email": "x@example.org"}) for one in ids))
    assert sorted(one.status_code for one in changed) == [200] + [422] * 9
    assert {refusal(one)[1] for one in changed if one.status_code == 422} == {"email_exists"}


async def test_changes_at_once_are_all_made(api: Api) -> None:
    """Each on top of the other: none is lost."""
    await api.admin("POST", "/users", json=ADA)
    bodies = [{"user_metadata": {f"k{one}": one}, "app_metadata": {f"k{one}": one}} for one in range(8)]
    answers = await asyncio.gather(*(api.admin("PUT", f"/users/{ID}", json=body) for body in bodies))
    assert {one.status_code for one in answers} == {200}
    user = (await api.admin("GET", f"/users/{ID}")).json()
    for metadata in (user["user_metadata"], user["app_metadata"]):
        assert {f"k{one}" for one in range(8)} <= metadata.keys()


async def test_a_hash_is_taken_in_place_of_a_password(api: Api) -> None:
    """If the embedded provider can verify it, at a bounded cost."""
    digest = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
    made = {"email": "ada@example.org", "password_hash": digest, "email_confirm": True}
    assert (await api.admin("POST", "/users", json=made)).status_code == 200
    assert (await api.sign_in("ada@example.org", "password")).status_code == 200
    for bad in (
        "md5:abc",
        "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        digest.replace("t=2", "t=99"),
    ):
        answer = await api.admin("POST", "/users", json={"email": "bob@example.org", "password_hash": bad})
        assert refusal(answer) == (400, "validation_failed")


async def test_pages_are_in_the_order_of_age(api: Api) -> None:
    """Every user once, the newest first, with the headers that clients count by."""
    for number in range(5):
        await api.admin("POST", "/users", json={"email": f"n{number}@example.org"})
    seen: list[str] = []
    for page in range(1, 4):
        answer = await api.admin("GET", "/users", params={"page": page, "per_page": 2})
        seen += [one["email"][:2] for one in answer.json()["users"]]
        assert answer.headers["x-total-count"] == "5"
        assert ('rel="next"' in answer.headers["link"]) is (page < 3)
    assert seen == ["n4", "n3", "n2", "n1", "n0"]
    found = await api.admin("GET", "/users", params={"filter": "n_@", "per_page": 1})
    assert (found.headers["x-total-count"], found.json()["users"][0]["identities"]) == ("5", None)


@pytest.mark.parametrize("query", [{"page": "-1"}, {"per_page": "0"}, {"page": "9" * 30}, {"sort": "email asc"}])
async def test_a_page_that_is_none_is_refused(api: Api, query: dict[str, str]) -> None:
    assert refusal(await api.admin("GET", "/users", params=query)) == (400, "validation_failed")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("da@", "ada@x", True),
        ("DA@", "ada@x", False),
        ("a%x", "ada@x", True),
        ("a_a", "ada", True),
        ("a\\_a", "ada", False),
        ("\\%", "100%", True),
        ("%%", "", True),
        ("a%a%a", "aa", False),
    ],
)
def test_a_filter_is_a_like(pattern: str, text: str, found: bool) -> None:  # noqa: FBT001 - the expectation
    """As SQL has it."""
    assert like(pattern)(text) is found


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"id": "ada"}, 400, "validation_failed"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, 400, "validation_failed"),
        ({"email": None}, 400, "validation_failed"),
        ({"phone": "abc"}, 400, "validation_failed"),
        ({"phone": "+15005550006"}, 422, "phone_provider_disabled"),
        ({"ban_duration": "a while"}, 400, "validation_failed"),
        ({"ban_duration": "9999999999h"}, 400, "validation_failed"),
        ({"password": "a" * 73}, 400, "validation_failed"),
        ({"password_hash": "x"}, 400, "validation_failed"),
        ({"user_metadata": {"a": "x" * 17_000}}, 400, "validation_failed"),
        ({"user_metadata": {"a": "\0"}}, 400, "validation_failed"),
        ({"app_metadata": {"a": "x" * 17_000}}, 400, "validation_failed"),
        ({"email_confirm": "yes"}, 400, "bad_json"),
    ],
)
async def test_a_user_at_fault_is_refused(api: Api, change: dict[str, Any], status: int, code: str) -> None:
    """And none is made."""
    assert refusal(await api.admin("POST", "/users", json={**ADA, **change})) == (status, code)
    assert (await api.admin("GET", "/users")).headers["x-total-count"] == "0"


async def test_only_the_service_is_an_administrator(api: Api) -> None:
    """Not the anonymous key, not a user, not a token with another signature."""
    user = (await api.sign_up("ada@example.org")).json()["access_token"]
    forged = f"{KEYS['service_role'].rpartition('.')[0]}.{KEYS['anon'].rpartition('.')[2]}"
    expected = {None: (401, "no_authorization"), KEYS["anon"]: (403, "not_admin"), user: (403, "not_admin")}
    for bearer, refused in {**expected, forged: (403, "bad_jwt"), "x": (403, "bad_jwt")}.items():
        assert refusal(await api.ask("GET", "/admin/users", bearer)) == refused
        assert refusal(await api.ask("POST", "/admin/users", bearer, json=ADA)) == refused


async def test_a_soft_deletion_is_refused(api: Api) -> None:
    """The user stays, and the answer says why."""
    await api.admin("POST", "/users", json=ADA)
    refused = await api.admin("DELETE", f"/users/{ID}", json={"should_soft_delete": True})
    assert refusal(refused) == (422, "feature_disabled")
    assert (await api.admin("DELETE", f"/users/{ID}", json={"should_soft_delete": False})).json() == {}


@pytest.mark.parametrize(
    "digest",
    [
        "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAA$" + "A" * 43,
        "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAA$" + "B" * 43,
    ],
    ids=["no whole salt", "cut short"],
)
async def test_a_hash_that_nobody_can_verify_is_refused(api: Api, digest: str) -> None:
    """At once, and not at each sign-in."""
    asked = {"email": "ada@gmail.com", "password_hash": digest}
    assert refusal(await api.admin("POST", "/users", json=asked)) == (400, "validation_failed")


@pytest.mark.parametrize("word", ["r" * 256, "a\0b"])
@pytest.mark.parametrize("name", ["role", "aud"])
async def test_what_every_token_says_is_bounded(api: Api, name: str, word: str) -> None:
    """A longer one would make tokens that no header carries."""
    made = (await api.admin("POST", "/users", json={"email": "ada@gmail.com", name: "r" * 255})).json()
    assert made[name] == "r" * 255
    refused = [
        await api.admin("POST", "/users", json={"email": "bob@gmail.com", name: word}),
        await api.admin("PUT", f"/users/{made['id']}", json={name: word}),
    ]
    assert [refusal(one) for one in refused] == [(400, "validation_failed")] * 2


@pytest.mark.parametrize(
    "claims", [{"exp": "1795"}, {"nbf": 32_503_680_000}, {"deep": None}], ids=lambda one: next(iter(one))
)
async def test_claims_that_say_nothing_let_nobody_in(api: Api, claims: dict[str, Any]) -> None:
    """Though the secret's own signature is on the token."""
    key = OctKey.import_key(SECRET)
    payload = json.dumps({"role": "service_role", **claims}).replace("null", "[" * 20_000 + "]" * 20_000)
    token = jws.serialize_compact({"alg": "HS256", "typ": "JWT"}, payload, key)
    assert refusal(await api.ask("GET", "/admin/users", token)) == (403, "bad_jwt")
