"""Who meets over an Azure table: writers, readers, those who list what is due, and upkeep; each with its own store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
from typing_extensions import override

from semel.errors import CommitUnknown, StoreUnavailable, WriteRefused
from semel.model import OutboxEvent, Record
from semel.ports import Clock, Ref, Write
from semel.stores.azure_entities import Entities
from semel.stores.azure_tables import AzureTablesStore
from semel.testing.clock import START
from semel.testing.explorer.runs import Make, Ports

__all__ = [
    "TABLE",
    "Commit",
    "Saw",
    "Setting",
    "Told",
    "committing",
    "listing",
    "paging",
    "reading",
    "reading_all",
    "reading_at_once",
    "resting",
    "tidying",
]

TABLE: Final = "table"
"""What the service is called."""
_FUTURE: Final = START + timedelta(days=1)


class Commit(msgspec.Struct, frozen=True):
    """What a writer wants."""

    writes: tuple[Write, ...]
    token: int


class Saw(msgspec.Struct, frozen=True):
    """What a call found, and how long the history was at the call's beginning and, if another followed, at its end."""

    ref: Ref
    record: Record | None
    since: int
    until: int | None = None
    listed: bool = False
    """Whether it was found among what is due."""


class Told(msgspec.Struct, frozen=True):
    """What a party was told."""

    how: str
    """``done``, ``refused``, ``unavailable``, ``unknown``, ``read``, ``paged``, ``tidied``."""
    token: int | None = None
    """The writer's."""
    since: int = 0
    """How long the history was when the call began."""
    positions: tuple[int, ...] = ()
    """Of the refused writes."""
    saw: tuple[Saw, ...] = ()

    @override
    def __str__(self) -> str:
        """Return it in a word or two, for the story."""
        found = ", ".join(f"{'/'.join(one.ref.key)} {getattr(one.record, 'kind', 'none')}" for one in self.saw)
        return found or f"{self.how} {' and '.join(str(one + 1) for one in self.positions)}".rstrip()


class Setting(msgspec.Struct, frozen=True):
    """How the parties make their stores. Patience is over at the first look, since any time may pass before it."""

    store: Callable[[Entities, Clock, Callable[[], float], float, int], AzureTablesStore] = AzureTablesStore
    patience: float = 0.0
    tries: int = 1

    def over(self, ports: Ports) -> AzureTablesStore:
        """Return a party's store."""
        return self.store(ports[TABLE], ports.clock, ports.ids.jitter, self.patience, self.tries)


def committing(setting: Setting, commit: Commit) -> Make:
    """A writer."""

    async def party(ports: Ports) -> Told:
        store, since = setting.over(ports), await _so_far(ports)
        try:
            await store.commit(commit.writes, commit.token)
        except WriteRefused as refused:
            return Told("refused", commit.token, since, refused.positions)
        except StoreUnavailable:
            return Told("unavailable", commit.token, since)
        except CommitUnknown:
            return Told("unknown", commit.token, since)
        return Told("done", commit.token, since)

    return party


def reading(setting: Setting, *refs: Ref) -> Make:
    """A reader of one record after the other."""

    async def party(ports: Ports) -> Told:
        store, saw, since = setting.over(ports), list[Saw](), await _so_far(ports)
        for number, ref in enumerate(refs, 1):
            try:
                found = await store.get(*ref)
            except StoreUnavailable:
                break
            until = await _so_far(ports) if number < len(refs) else None
            saw.append(Saw(ref, found, since, until))
            since = until or since
        return Told("read", saw=tuple(saw))

    return party


def reading_at_once(setting: Setting, *refs: Ref) -> Make:
    """A reader of several records in one call."""

    async def party(ports: Ports) -> Told:
        since = await _so_far(ports)
        try:
            found = await setting.over(ports).get_many(refs)
        except StoreUnavailable:
            return Told("unavailable")
        return Told("read", saw=tuple(Saw(ref, record, since) for ref, record in zip(refs, found, strict=True)))

    return party


def paging(setting: Setting) -> Make:
    """Somebody who reads every record, page by page, two on a page."""

    async def party(ports: Ports) -> Told:
        store, saw, since = setting.over(ports), list[Saw](), await _so_far(ports)
        cursor, began, more = None, since, True
        while more:
            try:
                page = await store.page(OutboxEvent, cursor, 2)
            except StoreUnavailable:
                return Told("unavailable")
            until = await _so_far(ports)
            saw += [Saw(Ref(OutboxEvent, record.key), record, since, until) for record in page.records]
            cursor, since, more = page.cursor, until, page.cursor is not None
        return Told("paged", since=began, saw=tuple(saw))

    return party


def listing(setting: Setting) -> Make:
    """Somebody who asks what is due."""

    async def party(ports: Ports) -> Told:
        since = await _so_far(ports)
        try:
            found = await setting.over(ports).due(OutboxEvent, _FUTURE, 10)
        except StoreUnavailable:
            return Told("unavailable")
        saw = (Saw(Ref(OutboxEvent, record.key), record, since, listed=True) for record in found)
        return Told("read", saw=tuple(saw))

    return party


def reading_all(setting: Setting, *refs: Ref) -> Make:
    """Somebody who reads everything, and then asks what is due."""

    async def party(ports: Ports) -> Told:
        read: Told = await reading(setting, *refs)(ports)
        listed: Told = await listing(setting)(ports)
        return Told(listed.how, saw=(*read.saw, *listed.saw))

    return party


def tidying(setting: Setting) -> Make:
    """One pass of upkeep."""

    async def party(ports: Ports) -> Told:
        try:
            await setting.over(ports).tidy()
        except (StoreUnavailable, CommitUnknown):
            return Told("unavailable")
        return Told("tidied")

    return party


def resting(setting: Setting, *refs: Ref) -> Make:
    """Upkeep, and somebody who reads every record and lists what is due: who meets what came late clears it away.

    That is a mark whose journal is forgotten, and a due row that leads to nothing.
    """

    async def party(ports: Ports) -> Told:
        told: Told = await tidying(setting)(ports)
        await reading_all(setting, *refs)(ports)
        return told

    return party


async def _so_far(ports: Ports) -> int:
    length: int = await ports[TABLE].so_far()
    return length
