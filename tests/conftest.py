"""What every test may ask for: how much to do, and real servers."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.emulators import Emulator, azurite, dynoxide
from tests.keycloak import Keycloak, keycloak_of_the_run
from tests.scale import SCALE, Scale
from tests.servers import Servers
from tests.services import PostgresServer, pgbouncer, postgres_server, redis_server
from tests.tables import line, pytest_terminal_summary

__all__ = ["line", "pytest_terminal_summary"]

# Never a deadline: no test here judges absolute time. The normal run is the same each time; the full one explores.
settings.register_profile("normal", deadline=None, derandomize=True)
settings.register_profile("full", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(SCALE.name)


@pytest.fixture(scope="session")
def scale() -> Scale:
    return SCALE


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the process that runs the tests."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[Emulator]:
    """One DynamoDB server for the process that runs the tests."""
    with dynoxide() as server:
        yield server


@pytest.fixture(scope="session")
def azure_tables() -> Iterator[Emulator]:
    """One Azure Tables server likewise."""
    with azurite() as server:
        yield server


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """One Keycloak for all processes that run the tests."""
    directory = tmp_path_factory.getbasetemp()
    with keycloak_of_the_run(directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory) as server:
        yield server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Starts servers. In the end nothing that any of them printed may show a secret of the tests."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.check()


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    """The URL of a Redis for the process that runs the tests."""
    with redis_server() as url:
        yield url


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database. A connection that outlives its test fails the test."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def pgbouncer_database(postgres_database: str) -> Iterator[str]:
    """The URL of the same database through PgBouncer in transaction mode."""
    with pgbouncer(postgres_database) as url:
        yield url
