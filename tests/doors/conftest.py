"""A house for each kind of store and provider, kept for all doors; each test finds it empty."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Protocol

import pytest
import pytest_asyncio

from tests.doors.house import House, open_house
from tests.doors.table import DOORS, Row
from tests.e2e.grounds import Ground, ground
from tests.http.conftest import every_answer_is_declared
from tests.servers import Servers

__all__ = ["every_answer_is_declared"]


class Houses(Protocol):
    """Opens each house once."""

    async def __call__(self, kind: str, *, remote: bool, proving: bool = False) -> House: ...


CASES = [(row, remote) for row in DOORS for remote in (False, True) if not (remote and row.embedded_only)]


@pytest.fixture(scope="session")
def sqlite_ground(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with ground("sqlite", request, servers, tmp_path_factory.mktemp("doors")) as made:
        yield made


@pytest.fixture(scope="session")
def postgres_ground(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with ground("postgres", request, servers, tmp_path_factory.mktemp("doors")) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def houses(sqlite_ground: Ground, postgres_ground: Ground) -> AsyncIterator[Houses]:
    grounds = {"sqlite": sqlite_ground, "postgres": postgres_ground}
    async with AsyncExitStack() as stack:
        made: dict[tuple[str, bool, bool], House] = {}

        async def opened(kind: str, *, remote: bool, proving: bool = False) -> House:
            """Return the house, opened at the first time, with nothing in it."""
            name = kind, remote, proving
            if name not in made:
                house = open_house(await grounds[kind].new(), remote=remote, proving=proving)
                made[name] = await stack.enter_async_context(house)
            await made[name].empty()
            return made[name]

        yield opened


@pytest.fixture(params=CASES, ids=[f"{row.name}-{'remote' if remote else 'embedded'}" for row, remote in CASES])
def case(request: pytest.FixtureRequest) -> tuple[Row, bool]:
    found: tuple[Row, bool] = request.param
    return found


@pytest.fixture
def row(case: tuple[Row, bool]) -> Row:
    return case[0]


@pytest_asyncio.fixture(loop_scope="session")
async def house(houses: Houses, case: tuple[Row, bool]) -> House:
    """Two servers over SQLite."""
    return await houses("sqlite", remote=case[1], proving=case[0].proving)


@pytest_asyncio.fixture(loop_scope="session", params=["sqlite", "postgres"])
async def any_house(request: pytest.FixtureRequest, houses: Houses, case: tuple[Row, bool]) -> House:
    """Two servers over SQLite, or over PostgreSQL."""
    return await houses(request.param, remote=case[1], proving=case[0].proving)
