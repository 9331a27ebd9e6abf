"""Servers with Supabase's API: one for each set of settings and process that runs tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.gotrue.clients import OTHER_PASSWORD, PASSWORD, Clients
from tests.gotrue.instances import SETTINGS, UNTOUCHED
from tests.gotrue.tokens import HEAD, SECRET
from tests.servers import Server, Servers

Api = Callable[[str], str]
"""Returns the base URL of Supabase's API as an instance of the recordings has it."""


@pytest.fixture(scope="session")
def api(servers: Servers) -> Iterator[Api]:
    for secret in (SECRET, PASSWORD, OTHER_PASSWORD, HEAD):
        servers.hide(secret)
    running: dict[object, Server] = {}
    with ExitStack() as ended:

        def started(instance: str) -> str:
            settings = SETTINGS[instance]
            key = instance if instance in UNTOUCHED else frozenset(settings.items())
            if key not in running:
                running[key] = ended.enter_context(servers.running("memory:", **settings))
            return f"{running[key].url}/auth/v1"

        yield started
        for each in running.values():
            each.kill()  # it has nothing to keep


@pytest.fixture
def clients(api: Api) -> Iterator[Clients]:
    """Python clients of a server where an email that signs up counts as confirmed."""
    with Clients(api("on")) as clients:
        yield clients
