"""Engines whose commits, or small questions, are wrong in one respect each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from typing_extensions import override

from semel.model import Account, Identifier, Identity, OutboxEvent, Record, Registration
from semel.ports import Delete, Ids, Insert, Replace, Write
from semel.protocol.engine import Engine, Outcome, Put
from semel.states import IdentityState, RegistrationState


class ComparesNoPayload(Engine):
    """All payloads have one fingerprint."""

    @override
    def fingerprint(self, payload: bytes) -> str:
        return ""


class RespectsNoLease(Engine):
    """A registration's worker is taken for dead, whatever its lease says."""

    @override
    def alive(self, registration: Registration) -> bool:
        return False


class CountsVersions(Engine):
    """Versions count from 1, so that a record that was deleted and inserted again has the same once more."""

    def __init__(self, *ports: Any, **others: Any) -> None:  # noqa: ANN401 - as the engine itself takes them
        super().__init__(*ports, **others)
        self._counting = _CountingIds(self.ids)
        self.ids = self._counting

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        read = [write.record.version for write in writes if not isinstance(write, Insert)]
        self._counting.next = 1 + max(read, default=0)
        return await super().put(writes)


class LooksThenWrites(Engine):
    """An identifier is looked for beforehand, and then written whether or not somebody else has come."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        names = [write.record for write in writes if _inserts(write, Identifier)]
        if any([await self._now(one) for one in names]):
            return Put(Outcome.REFUSED, 0)
        put = await super().put(writes)
        taken = [await self._now(one) for one in names] if put.outcome is Outcome.REFUSED else []
        over = {one.key: one.version for one in taken if one}
        if not over:
            return put
        return await super().put([_over(write, over) if _inserts(write, Identifier) else write for write in writes])

    async def _now(self, record: Record) -> Record | None:
        return await self.store.get(type(record), record.key)


class TellsAfterwards(Engine):
    """The event goes by a commit of its own, after the one that it tells of."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        put = await super().put([write for write in writes if not _inserts(write, OutboxEvent)])
        events = [write for write in writes if _inserts(write, OutboxEvent)]
        if put.done and events:
            await super().put(events)
        return put


class OwnsAfterwards(Engine):
    """The identity's record is written by a commit of its own, after the one that makes the account."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        births = [write for write in writes if _inserts(write, Account)]
        records = [write for write in writes if births and isinstance(write.record, Identity)]
        put = await super().put([write for write in writes if write not in records])
        if put.done and records:
            await super().put(records)
        return put


class FailsWithoutCondemning(Engine):
    """The failing commit forgets the identity, though a create of ours may still land."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        fails = any(_comes_to(write, RegistrationState.FAILED) for write in writes)
        return await super().put([_forgotten(write) if fails else write for write in writes])


class DeletesWithoutCondemning(Engine):
    """The commit that ends an account forgets its identity, though that is still at the provider."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        ends = any(isinstance(write, Delete) and isinstance(write.record, Account) for write in writes)
        return await super().put([_forgotten(write) if ends else write for write in writes])


class DeletesWithoutWithdrawing(Engine):
    """The commit that ends an account leaves its registration as it is."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        return await super().put([one for one in writes if not _comes_to(one, RegistrationState.WITHDRAWN)])


class ForgetsARemovalEarly(Engine):
    """A removal is forgotten at the first look, instead of when no create of ours can land any more."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        looks = len(writes) == 1 and _comes_to(writes[0], IdentityState.CONDEMNED)
        return await super().put([_forgotten(write) if looks else write for write in writes])


class RemovesInVain(Engine):
    """What is to be noted of a removal before its identity is deleted counts as noted, though it was refused."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        put = await super().put(writes)
        notes = len(writes) == 1 and _comes_to(writes[0], IdentityState.CONDEMNED)
        return msgspec.structs.replace(put, outcome=Outcome.DONE) if notes else put


class ReleasesByName(Engine):
    """A failing commit that is refused releases the identifiers all the same, whoever has them by now."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        put = await super().put(writes)
        if put.outcome is Outcome.REFUSED and any(_comes_to(write, RegistrationState.FAILED) for write in writes):
            for name in [write.record.key for write in writes if isinstance(write.record, Identifier)]:
                found = await self.store.get(Identifier, name)
                await super().put([Delete(found)] if found else [])
        return put


class TakesALostAnswerForARefusal(Engine):
    """A commit without an answer is taken for one that was refused."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        put = await super().put(writes)
        return msgspec.structs.replace(put, outcome=Outcome.DONE if put.done else Outcome.REFUSED)


class TakesALostAnswerForASuccess(Engine):
    """A commit without an answer is taken for one that was done."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        put = await super().put(writes)
        return put if put.outcome is Outcome.REFUSED else msgspec.structs.replace(put, outcome=Outcome.DONE)


class RollsBackALostAnswer(Engine):
    """A second commit without an answer is taken for a failure: the identity is deleted again."""

    @override
    async def put(self, writes: Sequence[Write]) -> Put:
        put = await super().put(writes)
        births = [write.record for write in writes if _inserts(write, Account)]
        if put.outcome is Outcome.UNKNOWN and births and self.remote is not None:
            await self.remote.delete(cast("Account", births[0]).id)
        return put


class _CountingIds:
    """Ids whose next token is told."""

    def __init__(self, ids: Ids) -> None:
        self.uuid, self.secret, self.jitter = ids.uuid, ids.secret, ids.jitter
        self.next = 1

    def token(self) -> int:
        return self.next


def _inserts(write: Write, kind: type[Record]) -> bool:
    return isinstance(write, Insert) and isinstance(write.record, kind)


def _comes_to(write: Write, state: RegistrationState | IdentityState) -> bool:
    return isinstance(write, Replace) and getattr(write.record, "state", None) is state


def _forgotten(write: Write) -> Write:
    """Return the write that deletes an identity's record, where it would have been condemned."""
    return Delete(write.record) if _comes_to(write, IdentityState.CONDEMNED) else write


def _over(write: Write, versions: dict[Any, int]) -> Write:
    """Return the write that replaces what is there."""
    version = versions.get(write.record.key)
    return write if version is None else Replace(write.record.but(version=version))
