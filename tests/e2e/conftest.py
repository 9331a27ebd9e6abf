"""Two server processes on one database, once for each kind of database."""

from collections.abc import Iterator

import pytest

from tests.e2e.rows import Rows
from tests.e2e.site import Site
from tests.servers import Servers
from tests.services import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def rows(request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """A database with Semel's tables."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'semel.db'}"
        servers.migrate(url)
        yield Rows(url)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    if server.log is not None:
        servers.watch(server.log)
    with server.database() as url:
        servers.migrate(url)
        yield Rows(url)


@pytest.fixture(scope="module")
def site(servers: Servers, rows: Rows) -> Iterator[Site]:
    with servers.running(rows.url) as first, servers.running(rows.url) as second:
        yield Site(servers, rows, first, second)
