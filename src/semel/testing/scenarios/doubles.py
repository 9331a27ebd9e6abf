"""A store and a provider that say no for good."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from semel.errors import ApplicationRefused, StoreRejected
from semel.model import Account
from semel.ports import Delete, Done, Exists, Insert, NewIdentity, Rejected, Unknown, Write
from semel.stores.memory import MemoryStore
from semel.testing.fake_provider import FakeProvider

__all__ = ["ReferringStore", "RefusingStore", "RejectingProvider"]


class RefusingStore(MemoryStore):
    """A store whose application refuses every account, by a row or a callback of its own (``also=``)."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if any(isinstance(write, Insert) and isinstance(write.record, Account) for write in writes):
            raise ApplicationRefused
        await super().commit(writes, token)


class ReferringStore(MemoryStore):
    """A store in which rows of the application's own refer to every account, so that none can be deleted."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        if any(isinstance(write, Delete) and isinstance(write.record, Account) for write in writes):
            raise StoreRejected
        await super().commit(writes, token)


class RejectingProvider(FakeProvider):
    """A provider that takes nobody."""

    @override
    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        return Rejected("choose another password", "password")
