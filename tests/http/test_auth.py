"""Sign-up, sign-in, refresh and sign-out over HTTP."""

from typing import Any

import pytest
from httpx import AsyncClient

_PERSON = {"name": "Test User", "email": "test@example.com", "password": "StrongPass123$", "role": "Creator"}
_CREDENTIALS = {"email": _PERSON["email"], "password": _PERSON["password"]}


async def _signed_in(client: AsyncClient) -> dict[str, Any]:
    (await client.post("/api/auth/signup", json=_PERSON)).raise_for_status()
    answer = await client.post("/api/auth/login", json=_CREDENTIALS)
    assert answer.status_code == 200
    tokens: dict[str, Any] = answer.json()
    return tokens


def _bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def test_sign_up_answers_the_account(client: AsyncClient) -> None:
    """201 with ``user_id`` and the account, whose first steps are still to be done."""
    answer = await client.post(
        "/api/auth/signup", json={**_PERSON, "username": "Tester", "attributes": {"plan": "free"}}
    )
    assert answer.status_code == 201
    said = answer.json()
    account = said["account"]
    assert said["user_id"] == account["id"]
    assert (account["full_name"], account["email"], account["username"]) == ("Test User", "test@example.com", "Tester")
    assert (account["role"], account["attributes"]) == ("Creator", {"plan": "free"})
    assert (account["is_active"], account["onboarding_completed"]) == (True, False)


async def test_the_least_sign_up_is_an_email_and_a_password(client: AsyncClient) -> None:
    """Name and role may be left out; an explicit null is the same as nothing."""
    person = {"email": "least@example.com", "password": "StrongPass123$", "name": None, "username": None}
    account = (await client.post("/api/auth/signup", json=person)).json()["account"]
    assert (account["full_name"], account["role"]) == (None, "Member")


async def test_a_taken_email_and_username_are_both_named(client: AsyncClient) -> None:
    """409 says of every field that is taken what a form can show beside it."""
    (await client.post("/api/auth/signup", json={**_PERSON, "username": "tester"})).raise_for_status()
    answer = await client.post("/api/auth/signup", json={**_PERSON, "username": "TESTER", "name": "Another"})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert (problem["type"], problem["code"]) == ("/problems/user_already_exists", "user_already_exists")
    assert {fault["field"]: fault["message"] for fault in problem["errors"]} == {
        "email": "Email is already registered",
        "username": "Username is already taken",
    }
    assert problem["request_id"] == answer.headers["x-request-id"]


async def test_a_key_gives_the_same_answer_again(client: AsyncClient) -> None:
    """Quoted or bare, the same key with the same body is the same success."""
    key = "8e03978e-40d5-43e8-bc93-6894a57f9324"
    answers = [
        await client.post("/api/auth/signup", json=_PERSON, headers={"Idempotency-Key": spelt})
        for spelt in (key, f'"{key}"')
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("change", [{"name": "Another"}, {"password": "OtherPass123$"}])
async def test_a_key_used_for_something_else_is_refused(client: AsyncClient, change: dict[str, str]) -> None:
    """Another payload or another password under a used key: 422, and nothing of the first is told."""
    key = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
    first = (await client.post("/api/auth/signup", json=_PERSON, headers=key)).json()
    answer = await client.post("/api/auth/signup", json={**_PERSON, **change}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert first["user_id"] not in answer.text


async def test_a_bad_key_is_refused_before_anything_is_made(client: AsyncClient) -> None:
    """400 names the header; the email stays free."""
    answer = await client.post("/api/auth/signup", json=_PERSON, headers={"Idempotency-Key": "short"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert (await client.post("/api/auth/signup", json=_PERSON)).status_code == 201


async def test_a_role_must_be_on_the_list(client: AsyncClient) -> None:
    """Nobody signs up as an administrator."""
    answer = await client.post("/api/auth/signup", json={**_PERSON, "role": "admin"})
    assert (answer.status_code, [fault["field"] for fault in answer.json()["errors"]]) == (422, ["role"])


async def test_sign_in_answers_tokens_and_the_account(client: AsyncClient) -> None:
    """Both tokens, how long the first is good, and the account with ``onboarding_completed``."""
    said = await _signed_in(client)
    assert said["token_type"] == "bearer"
    assert said["expires_in"] > 0
    assert said["account"]["onboarding_completed"] is False
    assert (await client.get("/api/me", headers=_bearer(said))).json()["email"] == _PERSON["email"]


@pytest.mark.parametrize(
    "credentials", [{**_CREDENTIALS, "password": "WrongPass123$"}, {**_CREDENTIALS, "email": "nobody@example.com"}]
)
async def test_wrong_email_and_wrong_password_are_not_told_apart(
    client: AsyncClient, credentials: dict[str, str]
) -> None:
    """The same 401 for both."""
    (await client.post("/api/auth/signup", json=_PERSON)).raise_for_status()
    answer = await client.post("/api/auth/login", json=credentials)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    told = {name: value for name, value in answer.json().items() if name != "request_id"}
    assert told == {
        "type": "/problems/invalid_credentials",
        "title": "Email or password is wrong",
        "status": 401,
        "detail": "Email or password is wrong",
        "code": "invalid_credentials",
        "errors": [],
    }


async def test_a_refresh_token_buys_new_tokens(client: AsyncClient) -> None:
    """The new tokens work, and the account comes with them."""
    first = await _signed_in(client)
    answer = await client.post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]})
    second = answer.json()
    assert (answer.status_code, second["account"]) == (200, first["account"])
    assert second["refresh_token"] != first["refresh_token"]
    assert (await client.get("/api/me", headers=_bearer(second))).status_code == 200


async def test_signing_out_ends_the_session(client: AsyncClient) -> None:
    """204, and from then on both tokens are dead."""
    tokens = await _signed_in(client)
    answer = await client.post("/api/auth/logout", headers=_bearer(tokens))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/api/me", headers=_bearer(tokens))).status_code == 401
    assert (await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).status_code == 401


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Basic dTpw"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x.y.z"}]
)
async def test_without_a_good_token_nobody_is_me(client: AsyncClient, header: dict[str, str]) -> None:
    """401 with the scheme to use."""
    answer = await client.get("/api/me", headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_answers_with_tokens_are_not_kept_by_caches(client: AsyncClient) -> None:
    """RFC 6749, 5.1."""
    (await client.post("/api/auth/signup", json=_PERSON)).raise_for_status()
    assert (await client.post("/api/auth/login", json=_CREDENTIALS)).headers["cache-control"] == "no-store"


async def test_public_keys_are_served(client: AsyncClient) -> None:
    """A JWK set that others may keep for a while, with nothing private in it."""
    answer = await client.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.json()["keys"]
    assert all("d" not in key for key in answer.json()["keys"])
