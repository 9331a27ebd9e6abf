"""Proving an email, recovery, another email, another password over HTTP: each once, and telling nobody who is there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import Response

from semel import Scope, Semel
from semel.http import create_app
from semel.model import Account, Identifier, OutboxEvent
from semel.states import LinkPurpose
from semel.testing import VirtualClock
from semel.testing.invariants import records_of
from tests.http.conftest import running, settings
from tests.http.test_link_pages import House, sign_up

_EMAIL, _PASSWORD, _NEW = "ada@example.com", "StrongPass123$", "Another pass 456"
_UNKNOWN = f"00000000-0000-7000-8000-000000000000.{'a' * 43}"
_SETTINGS = settings(email_verification=True)
_ASKING = pytest.mark.parametrize("path", ["/api/auth/recover", "/api/auth/resend"])


@pytest.fixture
async def house() -> AsyncIterator[House]:
    clock = VirtualClock(flowing=False)
    semel = Semel(_SETTINGS, clock=clock)
    async with running(create_app(_SETTINGS, semel=semel)) as client:
        yield House(semel, clock, client)


def code(answer: Response) -> tuple[int, str]:
    """Return what a problem document says it is."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


async def proved(house: House) -> dict[str, Any]:
    """Sign up and prove the email; return the account."""
    token = (await sign_up(house))["sign_up_token"]
    path = f"/api/links/{await house.token(LinkPurpose.VERIFY)}"
    opened: dict[str, Any] = (await house.client.post(path, json={"sign_up_token": token})).json()["account"]
    return opened


async def mails(house: House) -> Counter[str]:
    records = await records_of(house.semel.parts.engine.store)
    return Counter(one.kind for one in records if isinstance(one, OutboxEvent) and one.kind.startswith("mail."))


async def test_nobody_signs_in_before_the_proof(house: House) -> None:
    """403 with these words, and only after a right password; the link lets in, and the password stays."""
    made = await sign_up(house)
    person = {"email": _EMAIL, "password": _PASSWORD}
    refused = await house.client.post("/api/auth/login", json=person)
    assert code(refused) == (403, "email_not_verified")
    assert refused.json()["title"] == refused.json()["detail"] == "Please verify your email before logging in"
    assert code(await house.client.post("/api/auth/login", json={**person, "password": _NEW})) == (
        401,
        "invalid_credentials",
    )
    path = f"/api/links/{await house.token(LinkPurpose.VERIFY)}"
    opened = await house.client.post(path, json={"sign_up_token": made["sign_up_token"]})
    assert (opened.status_code, opened.json()["account"]["id"]) == (200, made["user_id"])
    assert opened.headers["cache-control"] == "no-store"
    assert await house.signs_in(_PASSWORD)


async def test_looking_changes_nothing(house: House) -> None:
    """However often, and by whatever looks without changing."""
    await sign_up(house)
    path = f"/api/links/{await house.token(LinkPurpose.VERIFY)}"
    before = await house.snapshot()
    assert (await house.client.head(path)).status_code == 200
    shown = await house.client.get(path)
    assert shown.json() == {
        "purpose": "verify",
        "email": _EMAIL,
        "expires_at": shown.json()["expires_at"],
        "leads_to_password": True,
    }
    assert (await house.client.options(path)).status_code == 405
    assert await house.snapshot() == before


async def test_a_link_is_opened_once(house: House) -> None:
    """Without the token of the sign-up it takes a new password; a second time it is told that it is used."""
    await sign_up(house)
    path = f"/api/links/{await house.token(LinkPurpose.VERIFY)}"
    for body in ({}, {"sign_up_token": "a guess"}, {"password": "short"}, {"password": _EMAIL}):
        told = await house.client.post(path, json=body)
        assert code(told) == (422, "invalid_input")
        assert [fault["field"] for fault in told.json()["errors"]] == ["password"]
    assert (await house.client.post(path, json={"password": _NEW})).status_code == 200
    assert (await house.signs_in(_NEW), await house.signs_in(_PASSWORD)) == (True, False)
    for answer in (await house.client.post(path, json={"password": _NEW}), await house.client.get(path)):
        assert code(answer) == (409, "link_used")


async def test_ten_open_one_link_at_once() -> None:
    semel = Semel(_SETTINGS)
    async with running(create_app(_SETTINGS, semel=semel)) as client:
        house = House(semel, VirtualClock(), client)
        await sign_up(house)
        path = f"/api/links/{await house.token(LinkPurpose.VERIFY)}"
        told = await asyncio.gather(*(client.post(path, json={"password": f"{_NEW} {n}"}) for n in range(10)))
    assert Counter(one.status_code for one in told) == {200: 1, 409: 9}
    assert {code(one) for one in told if one.status_code == 409} == {(409, "link_used")}


@pytest.mark.parametrize("token", ["nonsense", _UNKNOWN, "a.b", "%00"])
async def test_an_unknown_token_is_nobodys(house: House, token: str) -> None:
    """Also where the link is there, and the rest of its token is another."""
    await sign_up(house)
    other = (await house.token(LinkPurpose.VERIFY)).partition(".")[0] + "." + "a" * 43
    for one in (token, other):
        assert code(await house.client.get(f"/api/links/{one}")) == (404, "link_unknown")
        assert code(await house.client.post(f"/api/links/{one}", json={"password": _NEW})) == (404, "link_unknown")


async def test_a_link_ends(house: House) -> None:
    """By its time; a newer mail ends the one before."""
    await sign_up(house)
    first = await house.token(LinkPurpose.VERIFY)
    house.clock.advance(1)
    assert (await house.client.post("/api/auth/resend", json={"email": _EMAIL})).status_code == 202
    second = await house.token(LinkPurpose.VERIFY)
    assert code(await house.client.get(f"/api/links/{first}")) == (404, "link_unknown")
    house.clock.advance(86_400)
    for answer in (
        await house.client.get(f"/api/links/{second}"),
        await house.client.post(f"/api/links/{second}", json={"password": _NEW}),
    ):
        assert code(answer) == (410, "link_expired")


async def test_a_recovery(house: House) -> None:
    """A new password; the sessions of before end, and so do other links."""
    await proved(house)
    tokens = (await house.client.post("/api/auth/login", json={"email": _EMAIL, "password": _PASSWORD})).json()
    for _ in range(2):
        house.clock.advance(1)
        assert (await house.client.post("/api/auth/recover", json={"email": "ADA@example.com"})).status_code == 202
    path = f"/api/links/{await house.token(LinkPurpose.RECOVER)}"
    assert (await house.client.get(path)).json()["purpose"] == "recover"
    assert code(await house.client.post(path, json={})) == (422, "invalid_input")
    assert (await house.client.post(path, json={"password": _NEW})).status_code == 200
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert code(await house.client.get("/api/me", headers=bearer)) == (401, "invalid_token")
    assert code(await house.client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})) == (
        401,
        "invalid_token",
    )
    assert (await house.signs_in(_NEW), await house.signs_in(_PASSWORD)) == (True, False)
    assert (await mails(house))["mail.password_changed"] == 1


@_ASKING
async def test_asking_tells_nobody_who_is_there(house: House, path: str) -> None:
    """The same answer for an account, for one that is proved, and for nobody; only what is no email is refused."""
    await sign_up(house)
    answers = [await house.client.post(path, json={"email": email}) for email in (_EMAIL, "nobody@example.com")]
    heads = [{name: one for name, one in each.headers.items() if name != "x-request-id"} for each in answers]
    assert [one.status_code for one in answers] == [202, 202]
    assert (answers[0].content, heads[0]) == (answers[1].content, heads[1])
    assert code(await house.client.post(path, json={"email": "no email"})) == (422, "invalid_input")
    assert code(await house.client.post(path, json={})) == (422, "invalid_input")
    assert (await mails(house))["mail.recover" if path.endswith("recover") else "mail.verify_email"] >= 1


@_ASKING
async def test_asking_has_a_limit_that_tells_nobody_either(path: str) -> None:
    """By email, whether it has an account or not: 429 with when to come back, and the same headers."""
    name = "recovery" if path.endswith("recover") else "resend"
    limited = settings(email_verification=True, rate_limits="memory", **{f"rate_limit_{name}_by_account": "2/hour"})
    semel = Semel(limited, clock=VirtualClock(flowing=False))
    async with running(create_app(limited, semel=semel)) as client:
        await sign_up(House(semel, VirtualClock(), client))
        seen = []
        for email in (_EMAIL, "nobody@example.com"):
            answers = [await client.post(path, json={"email": email}) for _ in range(3)]
            assert [one.status_code for one in answers] == [202, 202, 429]
            assert code(answers[2]) == (429, "rate_limited")
            head = answers[2].headers
            seen.append([head["retry-after"], head["ratelimit"], head["ratelimit-policy"]])
            assert [sorted(one.headers) for one in answers[:2]] == [sorted(answers[0].headers)] * 2
    assert seen == [["3600", f'"{name}_by_account";r=0;t=3600', f'"{name}_by_account";q=2;w=3600']] * 2


async def test_nobody_has_mailboxes_of_others_filled_by_changes_of_an_email() -> None:
    """What is sent to an email is counted by that email, whichever account is to have it; its sign-ins are not."""
    limited = settings(email_verification=True, rate_limits="memory", rate_limit_resend_by_account="2/hour")
    semel = Semel(limited, clock=VirtualClock(flowing=False))
    async with running(create_app(limited, semel=semel)) as client:
        told = []
        for name in ("eve", "mallory"):
            await semel.register(email=f"{name}@example.com", password=_PASSWORD, proved=True)
            body = {"email": f"{name}@example.com", "password": _PASSWORD, "new_email": _EMAIL}
            told += [await client.post("/api/auth/email", json=body) for _ in range(2)]
        assert [one.status_code for one in told] == [202, 202, 429, 429]
        assert code(told[-1]) == (429, "rate_limited")
        assert (await mails(House(semel, VirtualClock(), client)))["mail.change_email"] == 2
        wrong = await client.post("/api/auth/login", json={"email": _EMAIL, "password": _PASSWORD})
        assert code(wrong) == (401, "invalid_credentials")


async def test_resending_is_for_who_awaits_a_proof(house: House) -> None:
    """Nobody else has a mail of it."""
    await proved(house)
    before = await mails(house)
    assert (await house.client.post("/api/auth/resend", json={"email": _EMAIL})).status_code == 202
    assert await mails(house) == before


async def test_who_knows_the_password_sets_another(house: House) -> None:
    """The present one is needed; a new one that is none is named as it was sent; a mail tells of it."""
    account = await proved(house)
    body = {"email": _EMAIL, "password": _PASSWORD, "new_password": _NEW}
    for wrong in ({"password": "a wrong one"}, {"email": "nobody@example.com"}):
        assert code(await house.client.post("/api/auth/password", json={**body, **wrong})) == (
            401,
            "invalid_credentials",
        )
    for bad in ("short", _EMAIL):
        told = await house.client.post("/api/auth/password", json={**body, "new_password": bad})
        assert [fault["field"] for fault in told.json()["errors"]] == ["new_password"]
    done = await house.client.post("/api/auth/password", json=body)
    assert (done.status_code, done.json()["account"]["id"]) == (200, account["id"])
    assert (await house.signs_in(_NEW), await house.signs_in(_PASSWORD)) == (True, False)
    assert (await mails(house))["mail.password_changed"] == 1


async def test_an_email_is_changed_by_who_has_both(house: House) -> None:
    """Nothing is held before the new one is proved; then it signs in, the old one does not, and is told."""
    await proved(house)
    body = {"email": _EMAIL, "password": _PASSWORD, "new_email": "Grace@example.com"}
    assert code(await house.client.post("/api/auth/email", json={**body, "password": "wrong one"})) == (
        401,
        "invalid_credentials",
    )
    told = await house.client.post("/api/auth/email", json={**body, "new_email": "no email"})
    assert [fault["field"] for fault in told.json()["errors"]] == ["new_email"]
    assert (await house.client.post("/api/auth/email", json=body)).status_code == 202
    records = await records_of(house.semel.parts.engine.store)
    assert [one.value for one in records if isinstance(one, Identifier)] == [_EMAIL]
    path = f"/api/links/{await house.token(LinkPurpose.CHANGE_EMAIL)}"
    shown = (await house.client.get(path)).json()
    assert (shown["email"], shown["leads_to_password"]) == ("Grace@example.com", False)
    assert (await house.client.post(path, json={})).json()["account"]["email"] == "Grace@example.com"
    assert (await house.signs_in(_PASSWORD, "grace@example.com"), await house.signs_in(_PASSWORD)) == (True, False)
    assert (await mails(house))["mail.email_changed"] == 1


async def test_an_email_that_somebody_has_proved_is_told_to_its_owner_alone(house: House) -> None:
    """Asking is answered as always; the click, which its owner alone can make, is told 409."""
    await proved(house)
    await house.semel.register(email="grace@example.com", password=_PASSWORD, proved=True)
    body = {"email": _EMAIL, "password": _PASSWORD, "new_email": "grace@example.com"}
    assert (await house.client.post("/api/auth/email", json=body)).status_code == 202
    path = f"/api/links/{await house.token(LinkPurpose.CHANGE_EMAIL)}"
    assert code(await house.client.post(path, json={})) == (409, "user_already_exists")
    assert (await house.client.post(path.removeprefix("/api"), data={"email": "grace@example.com"})).status_code == 409


async def test_an_account_without_a_password_is_given_one_by_mail(house: House) -> None:
    """The link of an administrator's account sets the first password, once."""
    key = (await house.semel.create_api_key("all", tuple(Scope))).token.reveal()
    made = await house.client.post("/api/users", json={"email": _EMAIL}, headers={"Authorization": f"Bearer {key}"})
    assert made.status_code == 201
    assert (await mails(house))["mail.set_password"] == 1
    path = f"/api/links/{await house.token(LinkPurpose.SET_PASSWORD)}"
    assert (await house.client.post(path, json={"password": _NEW})).json()["account"]["id"] == made.json()["id"]
    assert await house.signs_in(_NEW)
    assert code(await house.client.post(path, json={"password": _PASSWORD})) == (409, "link_used")


async def test_what_nobody_proves_expires(house: House) -> None:
    """By upkeep; the email is free by then."""
    await sign_up(house)
    house.clock.advance(7 * 86_400 + 1)
    await house.semel.upkeep_once()
    records = await records_of(house.semel.parts.engine.store)
    assert not [one for one in records if isinstance(one, Account | Identifier)]
    await sign_up(house)


async def test_no_token_and_no_password_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the pattern of the path."""
    caplog.set_level("DEBUG")
    made = await sign_up(house)
    token = await house.token(LinkPurpose.VERIFY)
    await house.client.get(f"/api/links/{token}")
    await house.client.post(f"/api/links/{token}", json={"password": _NEW, "sign_up_token": made["sign_up_token"]})
    await house.client.post(f"/api/links/{token}", json={})
    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    routes = [line["route"] for line in told if line.get("event") == "http.request"]
    assert routes[-3:] == ["/api/links/{token}"] * 3
    ours = str([record.__dict__ for record in caplog.records if record.name != "httpx"])  # which is the client's
    assert not [one for one in (token, made["sign_up_token"], _NEW, _PASSWORD, _EMAIL) if one in ours]
