"""The pages where mails lead: looking changes nothing, the form's button does it once, and no page tells anybody."""

import asyncio
import base64
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from httpx import AsyncClient, Response

from semel import Invite, Semel
from semel.http import create_app, router
from semel.model import Account, Link, Secret
from semel.states import LinkPurpose
from semel.testing import VirtualClock
from semel.testing.invariants import records_of
from tests.http.conftest import running, settings
from tests.http.test_mail_page import Read

_EMAIL, _PASSWORD, _NEW = "ada@example.com", "StrongPass123$", "Another pass 456"
_SETTINGS = settings(email_verification=True, product_name="Example <Inc>")


@dataclass(frozen=True)
class House:
    """A server whose mails are not sent: the test makes their links' tokens itself."""

    semel: Semel
    clock: VirtualClock
    client: AsyncClient

    async def token(self, purpose: LinkPurpose) -> str:
        """Return the token of the newest link for this."""
        records = await records_of(self.semel.parts.engine.store)
        links = [one for one in records if isinstance(one, Link) and one.purpose is purpose]
        newest = max(links, key=lambda one: one.created_at)
        return self.semel.parts.links.token_of(newest).reveal()

    async def invited(self, **changes: Any) -> str:  # noqa: ANN401 - as the dataclass takes them
        made = await self.semel.invite(Invite(**{"email": _EMAIL, "invited_by": "a test", **changes}))
        return made.token.reveal()

    async def signs_in(self, password: str, email: str = _EMAIL) -> bool:
        answer = await self.client.post("/api/auth/login", json={"email": email, "password": password})
        return answer.status_code == 200

    async def snapshot(self) -> set[str]:
        return {repr(one) for one in await records_of(self.semel.parts.engine.store)}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    clock = VirtualClock(flowing=False)
    semel = Semel(_SETTINGS, clock=clock)
    async with running(create_app(_SETTINGS, semel=semel)) as client:
        yield House(semel, clock, client)


async def sign_up(house: House, email: str = _EMAIL, **more: str) -> dict[str, Any]:
    answer = await house.client.post("/api/auth/signup", json={"email": email, "password": _PASSWORD, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def fields(page: Response) -> dict[str, str | None]:
    """Return the form's fields with what stands in them."""
    return {str(one["name"]): one.get("value") for one in Read(page.text).all("input")}


async def test_a_first_proof_is_looked_at_and_made(house: House) -> None:
    """The page shows whose it is; the form takes a new password; the one of before is dead."""
    await sign_up(house)
    path = f"/links/{await house.token(LinkPurpose.VERIFY)}"
    before = await house.snapshot()
    for method in ("GET", "GET", "HEAD"):
        shown = await house.client.request(method, path)
        assert shown.status_code == 200
    shown = await house.client.get(path)
    assert await house.snapshot() == before
    assert fields(shown) == {"email": _EMAIL, "password": None}
    assert "Verify your email" in shown.text
    done = await house.client.post(path, data={"email": _EMAIL, "password": _NEW})
    assert (done.status_code, "Your email is verified" in done.text) == (200, True)
    assert (await house.signs_in(_NEW), await house.signs_in(_PASSWORD)) == (True, False)


async def test_every_purpose_has_its_page(house: House) -> None:
    """A recovery and a first password take one; another email takes a click."""
    token = Secret((await sign_up(house))["sign_up_token"])
    await house.semel.open_link(await house.token(LinkPurpose.VERIFY), sign_up_token=token)
    await house.semel.recover(_EMAIL)
    recovery = f"/links/{await house.token(LinkPurpose.RECOVER)}"
    assert "Choose a new password" in (await house.client.get(recovery)).text
    assert (await house.client.post(recovery, data={"password": _NEW})).status_code == 200
    await house.semel.change_email(_EMAIL, _NEW, "grace@example.com")
    change = f"/links/{await house.token(LinkPurpose.CHANGE_EMAIL)}"
    assert fields(await house.client.get(change)) == {"email": "grace@example.com"}
    assert "Your email is changed" in (await house.client.post(change, data={"email": "grace@example.com"})).text
    assert await house.signs_in(_NEW, "grace@example.com")


async def test_a_password_that_is_none_is_told_in_the_form(house: House) -> None:
    """422 with the form, and the link is good as before; nothing that was typed is shown again."""
    await sign_up(house)
    path = f"/links/{await house.token(LinkPurpose.VERIFY)}"
    for sent, says in (
        ({"password": "short"}, "at least 8"),
        ({}, "Set a new password"),
        ({"password": _EMAIL}, "not"),
    ):
        told = await house.client.post(path, data={"email": _EMAIL, **sent})
        assert (told.status_code, says in told.text) == (422, True)
        assert fields(told) == {"email": _EMAIL, "password": None}
    assert (await house.client.post(path, data={"password": _NEW})).status_code == 200


async def test_ten_clicks_are_one() -> None:
    """One is told that it is done, nine that it is used."""
    semel = Semel(_SETTINGS)  # on the real clock: those that lose wait a moment
    async with running(create_app(_SETTINGS, semel=semel)) as client:
        house = House(semel, VirtualClock(), client)
        await sign_up(house)
        path = f"/links/{await house.token(LinkPurpose.VERIFY)}"
        told = await asyncio.gather(*(client.post(path, data={"password": f"{_NEW} {n}"}) for n in range(10)))
    assert Counter(one.status_code for one in told) == {200: 1, 409: 9}


async def test_the_end_of_a_link_is_a_page(house: House) -> None:
    """Used, over, unknown: with the status of the operation, and what to do."""
    await sign_up(house)
    used = f"/links/{await house.token(LinkPurpose.VERIFY)}"
    assert (await house.client.post(used, data={"password": _NEW})).status_code == 200
    await house.semel.recover(_EMAIL)
    over = f"/links/{await house.token(LinkPurpose.RECOVER)}"
    house.clock.advance(3600)
    unknown = "/links/none"
    ends = {used: (409, "has been used already"), over: (410, "no longer good"), unknown: (404, "no such link")}
    for path, (status, says) in ends.items():
        for answer in (await house.client.get(path), await house.client.post(path, data={"password": _NEW})):
            assert (answer.status_code, says in answer.text) == (status, True)
            assert "text/html" in answer.headers["content-type"]
            assert "<form" not in answer.text


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=a"])
async def test_only_a_form_is_taken(house: House, content_type: str) -> None:
    await sign_up(house)
    path = f"/links/{await house.token(LinkPurpose.VERIFY)}"
    answer = await house.client.post(path, content=b"{}", headers={"content-type": content_type})
    assert answer.status_code == 415
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await house.client.post(path, content=b"password=%ff", headers=form)).status_code == 400
    assert (await house.client.post(path, content=b"a=1&" * 30, headers=form)).status_code == 400
    assert (await house.client.post(path, content=b"another=1", headers=form)).status_code == 422
    assert (await house.client.post(path, content=b"a" * 30_000, headers=form)).status_code == 413


async def test_a_page_runs_nothing_loads_nothing_and_leads_nowhere(house: House) -> None:
    """Its policy lets in the one style that stands in it, and forms that lead back; no other site hears its address."""
    await sign_up(house)
    link, invitation = (
        await house.token(LinkPurpose.VERIFY),
        await house.invited(email="b@example.com", note="<b>Hi</b>"),
    )
    for path in (f"/links/{link}", f"/invitations/{invitation}", "/links/none", "/invitations/none"):
        answer = await house.client.get(path)
        style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
        assert style is not None
        hashed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = answer.headers["content-security-policy"].split("; ")
        assert set(policy) == {
            "default-src 'none'",
            f"style-src 'sha256-{hashed}'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        }
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        read = Read(answer.text)
        assert not {name for name, _ in read.tags} & {"script", "link", "img", "iframe", "object", "b"}
        assert not [
            value for _, given in read.tags for name, value in given.items() if name in {"src", "action", "style"}
        ]
        assert all(not one["href"] for one in read.all("a"))
        assert "Example &lt;Inc&gt;" in answer.text


async def test_an_invitation_is_looked_at_and_accepted(house: House) -> None:
    """With a name and a username; the same form again is the same acceptance, another one is told that it is used."""
    path = f"/invitations/{await house.invited(role='Editor', note='Welcome & hello')}"
    before = await house.snapshot()
    shown = await house.client.get(path)
    assert await house.snapshot() == before
    form = {name: value or "" for name, value in fields(shown).items()}
    assert form == {"key": form["key"], "email": _EMAIL, "full_name": "", "username": "", "password": ""}
    assert "Welcome &amp; hello" in shown.text
    for _ in range(2):
        done = await house.client.post(path, data={**form, "full_name": "Ada", "password": _PASSWORD})
        assert (done.status_code, "Your account is there" in done.text) == (200, True)
    other = await house.client.post(path, data={**form, "password": _NEW})
    assert (other.status_code, "has been accepted already" in other.text) == (409, True)
    assert (await house.client.get(path)).status_code == 409
    assert await house.signs_in(_PASSWORD)
    (account,) = [one for one in await records_of(house.semel.parts.engine.store) if isinstance(one, Account)]
    assert (account.full_name, account.username, account.role) == ("Ada", None, "Editor")


async def test_a_form_that_is_refused_keeps_what_was_typed(house: House) -> None:
    """But the password; and it can be sent again, corrected, under the same key."""
    await house.semel.register(email="b@example.com", password=_PASSWORD, username="taken")
    path = f"/invitations/{await house.invited()}"
    key = fields(await house.client.get(path))["key"]
    sent = {"key": key, "full_name": '"><i>Ada', "username": "taken", "password": _PASSWORD}
    told = await house.client.post(path, data=sent)
    assert (told.status_code, "already taken" in told.text) == (409, True)
    kept = fields(told)
    assert (kept["key"], kept["full_name"], kept["username"], kept["password"]) == (key, '"><i>Ada', "taken", None)
    assert not Read(told.text).all("i")
    empty = await house.client.post(path, data={**sent, "username": "", "password": ""})
    assert (empty.status_code, "Choose a password" in empty.text) == (422, True)
    assert (await house.client.post(path, data={**sent, "username": "ada"})).status_code == 200


async def test_the_end_of_an_invitation_is_a_page(house: House) -> None:
    """Revoked, over, unknown; and an email that has an account is led to it."""
    token = Secret((await sign_up(house, "b@example.com"))["sign_up_token"])
    taken = f"/invitations/{await house.invited(email='b@example.com')}"
    await house.semel.open_link(await house.token(LinkPurpose.VERIFY), sign_up_token=token)
    over = f"/invitations/{await house.invited(seconds=60)}"
    house.clock.advance(60)
    answers = {over: (410, "over"), "/invitations/none": (404, ""), taken: (409, "Sign in with that")}
    for path, (status, says) in answers.items():
        answer = await house.client.post(path, data={"password": _PASSWORD})
        assert (answer.status_code, "<form" in answer.text) == (status, False)
        assert says.lower() in answer.text.lower()


async def test_accepting_by_a_page_has_the_same_limit() -> None:
    """429 as a page, with when to come back; a replay is no attempt."""
    limited = settings(rate_limits="memory", rate_limit_invitation_by_address="1/hour")
    semel = Semel(limited)
    async with running(create_app(limited, semel=semel)) as client:
        token = (await semel.invite(Invite(email=_EMAIL, invited_by="a test"))).token.reveal()
        path = f"/invitations/{token}"
        assert (await client.post(path, data={"password": _PASSWORD})).status_code == 200
        refused = await client.post(path, data={"password": _PASSWORD})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
        assert refused.headers["ratelimit"] == '"invitation_by_address";r=0;t=3600'
        assert "Try again" in refused.text
        assert (await client.get(path)).status_code == 409


async def test_no_token_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await sign_up(house)
    link, invitation = await house.token(LinkPurpose.VERIFY), await house.invited(email="b@example.com")
    for path in (f"/links/{link}", f"/invitations/{invitation}"):
        await house.client.get(path)
        await house.client.post(path, data={"password": _NEW})
    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    routes = [line["route"] for line in told if line.get("event") == "http.request"]
    assert routes[-4:] == ["/links/{token}"] * 2 + ["/invitations/{token}"] * 2
    ours = str([record.__dict__ for record in caplog.records if record.name != "httpx"])  # which is the client's
    assert not [one for one in (link, invitation, _NEW, _EMAIL) if one in ours]


async def test_an_application_of_ones_own_has_the_page_too() -> None:
    """Under its prefix, with the same headers, though nothing stands around it."""
    from fastapi import FastAPI  # noqa: PLC0415 - for this test alone

    semel = Semel(_SETTINGS)
    app = FastAPI()
    app.include_router(router(semel), prefix="/people")
    async with running(app) as client:
        await client.post("/people/api/auth/signup", json={"email": _EMAIL, "password": _PASSWORD})
        token = await House(semel, VirtualClock(), client).token(LinkPurpose.VERIFY)
        shown = await client.get(f"/people/links/{token}")
        assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
        assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]
        assert (await client.post(f"/people/links/{token}", data={"password": _NEW})).status_code == 200
        assert "/people/links/{token}" not in (await client.get("/openapi.json")).json()["paths"]
