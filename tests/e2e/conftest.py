"""Two server processes on one store, once for each kind of store; and one that is the identity provider of others."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.e2e.beyond import Second, second
from tests.e2e.grounds import KINDS, ground
from tests.e2e.killing import warm_up
from tests.e2e.scenes import Stage
from tests.e2e.site import Site
from tests.servers import Servers
from tests.services import PostgresServer


@pytest.fixture(scope="session", params=KINDS)
def site(request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ground(request.param, request, servers, tmp_path_factory.mktemp("site")) as made:
        url = made.empty()
        servers.migrate(url)
        with servers.starting(url) as first, servers.starting(url) as second:
            first.wait("/readyz")
            second.wait("/readyz")
            yield Site(servers, url, first, second)


@pytest.fixture(scope="session", params=KINDS)
def stage(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Where scenes are made, with a store of their own each."""
    warm_up()
    directory = tmp_path_factory.mktemp("stage")
    with ground(request.param, request, servers, directory) as made:
        yield Stage(made, servers, directory)


@pytest.fixture(scope="session")
def second_semel(servers: Servers, postgres: PostgresServer) -> Iterator[Second]:
    """A ``semel serve`` with Supabase's API, over a database of its own."""
    with postgres.database() as url:
        made = second(servers, url)
        with servers.running(url, **made.variables) as server:
            yield replace(made, url=server.url)
    if postgres.log is not None:
        servers.look_through(postgres.log)
