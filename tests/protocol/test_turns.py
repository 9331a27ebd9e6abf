"""Where a hash is slow, one request of a process hashes for an identifier, and the others are refused without."""

import asyncio
from collections import Counter

from semel.errors import SemelError
from semel.protocol.engine import Registered
from semel.testing import Fault
from tests.protocol.worlds import CREATED, World

CROWD = 50


async def _crowd(world: World, *servers: str) -> Counter[str]:
    """Let a crowd want one email at once, each with a key of its own; return what they are told."""
    world.network.always(Fault.SLOW, "commit")
    calls = [
        world.server(servers[number % len(servers)]).register(idempotency_key=f"the key of number {number:04}")
        for number in range(CROWD)
    ]
    return Counter(map(_told, await asyncio.gather(*calls, return_exceptions=True)))


def _told(answer: Registered | BaseException) -> str:
    if isinstance(answer, Registered):
        return "created"
    assert isinstance(answer, SemelError), repr(answer)
    return answer.code


async def test_a_crowd_costs_one_hash() -> None:
    """The first hashes; whoever comes meanwhile waits for it, looks, and is refused."""
    world = World(None, slow=True)
    assert await _crowd(world, "A") == {"created": 1, "user_already_exists": CROWD - 1}
    assert world.hasher.hashed == 1
    assert world.left() == CREATED


async def test_each_server_hashes_once() -> None:
    """Two servers know nothing of each other's turns: the store decides between their firsts."""
    world = World(None, slow=True)
    assert await _crowd(world, "A", "B") == {"created": 1, "user_already_exists": CROWD - 1}
    assert world.hasher.hashed == 2
    assert world.left() == CREATED


async def test_the_next_has_its_turn_when_the_first_fails() -> None:
    """A turn ends with its request, however that ends, and strands nobody."""
    world = World(None, slow=True)
    world.network.next("commit", Fault.REFUSE)
    assert await _crowd(world, "A") == {"store_rejected": 1, "created": 1, "user_already_exists": CROWD - 2}
    assert world.hasher.hashed == 2
    assert world.left() == CREATED


async def test_other_people_wait_for_nobody() -> None:
    """Who wants something else is not held up by a turn that does not end."""
    world = World(None, slow=True, flowing=False)
    world.network.next("commit", Fault.SLOW)
    reached = asyncio.Event()
    world.network.before("commit", reached.set)
    held_up = asyncio.ensure_future(world.server().register())
    await reached.wait()
    other = await world.server().register(email="grace@example.org")
    assert not held_up.done()
    assert other.account.email == "grace@example.org"
    world.clock.advance(60)
    assert (await held_up).account.id != other.account.id
