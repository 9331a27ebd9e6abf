"""Identities in the store itself: the credential is a field of the identity's record, so one commit makes both."""

from __future__ import annotations

from semel.model import Identity, Secret
from semel.ports import Hasher

__all__ = ["EmbeddedPasswords"]


class EmbeddedPasswords:
    """Passwords checked against hashes in the store (``ports.EmbeddedProvider``)."""

    def __init__(self, hasher: Hasher) -> None:
        self.slow = hasher.slow
        self._hasher = hasher

    async def enrol(self, identity: Identity, password: Secret) -> Identity:
        """See ``EmbeddedProvider.enrol``."""
        return identity.but(credential=await self._hasher.hash(password))

    async def verify(self, identity: Identity | None, password: Secret) -> bool:
        """See ``EmbeddedProvider.verify``. An identity without a credential has no password that is right."""
        if identity is None or identity.credential is None:
            # Making a hash costs what verifying one costs, so the time tells nobody that there was nothing to verify.
            await self._hasher.hash(password)
            return False
        return await self._hasher.verify(identity.credential, password)

    def outdated(self, identity: Identity) -> bool:
        """See ``EmbeddedProvider.outdated``."""
        return identity.credential is not None and self._hasher.outdated(identity.credential)
