"""Two server processes on one database, once for each kind of database."""

from collections.abc import Iterator

import pytest

from tests.e2e.grounds import PostgresGround, SqliteGround
from tests.e2e.killing import warm_up
from tests.e2e.rows import Rows
from tests.e2e.scenes import Stage
from tests.e2e.site import Site
from tests.servers import Servers
from tests.services import PostgresServer


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def rows(request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """A database with Semel's tables."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'semel.db'}"
        servers.migrate(url)
        yield Rows(url)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        servers.migrate(url)
        yield Rows(url)
    if server.log is not None:
        servers.look_through(server.log)


@pytest.fixture(scope="session")
def site(servers: Servers, rows: Rows) -> Iterator[Site]:
    with servers.starting(rows.url) as first, servers.starting(rows.url) as second:
        first.wait("/readyz")
        second.wait("/readyz")
        yield Site(servers, rows, first, second)


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def stage(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Where scenes are made, with a database of their own each."""
    warm_up()
    directory = tmp_path_factory.mktemp("stage")
    if request.param == "sqlite":
        yield Stage(SqliteGround(directory), servers, directory)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield Stage(PostgresGround(url), servers, directory)
