"""The answer was lost: what the second try meets, with a key and without, at two servers on each store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.e2e.site import SIGN_UP, Site, key
from tests.proxy import Proxy
from tests.servers import Server


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A caller at the second server: retries never meet the memory of the first."""
    async with httpx.AsyncClient(base_url=site.second.url, timeout=60) as client:
        yield client


async def _lost(server: Server, cut: Callable[[Proxy], None], body: dict[str, Any], headers: dict[str, str]) -> None:
    """Send a sign-up whose caller sees nothing but a broken connection."""
    async with Proxy.before(server.url) as proxy:
        cut(proxy)
        async with httpx.AsyncClient(base_url=proxy.through(server.url), timeout=60) as caller:
            with pytest.raises(httpx.TransportError):
                await caller.post(SIGN_UP, json=body, headers=headers)


@pytest.mark.parametrize("cut", [Proxy.cut_before_request, Proxy.cut_after_request, Proxy.cut_before_answer])
@pytest.mark.parametrize("keyed", [True, False])
async def test_the_same_request_again_is_the_same_success(
    site: Site,
    client: httpx.AsyncClient,
    cut: Callable[[Proxy], None],
    keyed: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    """Wherever the connection broke, before the commit, meanwhile or after it: 201, and one account in all."""
    body, headers = site.person(), key() if keyed else {}
    await _lost(site.first, cut, body, headers)
    answers = [await client.post(SIGN_UP, json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(await site.accounts(body["email"])) == 1


@pytest.mark.parametrize("change", [{"name": "Another"}, {"password": "Another-Pass-123$"}, {"email": "b@example.com"}])
async def test_something_else_under_a_used_key_is_refused(
    site: Site, client: httpx.AsyncClient, change: dict[str, str]
) -> None:
    """422 for another body and for another password alike, with no token and nothing of the account in it."""
    body, headers = site.person(), key()
    await _lost(site.first, Proxy.cut_before_answer, body, headers)
    refused = await client.post(SIGN_UP, json={**body, **change}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    honest = await client.post(SIGN_UP, json=body, headers=headers)
    assert "token" not in refused.text
    assert honest.json()["user_id"] not in refused.text


async def test_without_a_key_the_same_intent_has_a_window(site: Site, client: httpx.AsyncClient) -> None:
    """Within the window the same 201; a server whose window is over answers 409, and names the fields."""
    body = site.person()
    await _lost(site.first, Proxy.cut_before_answer, body, {})
    assert (await client.post(SIGN_UP, json=body)).status_code == 201
    with site.servers.running(site.url, SEMEL_SAME_INTENT_SECONDS="0.3") as impatient:
        async with httpx.AsyncClient(base_url=impatient.url) as late, asyncio.timeout(60):
            while (answer := await late.post(SIGN_UP, json=body)).status_code == 201:
                pass
    assert (answer.status_code, answer.json()["code"]) == (409, "user_already_exists")
    assert {fault["field"] for fault in answer.json()["errors"]} == {"email", "username"}


async def test_another_password_without_a_key_is_refused(site: Site, client: httpx.AsyncClient) -> None:
    """Within the window, too, only the right password makes it the same intent."""
    body = site.person()
    await _lost(site.first, Proxy.cut_before_answer, body, {})
    answer = await client.post(SIGN_UP, json={**body, "password": site.servers.secret()})
    assert (answer.status_code, answer.json()["code"]) == (409, "user_already_exists")
