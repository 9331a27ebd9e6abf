"""Sign-up, sign-in, refresh, the user and sign-out by Supabase's API."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from typing_extensions import override

from semel import Semel
from semel.model import Identity
from semel.ports import Write
from semel.stores.memory import MemoryStore
from tests.http.conftest import settings
from tests.http.gotrue.conftest import KEYS, PASSWORD, Api, refusal, serving


class Overtaken(MemoryStore):
    """Lets somebody act once, between the first reading of who changes a password and the change."""

    overtake: Callable[[], Awaitable[None]] | None = None

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if self.overtake is not None and any(isinstance(one.record, Identity) for one in writes):
            overtake, self.overtake = self.overtake, None
            await overtake()
        await super().commit(writes, token)


ADA = "ada@example.org"


async def test_a_sign_up_is_an_account_and_a_session(api: Api) -> None:
    """The user is known by the token, and to Semel's own sign-in."""
    session = (await api.sign_up("Ada@example.org", data={"name": "Ada", "plan": 1})).json()
    assert (session["token_type"], session["user"]["email"]) == ("bearer", ADA)
    user = (await api.ask("GET", "/user", session["access_token"])).json()
    assert user["user_metadata"] == {
        "name": "Ada",
        "plan": 1,
        "email": ADA,
        "sub": user["id"],
        "email_verified": True,
        "phone_verified": False,
    }
    own = await api.client.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    assert (own.json()["account"]["id"], own.json()["account"]["full_name"]) == (user["id"], "Ada")


async def test_who_signed_up_by_another_door_is_a_user(api: Api) -> None:
    """Nothing is kept of it but the account."""
    made = await api.client.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD, "name": "Ada L"})
    user = (await api.sign_in(ADA)).json()["user"]
    assert (user["id"], user["role"]) == (made.json()["user_id"], "authenticated")
    assert user["user_metadata"] == {"full_name": "Ada L", "email_verified": True}


async def test_of_many_sign_ups_at_once_one_wins(api: Api) -> None:
    """The others are refused, none is an error of the server, and the same again is no double click."""
    answers = await asyncio.gather(*(api.sign_up(ADA) for _ in range(10)))
    assert sorted(one.status_code for one in answers) == [200] + [422] * 9
    assert {refusal(one) for one in answers if one.status_code != 200} == {(422, "user_already_exists")}
    listed = await api.admin("GET", "/users")
    assert len(listed.json()["users"]) == 1


async def test_a_key_gives_the_same_user_again_and_no_session_without_the_password(api: Api) -> None:
    """A lost answer is repaired by the same request; another password under the key opens nothing."""
    headers = {"Idempotency-Key": "0123456789abcdef"}
    users = [(await api.sign_up(ADA, headers=headers)).status_code]
    first, again = [
        await api.ask("POST", "/signup", json={"email": "bob@example.org", "password": PASSWORD}, headers=headers)
        for _ in range(2)
    ]
    assert (users, first.json()["user"]["id"]) == ([200], again.json()["user"]["id"])
    other = {"email": "bob@example.org", "password": "Battery-staple-8"}
    assert refusal(await api.ask("POST", "/signup", json=other, headers=headers)) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"email": ADA}, 400, "validation_failed"),
        ({"email": ADA, "password": "abc"}, 422, "weak_password"),
        ({"email": ADA, "password": "a" * 73}, 400, "validation_failed"),
        ({"email": f" {ADA}", "password": PASSWORD}, 400, "validation_failed"),
        ({"email": f"{'a' * 250}@example.org", "password": PASSWORD}, 400, "validation_failed"),
        ({"email": ADA, "phone": "+15005550006", "password": PASSWORD}, 400, "validation_failed"),
        ({"phone": "+15005550006", "password": PASSWORD}, 400, "phone_provider_disabled"),
        ({"email": 5}, 400, "bad_json"),
        ([], 400, "bad_json"),
        ({}, 422, "anonymous_provider_disabled"),
    ],
)
async def test_a_sign_up_at_fault_is_refused(api: Api, body: Any, status: int, code: str) -> None:  # noqa: ANN401
    """With the server's own code, and nobody is made."""
    assert refusal(await api.ask("POST", "/signup", json=body)) == (status, code)
    assert (await api.admin("GET", "/users")).headers["x-total-count"] == "0"


@pytest.mark.parametrize(("password", "status"), [("éé", 422), ("ééé", 200), ("é" * 36, 200), ("é" * 37, 400)])
async def test_a_passwords_length_is_counted_in_bytes(api: Api, password: str, status: int) -> None:
    """As the real server counts it, at both ends: from 6 to 72."""
    assert (await api.sign_up(ADA, password=password)).status_code == status


async def test_a_wrong_password_and_an_unknown_email_are_one_refusal(api: Api) -> None:
    """Nobody learns who has an account."""
    await api.sign_up(ADA)
    for email, password in ((ADA, "Battery-staple-8"), ("bob@example.org", PASSWORD), (f" {ADA} ", PASSWORD)):
        assert refusal(await api.sign_in(email, password)) == (400, "invalid_credentials")


async def test_a_refresh_token_is_exchanged_once(api: Api) -> None:
    """Used again after the reuse interval it ends its session, and the new token with it."""
    async with serving(refresh_reuse_seconds=0) as strict:
        first = (await strict.sign_up(ADA)).json()["refresh_token"]
        second = (await strict.refresh(first)).json()["refresh_token"]
        assert refusal(await strict.refresh(first)) == (400, "refresh_token_already_used")
        assert refusal(await strict.refresh(second)) == (400, "refresh_token_not_found")
    for token in ("", "x" * 500):
        assert refusal(await api.refresh(token)) == (400, "validation_failed")


async def test_a_new_password_ends_the_other_sessions(api: Api) -> None:
    """That of the request goes on; the same password is none."""
    here, there = (await api.sign_up(ADA)).json(), (await api.sign_in(ADA)).json()
    same = await api.ask("PUT", "/user", here["access_token"], json={"password": PASSWORD})
    assert refusal(same) == (422, "same_password")
    changed = await api.ask("PUT", "/user", here["access_token"], json={"password": "Battery-staple-8"})
    assert changed.status_code == 200
    assert refusal(await api.ask("GET", "/user", there["access_token"])) == (403, "session_not_found")
    assert refusal(await api.refresh(there["refresh_token"])) == (400, "refresh_token_not_found")
    assert (await api.refresh(here["refresh_token"])).status_code == 200
    assert (await api.sign_in(ADA, "Battery-staple-8")).status_code == 200


async def test_metadata_are_merged(api: Api) -> None:
    """At the first level; null removes, and none may be an administrator's."""
    token = (await api.sign_up(ADA, data={"a": 1, "b": {"c": 2}})).json()["access_token"]
    changed = await api.ask("PUT", "/user", token, json={"data": {"a": None, "b": {"d": 3}}, "role": "service_role"})
    metadata = changed.json()["user_metadata"]
    assert (metadata.get("a"), metadata["b"], changed.json()["role"]) == (None, {"d": 3}, "authenticated")
    assert refusal(await api.ask("PUT", "/user", token, json={"app_metadata": {"x": 1}})) == (403, "not_admin")


@pytest.mark.parametrize(("scope", "here", "there"), [("", 403, 403), ("local", 403, 200), ("others", 200, 403)])
async def test_sign_out_ends_what_its_scope_says(api: Api, scope: str, here: int, there: int) -> None:
    """All sessions, this one, or the others."""
    first, second = (await api.sign_up(ADA)).json(), (await api.sign_in(ADA)).json()
    ended = await api.ask("POST", "/logout", first["access_token"], params={"scope": scope})
    assert (ended.status_code, ended.content) == (204, b"")
    answers = [(await api.ask("GET", "/user", one["access_token"])).status_code for one in (first, second)]
    assert answers == [here, there]
    assert refusal(await api.ask("POST", "/logout", KEYS["anon"], params={"scope": "x"})) == (403, "bad_jwt")


async def test_where_emails_are_to_be_confirmed_nobody_signs_in_before() -> None:
    """A taken email is answered as if it were free, unless it is not confirmed; an administrator confirms."""
    async with serving(gotrue_autoconfirm=False) as api:
        made = (await api.sign_up(ADA)).json()
        assert "email_confirmed_at" not in made
        assert refusal(await api.sign_in(ADA)) == (400, "email_not_confirmed")
        assert refusal(await api.sign_in(ADA, "Battery-staple-8")) == (400, "invalid_credentials")
        assert (await api.sign_up(ADA, password="Battery-staple-8")).json()["id"] == made["id"]
        await api.admin("PUT", f"/users/{made['id']}", json={"email_confirm": True})
        assert (await api.sign_in(ADA)).status_code == 200
        made_up = (await api.sign_up(ADA)).json()
        assert (made_up["id"] == made["id"], made_up["identities"], made_up["role"]) == (False, [], "")


async def test_a_stranger_sees_nothing_that_the_first_sign_up_did_not_say() -> None:
    """As at the real server that user comes again; but not what an administrator has set there."""
    async with serving(gotrue_autoconfirm=False) as api:
        made = (await api.sign_up(ADA, data={"n": 1})).json()
        change = {"app_metadata": {"tenant": "secret"}, "role": "auditor", "aud": "inner", "ban_duration": "24h"}
        assert (await api.admin("PUT", f"/users/{made['id']}", json=change)).json()["role"] == "auditor"
        again = (await api.sign_up(ADA, data={"n": 2})).json()
        assert again.keys() == made.keys()
        shown = ("id", "role", "aud", "app_metadata", "user_metadata")
        assert [again[name] for name in shown] == [made[name] for name in shown]


async def test_a_stranger_sees_nothing_of_who_signed_up_by_another_door() -> None:
    """Neither name, attributes and phone, nor when it signed in."""
    store = MemoryStore()
    async with serving(store, gotrue_autoconfirm=False) as api:
        async with Semel(settings(upkeep=False), store=store) as semel:
            person: dict[str, Any] = {"email": ADA, "password": PASSWORD, "full_name": "Ada", "phone": "+14155552671"}
            account = (await semel.register(**person, attributes={"plan": 1})).account
            await semel.sign_in(ADA, PASSWORD)
        shown = (await api.sign_up(ADA)).json()
        assert shown["id"] == account.id
        assert (shown["user_metadata"], shown["phone"], shown.get("last_sign_in_at")) == ({}, "", None)


async def test_a_session_of_the_other_door_lets_in_nobody_who_is_not_confirmed() -> None:
    """Semel's own sign-in asks for no confirmation; its refresh token buys nothing here before there is one."""
    async with serving(gotrue_autoconfirm=False) as api:
        made = (await api.sign_up(ADA)).json()
        own = await api.client.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
        refresh_token = own.json()["refresh_token"]
        assert refusal(await api.refresh(refresh_token)) == (400, "email_not_confirmed")
        await api.admin("PUT", f"/users/{made['id']}", json={"email_confirm": True})
        assert (await api.refresh(refresh_token)).status_code == 200


async def test_a_session_that_ends_meanwhile_changes_nothing() -> None:
    """The new password's hash takes its time; who was signed out in it must not set the password any more."""
    store = Overtaken()
    async with serving(store) as api:
        thief, owner = (await api.sign_up(ADA)).json(), (await api.sign_in(ADA)).json()

        async def overtake() -> None:
            await api.ask("POST", "/logout", owner["access_token"], params={"scope": "others"})

        store.overtake = overtake
        changed = await api.ask("PUT", "/user", thief["access_token"], json={"password": "Battery-staple-8"})
        assert refusal(changed) == (403, "session_not_found")
        assert (await api.sign_in(ADA)).status_code == 200
        assert (await api.ask("GET", "/user", owner["access_token"])).status_code == 200


async def test_what_is_switched_off_is_said(api: Api) -> None:
    """By the settings, or because nobody sends a mail."""
    async with serving(gotrue_disable_signup=True, gotrue_email_enabled=False) as closed:
        assert refusal(await closed.sign_up("bad")) == (422, "signup_disabled")
        assert refusal(await closed.sign_in(ADA)) == (422, "email_provider_disabled")
        assert (await closed.ask("GET", "/settings")).json()["external"]["email"] is False
    for path, code in (("/recover", "email_provider_disabled"), ("/sso", "saml_provider_disabled")):
        assert refusal(await api.ask("POST", path, json={"email": ADA}))[1] == code


async def test_semels_own_tokens_are_none_of_this_api() -> None:
    """Though the same keys sign both: of the other face's token nobody here could tell that its session has ended."""
    async with serving(gotrue_algorithm="ES256") as api:
        session = (await api.sign_up(ADA)).json()
        assert (await api.ask("GET", "/user", session["access_token"])).status_code == 200
        own = await api.client.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
        assert refusal(await api.ask("GET", "/user", own.json()["access_token"])) == (403, "bad_jwt")
        theirs = {"Authorization": f"Bearer {session['access_token']}"}
        assert (await api.client.get("/api/me", headers=theirs)).status_code == 401
        assert len((await api.ask("GET", "/.well-known/jwks.json")).json()["keys"]) == 1
