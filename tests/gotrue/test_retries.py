"""What the official clients do at a 503, which is all that Semel answers while it cannot know: they try again.

The store is a PostgreSQL that goes away and comes back, so every answer is the server's own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from supabase_auth import AuthChangeEvent, Session, SignInWithEmailAndPasswordCredentials, SyncMemoryStorage
from supabase_auth.constants import STORAGE_KEY
from supabase_auth.errors import AuthRetryableError

from tests.gotrue.clients import PASSWORD, Clients, somebody, story
from tests.gotrue.instances import SETTINGS
from tests.proxy import Proxy
from tests.servers import Servers


@dataclass(frozen=True)
class Site:
    """A server, and the way to its store, which a test can take away."""

    clients: Clients
    store: Proxy


@pytest.fixture
async def site(servers: Servers, postgres_database: str) -> AsyncIterator[Site]:
    await asyncio.to_thread(servers.migrate, postgres_database)
    async with Proxy.before(postgres_database) as store:
        with servers.starting(store.through(postgres_database), **SETTINGS["on"]) as server:
            await asyncio.to_thread(server.wait, "/readyz")
            with Clients(f"{server.url}/auth/v1") as clients:
                yield Site(clients, store)
            # Told here, while the store can be reached: the loop must run for that.
            await asyncio.to_thread(server.stop)


async def test_the_javascript_client_refreshes_until_the_store_is_back(site: Site) -> None:
    """A sign-in is told that it may be tried again; a refresh is tried again by the client itself."""
    process = await story("busy", site.clients.api)
    assert process.stdout is not None
    assert process.stdin is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode().strip())
        if lines[-1] == "signed up":
            await site.store.down()
            process.stdin.write(b"\n")
        elif lines[-1] == "busy" and lines.count("busy") == 2:
            await site.store.up()
    assert await process.wait() == 0, "\n".join(lines)
    assert lines.count("busy") >= 2


async def test_the_python_client_takes_it_for_an_error_that_passes(site: Site) -> None:
    """``AuthRetryableError`` with the status; the same call works once the store is back."""
    person = site.clients.anon()
    given: SignInWithEmailAndPasswordCredentials = {"email": somebody(), "password": PASSWORD}
    await asyncio.to_thread(person.sign_up, {"email": given["email"], "password": PASSWORD})
    await site.store.down()
    with pytest.raises(AuthRetryableError) as error:
        await asyncio.to_thread(person.sign_in_with_password, given)
    assert error.value.status == 503
    await site.store.up()
    assert (await asyncio.to_thread(person.sign_in_with_password, given)).session is not None


async def test_the_python_client_refreshes_until_the_store_is_back(site: Site) -> None:
    """It found a session that has expired in its storage, and is told 503 before it is given a new one."""
    storage = SyncMemoryStorage()
    person = site.clients.anon(storage)
    signed_up = await asyncio.to_thread(person.sign_up, {"email": somebody(), "password": PASSWORD})
    assert signed_up.session is not None
    expired = {**signed_up.session.model_dump(mode="json"), "expires_at": int(time.time()) - 1}
    storage.set_item(STORAGE_KEY, json.dumps(expired))
    refreshed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(event: AuthChangeEvent, _: Session | None) -> None:
        if event == "TOKEN_REFRESHED":
            loop.call_soon_threadsafe(refreshed.set)

    person.on_auth_state_change(note)
    await site.store.down()
    await asyncio.to_thread(person.initialize_from_storage)
    assert not refreshed.is_set()
    await site.store.up()
    await refreshed.wait()
    now = await asyncio.to_thread(person.get_session)
    assert now is not None
    assert now.refresh_token != signed_up.session.refresh_token
    await asyncio.to_thread(person.sign_out)
