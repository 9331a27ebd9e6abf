"""The real clock, randomness and password hashes: the only module that reads a clock or draws at random."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from threading import Lock
from typing import Final, TypeVar

import msgspec
from argon2 import PasswordHasher, extract_parameters, low_level
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from semel.errors import ConfigurationInvalid, Overloaded, StoreInconsistent
from semel.model import Secret
from semel.passwords import prepared

__all__ = ["Argon2Hasher", "Argon2Options", "BoundedThreads", "SystemClock", "SystemIds"]

T = TypeVar("T")

_NO_MEMORY: Final = low_level.error_to_str(-22)  # ARGON2_MEMORY_ALLOCATION_ERROR, which the package does not name
_LATER: Final = 5.0
"""When to come back to a machine without memory, in seconds."""


class SystemClock:
    """The clock of this machine (``ports.Clock``)."""

    def now(self) -> datetime:
        """See ``Clock.now``."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock.sleep``."""
        await asyncio.sleep(seconds)


class SystemIds:
    """Randomness of the operating system (``ports.Ids``): good for secrets, and for processes that fork."""

    _random: Final = secrets.SystemRandom()

    def uuid(self) -> str:
        """Return a UUID7 (RFC 9562, 5.7): milliseconds, 12 bits of finer time (6.2, method 3), 62 random bits.

        So ids sort nearly as they were made, which keeps the pages of an index warm.
        """
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        finer = (rest << 12) // 1_000_000
        fields = milliseconds << 80 | 0x7 << 76 | finer << 64 | 0b10 << 62 | secrets.randbits(62)
        text = f"{fields:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def token(self) -> int:
        """See ``Ids.token``."""
        # 0 means "never stored": the one value in 2**64 that is not drawn.
        return int.from_bytes(secrets.token_bytes(8), signed=True) or self.token()

    def secret(self) -> str:
        """See ``Ids.secret``."""
        return secrets.token_urlsafe(32)

    def jitter(self) -> float:
        """See ``Ids.jitter``."""
        return self._random.random()


class BoundedThreads:
    """Threads with admission control: work beyond what runs and what may wait is refused at once.

    A queue without a bound only makes everybody wait longer than they will. May be used from several event loops.
    """

    def __init__(self, threads: int, queue: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._capacity = threads + queue
        self._lock = Lock()
        self._admitted = 0
        self._pace = 0.0

    @property
    def depth(self) -> int:
        """How much work is admitted and not done: what runs and what waits."""
        return self._admitted

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread and return what it returns. Raises ``Overloaded`` where the queue is full.

        Who is cancelled while waiting in the queue leaves it; work that has begun is done, and takes its place until
        then.
        """
        with self._lock:
            if self._admitted >= self._capacity:
                raise Overloaded(retry_after=max(1.0, self._admitted * self._pace / self._threads))
            job = self._executor.submit(self._timed, work)
            self._admitted += 1
        job.add_done_callback(self._release)
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """Do what is admitted, then end the threads; blocks until then. May be called twice."""
        self._executor.shutdown()

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return work()
        finally:
            self._pace += (time.monotonic() - began - self._pace) / 8  # a moving average

    def _release(self, _job: object) -> None:
        with self._lock:
            self._admitted -= 1


class Argon2Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a hash costs, and how many are made at once. Raises ``ConfigurationInvalid`` where Argon2 would refuse.

    The defaults are the profile that OWASP's Password Storage Cheat Sheet recommends first.
    """

    memory_kib: int = 19_456
    time_cost: int = 2
    """Passes over the memory."""
    parallelism: int = 1
    """Lanes of one hash. Requests run beside each other anyway, so more lanes make no more hashes a second."""
    hash_length: int = 32
    """In bytes."""
    salt_length: int = 16
    """In bytes."""
    threads: int = msgspec.field(default_factory=lambda: os.cpu_count() or 1)
    """How many hashes are made at once, so how often the memory is taken."""
    queue: int = 128
    """How many more may wait; the next one is refused."""

    def __post_init__(self) -> None:
        """Check the bounds: those of RFC 9106, 3.1, and 128 bits of hash."""
        least = {
            "parallelism": 1,
            "memory_kib": 8 * self.parallelism,
            "time_cost": 1,
            "hash_length": 16,
            "salt_length": 8,
            "threads": 1,
            "queue": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigurationInvalid(f"{name} must be at least {bound}")


class Argon2Hasher:
    """Argon2id (RFC 9106) in bounded threads (``ports.Hasher``)."""

    slow = True

    def __init__(self, options: Argon2Options | None = None) -> None:
        options = options or Argon2Options()
        self._argon2 = PasswordHasher(
            time_cost=options.time_cost,
            memory_cost=options.memory_kib,
            parallelism=options.parallelism,
            hash_len=options.hash_length,
            salt_len=options.salt_length,
        )
        self._threads = BoundedThreads(options.threads, options.queue, "semel-argon2")

    @property
    def depth(self) -> int:
        """How many hashes are being made or wait for a thread."""
        return self._threads.depth

    async def hash(self, password: Secret) -> str:
        """See ``Hasher.hash``."""
        return await self._threads.run(lambda: self._hashed(prepared(password)))

    async def verify(self, digest: str, password: Secret) -> bool:
        """See ``Hasher.verify``. Raises ``StoreInconsistent`` where the digest is none of Argon2's.

        What does not match costs what a hash of the present profile costs, also where the digest is of a cheaper one:
        else the time would tell an email that is known from one that is not.
        """
        return await self._threads.run(lambda: self._matches(digest, password))

    def outdated(self, digest: str) -> bool:
        """See ``Hasher.outdated``. What another algorithm made is outdated as well."""
        try:
            return self._argon2.check_needs_rehash(digest)
        except InvalidHashError:
            return True

    def close(self) -> None:
        """Make the hashes that are admitted, then end the threads; blocks until then. May be called twice."""
        self._threads.close()

    def _hashed(self, password: bytes) -> str:
        try:
            return self._argon2.hash(password)
        except HashingError:  # the options were checked, so it is the memory
            raise Overloaded("there is not memory enough to hash a password", retry_after=_LATER) from None

    def _matches(self, digest: str, password: Secret) -> bool:
        try:
            return self._argon2.verify(digest, prepared(password))
        except VerifyMismatchError:
            self._spend_the_rest(digest)
            return False
        except (InvalidHashError, VerificationError) as error:
            if str(error) == _NO_MEMORY:
                raise Overloaded("there is not memory enough to check a password", retry_after=_LATER) from None
            # The cause may quote the digest.
            raise StoreInconsistent("the credential of an identity is no Argon2 hash") from None

    def _spend_the_rest(self, digest: str) -> None:
        """Do the work that a hash of the present profile takes beyond that of the digest: memory times passes."""
        theirs, ours = extract_parameters(digest), self._argon2
        rest = ours.memory_cost * ours.time_cost - theirs.memory_cost * theirs.time_cost
        passes = max(1, -(-rest // ours.memory_cost))  # rounded up: never more memory than is configured
        memory = rest // passes
        if memory >= 8 * ours.parallelism:  # RFC 9106, 3.1
            with suppress(HashingError):  # where there is no memory, there is no time to be evened out
                salt = bytes(ours.salt_len)
                low_level.hash_secret_raw(b"", salt, passes, memory, ours.parallelism, ours.hash_len, ours.type)
