"""Twenty registrations of one email under twenty ids, on DynamoDB: a service's repair, and Semel in its place."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from aiobotocore.session import AioSession

from semel.testing import SequentialIds
from semel.testing.aws_faults import AwsFault, AwsFaults
from tests.e2e.crowd import Crowd
from tests.e2e.site import Site
from tests.e2e.stories.user_service import UserAlreadyExistsError, UserService
from tests.scale import SCALE

pytestmark = pytest.mark.parametrize("site", ["dynamodb"], indirect=True)

CROWD = 20
ROUNDS = SCALE.pick(5, 50)
EMAIL = "ann@example.com"


@pytest.fixture
async def crowd(site: Site) -> AsyncIterator[Crowd]:
    async with Crowd([site.first, site.second], CROWD) as crowd:
        yield crowd


async def test_semel_makes_one_account_and_says_so_nineteen_times(site: Site, crowd: Crowd) -> None:
    """Each with a key of its own, at two servers: one 201, nineteen ``user_already_exists``, one account at rest."""
    for _ in range(ROUNDS):
        first = site.person()
        bodies = [{**site.person(), "email": first["email"]} for _ in range(CROWD)]
        answers = await crowd.sign_up(bodies, [str(uuid4()) for _ in range(CROWD)])
        told = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
        assert told == {(201, None): 1, (409, "user_already_exists"): CROWD - 1}
        (account,) = await site.accounts(first["email"])
        assert account.id in {answer.json().get("user_id") for answer in answers}


@asynccontextmanager
async def _service(session: AioSession) -> AsyncIterator[UserService]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(session.create_client("dynamodb"))
        service = UserService(client, f"users{uuid4().hex}")
        await service.create_table()
        yield service


async def _race(service: UserService, racers: int) -> Counter[str]:
    """Let requests for one email meet: all have saved before any asks the index, and asked before any deletes.

    Return what they are told.
    """
    abreast = asyncio.Barrier(racers)

    async def register() -> str:
        try:
            await service.create_user(EMAIL, abreast.wait)
        except UserAlreadyExistsError:
            return "already exists"
        return "created"

    return Counter(await asyncio.gather(*(register() for _ in range(racers))))


@pytest.mark.parametrize("racers", [2, CROWD])
async def test_the_repair_may_leave_nobody(site: Site, racers: int) -> None:
    """Each sees the others in the index and deletes its own row: all are told that the user exists, and none does."""
    del site
    async with _service(AioSession()) as service:
        assert await _race(service, racers) == {"already exists": racers}
        assert await service.users() == []


@pytest.mark.parametrize("racers", [2, CROWD])
async def test_the_repair_may_leave_two_rows(site: Site, racers: int) -> None:
    """The index lags, as it may, and the first two to ask see nobody: both are told that they made the user."""
    del site
    faults = AwsFaults(AwsFault.STALE_INDEX, jitter=SequentialIds().jitter)
    async with _service(faults.session()) as service:
        assert await _race(service, racers) == Counter({"created": 2, "already exists": racers - 2})
        assert await service.users() == [EMAIL] * 2
    assert faults.met[AwsFault.STALE_INDEX] > 0


async def test_the_repair_does_as_it_says_to_requests_that_never_meet(site: Site) -> None:
    """So the specimen is no straw man: one after the other, the first makes the user and the second is refused."""
    del site
    async with _service(AioSession()) as service:
        assert [await _race(service, 1) for _ in range(2)] == [{"created": 1}, {"already exists": 1}]
        assert await service.users() == [EMAIL]
