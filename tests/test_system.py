"""The real clock, ids and hasher keep what the ports promise; the pool refuses at once and loses no place."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest

from semel.errors import ConfigurationInvalid, Overloaded, StoreInconsistent
from semel.model import Secret
from semel.ports import Clock, Hasher, Ids
from semel.system import Argon2Hasher, Argon2Options, BoundedThreads, SystemClock, SystemIds

WEAK = Argon2Options(memory_kib=8, time_cost=1, threads=2, queue=2)
PASSWORD = Secret("StrongPass123$")


@pytest.fixture
def hasher() -> Iterator[Argon2Hasher]:
    hasher = Argon2Hasher(WEAK)
    yield hasher
    assert hasher.depth == 0
    hasher.close()


@pytest.fixture
def pool() -> Iterator[BoundedThreads]:
    """Give one thread and one place to wait, and look that both are free at the end."""
    pool = BoundedThreads(threads=1, queue=1, name="test-pool")
    yield pool
    pool.close()
    assert pool.depth == 0
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("test-pool")]


class Work:
    """Work that begins, tells so, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()

    def __call__(self) -> bool:
        self.begun.set()
        return self.end.wait(timeout=60)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 60)


async def test_the_clock_is_aware_and_goes_forward() -> None:
    """UTC with its zone; the monotonic one spans a sleep."""
    clock = SystemClock()
    assert isinstance(clock, Clock)
    assert clock.now().tzinfo is UTC
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    before = clock.monotonic()
    await clock.sleep(0.001)
    assert clock.monotonic() - before >= 0.001


def test_uuids_are_of_version_7() -> None:
    """Version, variant and milliseconds stand where RFC 9562 puts them, in the usual spelling."""
    before = time.time_ns() // 1_000_000
    made = SystemIds().uuid()
    after = time.time_ns() // 1_000_000
    parsed = UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (7, RFC_4122)
    assert before <= parsed.int >> 80 <= after


def test_uuids_sort_as_they_were_made() -> None:
    """Milliseconds first, then the finer part of the time: what was made later sorts later, within a clock's tick."""
    ids = SystemIds()
    made = []
    for _ in range(50):
        tick = time.time_ns()
        made.append(ids.uuid())
        while time.time_ns() - tick < 1_000:
            pass
    assert made == sorted(made)


def test_a_forked_process_draws_anew() -> None:
    """Servers that fork share no state that would make them draw the same."""
    program = """
import os
from semel.system import SystemIds
ids = SystemIds()
ids.uuid(), ids.token(), ids.secret(), ids.jitter()
child = os.fork()
os.write(1, f"{ids.uuid()} {ids.token()} {ids.secret()} {ids.jitter()}\\n".encode())
child and os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    drawn = done.stdout.split()
    assert len(drawn) == len(set(drawn)) == 8


def test_tokens_are_signed_64_bit_numbers() -> None:
    """Both signs, all of the range, and never 0, which stands for a record that was never stored."""
    ids = SystemIds()
    assert isinstance(ids, Ids)
    tokens = [ids.token() for _ in range(1000)]
    assert all(-(2**63) <= token < 2**63 and token for token in tokens)
    assert min(tokens) < -(2**62)
    assert max(tokens) > 2**62


def test_secrets_and_jitter() -> None:
    """256 bits, URL-safe; jitter spreads over the whole of its range."""
    ids = SystemIds()
    assert len(ids.secret()) == 43
    spread = [ids.jitter() for _ in range(1000)]
    assert 0 <= min(spread) < 0.1
    assert 0.9 < max(spread) <= 1


async def test_a_full_pool_refuses_at_once(pool: BoundedThreads) -> None:
    """One runs, one waits, the third is told to come back; whoever was admitted is served."""
    first, second = Work(), Work()
    running, waiting = (asyncio.ensure_future(pool.run(work)) for work in (first, second))
    await first.has_begun()
    assert pool.depth == 2
    with pytest.raises(Overloaded) as refused:
        await pool.run(Work())
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    first.end.set()
    second.end.set()
    assert await running
    assert await waiting


async def test_a_cancelled_caller_leaves_the_queue(pool: BoundedThreads) -> None:
    """Work that has not begun is never done, and its place is free at once."""
    first, second, third = Work(), Work(), Work()
    running, waiting = (asyncio.ensure_future(pool.run(work)) for work in (first, second))
    await first.has_begun()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert pool.depth == 1
    following = asyncio.ensure_future(pool.run(third))
    first.end.set()
    third.end.set()
    assert await running
    assert await following
    assert not second.begun.is_set()


async def test_work_that_has_begun_keeps_its_place(pool: BoundedThreads) -> None:
    """A caller that goes away does not free the thread; the work's end does."""
    first = Work()
    running = asyncio.ensure_future(pool.run(first))
    await first.has_begun()
    running.cancel()
    await asyncio.wait([running])
    assert pool.depth == 1
    first.end.set()
    await pool.run(lambda: None)
    assert pool.depth == 0


async def test_work_that_fails_frees_its_place(pool: BoundedThreads) -> None:
    """Its error reaches the caller."""
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    assert pool.depth == 0


async def test_the_time_to_come_back_grows_with_the_work() -> None:
    """The refusal says how long the queue needs, as measured."""
    pool = BoundedThreads(threads=1, queue=100, name="test-slow")
    blocker = Work()
    await pool.run(lambda: time.sleep(0.1))
    admitted = [asyncio.ensure_future(pool.run(blocker)) for _ in range(101)]
    await blocker.has_begun()
    with pytest.raises(Overloaded) as refused:
        await pool.run(Work())
    blocker.end.set()
    await asyncio.gather(*admitted)
    pool.close()
    assert refused.value.retry_after is not None
    assert refused.value.retry_after > 1


async def test_a_hash_verifies_its_password_alone(hasher: Argon2Hasher) -> None:
    """Salted: two hashes of one password differ, and both verify it."""
    assert isinstance(hasher, Hasher)
    one, other = await hasher.hash(PASSWORD), await hasher.hash(PASSWORD)
    assert one != other
    assert one.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await hasher.verify(one, PASSWORD)
    assert await hasher.verify(other, PASSWORD)
    assert not await hasher.verify(one, Secret("StrongPass123"))


async def test_any_password_can_be_offered(hasher: Argon2Hasher) -> None:
    """Another keyboard's spelling is right; a lone surrogate, NUL or a megabyte are merely wrong."""
    digest = await hasher.hash(Secret("contrasen\u0303a"))
    assert await hasher.verify(digest, Secret("contraseña"))
    for wrong in ("\ud800", "contraseña\0", "x" * 1_000_000, ""):
        assert not await hasher.verify(digest, Secret(wrong))


async def test_a_hash_of_another_profile_is_outdated(hasher: Argon2Hasher) -> None:
    """It still verifies; sign-in makes it anew."""
    digest = await hasher.hash(PASSWORD)
    stronger = Argon2Hasher(Argon2Options(memory_kib=16, time_cost=1))
    assert not hasher.outdated(digest)
    assert stronger.outdated(digest)
    assert stronger.outdated("$2b$12$of.bcrypt")
    assert await stronger.verify(digest, PASSWORD)
    stronger.close()


async def test_a_wrong_password_costs_the_same_whatever_the_profile_of_its_hash(hasher: Argon2Hasher) -> None:
    """Else time would tell who has signed up before the profile was raised: what a cheap hash spares is spent."""
    cheap = await hasher.hash(PASSWORD)
    costly = Argon2Hasher(Argon2Options(memory_kib=19_456, time_cost=3, threads=1))
    begun = time.process_time()
    await costly.hash(PASSWORD)
    hashed = time.process_time()
    assert not await costly.verify(cheap, Secret("wrong"))
    refused = time.process_time()
    costly.close()
    assert (refused - hashed) / (hashed - begun) > 0.3  # work, not time; a cheap hash alone is some thousandth


async def test_without_memory_it_is_the_machine_that_is_at_fault() -> None:
    """Neither a hash nor a check says anything of the password, or of the store: both are refused for now."""
    greedy = Argon2Hasher(Argon2Options(memory_kib=2**31, threads=1))
    digest = "$argon2id$v=19$m=2147483648,t=2,p=1$c2FsdHNhbHQ$" + "A" * 43
    for refused in (greedy.hash(PASSWORD), greedy.verify(digest, PASSWORD)):
        with pytest.raises(Overloaded):
            await refused
    greedy.close()


@pytest.mark.parametrize("digest", ["", "$2b$12$of.bcrypt", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$!!"])
async def test_what_is_no_argon2_hash_is_an_inconsistency(hasher: Argon2Hasher, digest: str) -> None:
    """Somebody edited the table; no answer about the password would be honest. The error quotes nothing."""
    with pytest.raises(StoreInconsistent) as caught:
        await hasher.verify(digest, PASSWORD)
    assert caught.value.__cause__ is None


def test_the_default_is_the_profile_of_owasp() -> None:
    """19 MiB, two passes, one lane."""
    options = Argon2Options()
    assert (options.memory_kib, options.time_cost, options.parallelism) == (19_456, 2, 1)


@pytest.mark.parametrize(
    "wrong", ["memory_kib", "time_cost", "parallelism", "hash_length", "salt_length", "threads", "queue"]
)
def test_parameters_out_of_bounds_stop_the_start(wrong: str) -> None:
    """The error names the parameter."""
    with pytest.raises(ConfigurationInvalid, match=wrong):
        Argon2Options(**{wrong: -1})


async def test_a_burst_is_served_or_refused_and_leaves_nothing(hasher: Argon2Hasher) -> None:
    """Far more at once than there is room for: each is answered, and every place is free afterwards."""
    answers = await asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(50)), return_exceptions=True)
    made = [answer for answer in answers if isinstance(answer, str)]
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(made) >= 4
    assert len(made) + len(refused) == 50
    assert hasher.depth == 0
