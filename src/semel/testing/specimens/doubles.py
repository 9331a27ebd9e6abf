"""What the five systems have and Semel has not: an index that lags, and two halves of one database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import override

from semel.errors import StoreRejected
from semel.model import Record
from semel.ports import Done, Exists, Insert, NewIdentity, Rejected, Unknown, Write
from semel.stores.memory import MemoryStore, Table
from semel.testing.explorer import Answer, Ports, ProviderService, Service, StoreService
from semel.testing.fake_provider import FakeProvider, State
from semel.testing.specimens.tables import User

__all__ = ["IndexedService", "IndexedStore", "LaggingStore", "Supabase", "SupabaseService", "catches_up"]


class _Shadow(Record, frozen=True, kw_only=True):
    """An entry of a secondary index; it may be older than the table."""

    TYPE: ClassVar[str] = "shadow"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    email: str


class IndexedStore(MemoryStore):
    """A store whose users can be asked for by email, in an index that is never late."""

    async def query(self, email: str) -> list[str]:
        """Return the ids of the users with this email."""
        return [record.id for record in self.table.values() if isinstance(record, User) and record.email == email]


class LaggingStore(IndexedStore):
    """The same, but the index is a copy, made now and then: a global secondary index of DynamoDB."""

    @override
    async def query(self, email: str) -> list[str]:
        return [record.id for record in self.table.values() if isinstance(record, _Shadow) and record.email == email]

    async def catch_up(self) -> list[str]:
        """Copy the table into the index; return the ids that it knows now."""
        rest = {name: record for name, record in self.table.items() if not isinstance(record, _Shadow)}
        shadows = [_Shadow(id=user.id, email=user.email) for user in rest.values() if isinstance(user, User)]
        self.table = {**rest, **{(_Shadow.TYPE, shadow.key): shadow for shadow in shadows}}
        return [shadow.id for shadow in shadows]


class IndexedService(StoreService):
    """A store with an index, whose requests read so in a story."""

    @override
    def lost(self, verb: str) -> Answer | None:
        return None if verb == "catch_up" else super().lost(verb)

    @override
    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        match verb:
            case "query":
                return f"asks the index for {args[0]}"
            case "catch_up":
                return "copies the table"
            case _:
                return super().tell(verb, args)


async def catches_up(ports: Ports) -> None:
    """The index, as a party: it catches up once, whenever that may be."""
    await ports["store"].catch_up()


class Supabase:
    """Identities and profiles in one database, reached by two ways, so in two transactions.

    A profile refers to its identity by a foreign key, and goes with it.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._store = MemoryStore(now)
        self._provider = FakeProvider()

    @property
    def state(self) -> tuple[Table, State]:
        """All of it: the profiles' side, the identities' side."""
        return self._store.table, self._provider.state

    @state.setter
    def state(self, state: tuple[Table, State]) -> None:
        self._store.table, self._provider.state = state

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """See ``Store.commit``. Raises ``StoreRejected`` for the profile of an identity that is not there."""
        there = {kept.provider_id for kept in self._provider.state.identities}
        new = [write.record for write in writes if isinstance(write, Insert)]
        if any(isinstance(record, User) and record.id not in there for record in new):
            raise StoreRejected("violates the foreign key")
        await self._store.commit(writes, token)

    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        """See ``RemoteProvider.create``."""
        return await self._provider.create(identity)

    async def delete(self, provider_id: str) -> Done | Unknown:
        """See ``RemoteProvider.delete``; the profile goes with it."""
        table = self._store.table.items()
        self._store.table = {name: one for name, one in table if name != (User.TYPE, (provider_id,))}
        return await self._provider.delete(provider_id)


class SupabaseService(Service):
    """A Supabase, failing as a store and a provider fail."""

    effects: ClassVar[frozenset[str]] = StoreService.effects | ProviderService.effects

    def __init__(self) -> None:
        super().__init__(Supabase, ({}, State()))
        self._store, self._provider = StoreService(), ProviderService()

    @override
    def lost(self, verb: str) -> Answer | None:
        return self._side(verb).lost(verb)

    @override
    def tell(self, verb: str, args: tuple[Any, ...]) -> str:
        return self._side(verb).tell(verb, args)

    @override
    def hear(self, answer: Answer) -> str:
        return (self._store if answer.error or answer.value is None else self._provider).hear(answer)

    def _side(self, verb: str) -> Service:
        return self._store if verb in StoreService.effects else self._provider
