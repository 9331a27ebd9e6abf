"""Supabase's API is under the server's limits, and refuses in its own words."""

from semel.http.idempotency import HEADER
from tests.http.gotrue.conftest import PASSWORD, refusal, serving

_LIMITED = (429, "over_request_rate_limit")


async def test_sign_ups_are_limited() -> None:
    """Together with Semel's own: two doors are not twice as many attempts."""
    async with serving(rate_limits="memory", rate_limit_sign_up_by_address="2/minute") as api:
        assert (await api.sign_up("one@example.com")).status_code == 200
        person = {"email": "two@example.com", "password": PASSWORD}
        assert (await api.client.post("/api/auth/signup", json=person)).status_code == 201
        refused = await api.sign_up("three@example.com")
        assert refusal(refused) == _LIMITED
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-sb-error-code"] == "over_request_rate_limit"
        assert refused.headers["ratelimit"].startswith('"sign_up_by_address";r=0;t=')


async def test_a_replay_is_no_attempt() -> None:
    """By the key that the client sends, with and without attempts left."""
    async with serving(rate_limits="memory", rate_limit_sign_up_by_address="2/minute") as api:
        person, key = {"email": "one@example.com", "password": PASSWORD}, {HEADER: "the key of one's form"}
        first = await api.ask("POST", "/signup", json=person, headers=key)
        again = await api.ask("POST", "/signup", json=person, headers=key)
        assert again.headers["ratelimit"] == '"sign_up_by_address";r=1'
        assert (await api.sign_up("two@example.com")).status_code == 200
        assert refusal(await api.sign_up("three@example.com")) == _LIMITED
        again = await api.ask("POST", "/signup", json=person, headers=key)
        assert again.json()["user"]["id"] == first.json()["user"]["id"]


async def test_sign_ins_are_limited_and_refreshes_are_not() -> None:
    """By account; who has a session keeps it."""
    async with serving(rate_limits="memory", rate_limit_sign_in_by_account="2/minute") as api:
        session = (await api.sign_up("one@example.com")).json()
        for _ in range(2):
            assert (await api.sign_in("one@example.com", "a wrong one")).status_code == 400
        assert refusal(await api.sign_in("one@example.com")) == _LIMITED
        own = {"email": "ONE@example.com", "password": PASSWORD}
        assert (await api.client.post("/api/auth/login", json=own)).status_code == 429
        for _ in range(3):
            answer = await api.refresh(session["refresh_token"])
            assert answer.status_code == 200
            session = answer.json()
