"""A hasher for tests and benchmarks alone."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from semel.model import Secret
from semel.passwords import prepared

__all__ = ["CheapHasher"]

_KEY: Final = b"semel.testing: known to everybody"


class CheapHasher:
    """A hasher (``ports.Hasher``) that protects nobody: **not for production**.

    It costs microseconds, has no salt and its key is public, so whoever reads a hash finds the password. In return it
    never suspends and always answers the same. ``profile`` stands for the parameters: a hash made under another is
    outdated.
    """

    def __init__(self, profile: str = "1", *, slow: bool = False) -> None:
        self.slow = slow
        """Whether the engine is to treat it like one that takes long."""
        self._prefix = f"$not-for-production${profile}$"

    async def hash(self, password: Secret) -> str:
        """See ``Hasher.hash``; equal passwords have equal hashes."""
        return self._prefix + self._mac(password)

    async def verify(self, digest: str, password: Secret) -> bool:
        """See ``Hasher.verify``."""
        return hmac.compare_digest(digest.rpartition("$")[2], self._mac(password))

    def outdated(self, digest: str) -> bool:
        """See ``Hasher.outdated``."""
        return not digest.startswith(self._prefix)

    def _mac(self, password: Secret) -> str:
        return hmac.new(_KEY, prepared(password), hashlib.sha256).hexdigest()
