"""Two servers are one service: sessions hold at both, and either ends gracefully."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import msgspec

from tests.e2e.site import SIGN_UP, Site


async def test_a_session_holds_at_every_server(site: Site) -> None:
    """Signed in at one server; known, refreshed and signed out at the other; and then gone at both."""
    body = site.person()
    async with (
        httpx.AsyncClient(base_url=site.first.url) as first,
        httpx.AsyncClient(base_url=site.second.url) as second,
    ):
        made = (await first.post(SIGN_UP, json=body)).json()
        said = await first.post("/api/auth/login", json={"email": body["email"], "password": body["password"]})
        tokens = {name: site.servers.hide(said.json()[name]) for name in ("access_token", "refresh_token")}
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await second.get("/api/me", headers=bearer)).json()["id"] == made["user_id"]
        refreshed = await second.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        site.servers.hide(refreshed.json()["access_token"])
        assert refreshed.json()["account"]["id"] == made["user_id"]
        assert (await second.post("/api/auth/logout", headers=bearer)).status_code == 204
        assert (await first.get("/api/me", headers=bearer)).status_code == 401


async def test_a_server_told_to_stop_answers_what_it_has_begun(site: Site) -> None:
    """A sign-up whose last byte comes after the server was told to stop gets its 201; then the server ends with 0."""
    body = msgspec.json.encode(site.person())
    begun, stopping = asyncio.Event(), asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield body[:-1]
        begun.set()
        await stopping.wait()
        yield body[-1:]

    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    with site.servers.running(site.url) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            await client.get("/healthz")  # so that the connection is there
            asking = asyncio.create_task(client.post(SIGN_UP, content=content(), headers=headers))
            await begun.wait()
            stopped = asyncio.create_task(asyncio.to_thread(server.stop))
            await _refused(server.url)
            stopping.set()
            assert (await asking).status_code == 201
            assert await stopped == 0


async def _refused(url: str) -> None:
    """Return once nobody listens at the URL."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*urlsplit(url).netloc.split(":"))
        except ConnectionError:
            return
        writer.close()
