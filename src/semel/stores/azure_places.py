"""Where things stand in an Azure table, and what their entities say: records, marks on them, journals, due rows.

A record is an entity of its own partition, ``<type>!<two hex digits>!<key>``: the digits are of the key's hash, so that
keys which begin with the time are not all written at one end. Journals and due rows stand in a few partitions,
``work!<number>``, one of which takes both of a commit at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Final, NamedTuple, TypeVar, cast

import msgspec

from semel.errors import StoreInconsistent
from semel.model import Key, Record
from semel.ports import Delete, Insert, Write
from semel.stores.azure_entities import Bounds, Entity, Place, Value, Values
from semel.stores.codec import Codecs

__all__ = [
    "WORK",
    "Change",
    "Decision",
    "DueRow",
    "after_mark",
    "before_mark",
    "change_of",
    "due_bounds",
    "due_place",
    "due_places",
    "due_record",
    "journal_bounds",
    "journal_id",
    "journal_place",
    "journal_values",
    "journaled",
    "mark_of",
    "marked",
    "record_bounds",
    "record_of",
    "record_place",
]

R = TypeVar("R", bound=Record)

WORK: Final = tuple(f"work!{number}" for number in range(8))
"""The partitions of journals and due rows: each takes some 2,000 changes a second, so these keep up with an account."""

_PLAIN: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_@")
_LONGEST: Final = 300
"""Of a key's text. A row's key may have 512 characters, and that of a due row holds more than a record's."""
_TOKEN: Final = 2**64
_NEXT: Final = "next_"
_codecs: Final = Codecs(moments_as_text=True)


class Decision(StrEnum):
    """What a journal says of its commit. It is decided by one conditional replace of the journal's entity."""

    PENDING = "pending"
    """Its marks are being set. Until it is decided the records' old values hold."""
    COMMITTED = "committed"
    """All of its marks had been set; the records' new values hold, resolved or not."""
    ABORTED = "aborted"
    """The records' old values hold, whatever mark is still set, or comes late."""


class Change(msgspec.Struct, frozen=True):
    """What a commit does with one record's entity."""

    place: Place
    after: Values | None
    """The record's values afterwards; ``None`` where it is deleted."""
    expects: int | None
    """The version that must stand there before; ``None`` where nothing may."""

    def allowed(self, current: Values | None) -> bool:
        """Tell whether what stands there is what the commit expects."""
        return (None if current is None else current["version"]) == self.expects


# ── Records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def record_place(kind: type[Record], key: Key) -> Place:
    """Return where a record stands. No two keys share a place."""
    text = "!".join(map(_escaped, key))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - len(digest)]}~{digest}"
    return Place(f"{kind.TYPE}!{digest[:2]}!{text}")


def record_bounds(kind: type[Record], after: str | None) -> Bounds:
    """Return the bounds of a type's records, or of those after a partition."""
    return Bounds(Place(after or f"{kind.TYPE}!"), Place(f"{kind.TYPE}!~"))


def record_of(kind: type[R], values: Values) -> R:
    """Return the record that these values are. Raises ``StoreInconsistent`` where they cannot be one."""
    codec = _codecs[kind]
    return codec.record([values.get(column) for column in codec.columns])


def change_of(write: Write, token: int) -> Change:
    """Return what a write does with its record's entity."""
    record = write.record
    place = record_place(type(record), record.key)
    expects = None if isinstance(write, Insert) else record.version
    return Change(place, None if isinstance(write, Delete) else _values_of(record, token), expects)


def _values_of(record: Record, version: int) -> Values:
    codec = _codecs[type(record)]
    row = zip(codec.columns, codec.row(record, version), strict=True)
    return {name: _plain(value) for name, value in row if value is not None}


def _plain(value: object) -> Value:
    return cast("Value", value.value if isinstance(value, Enum) else value)


def _escaped(text: str) -> str:
    """Return text of letters that a key may have and that mean nothing in an address or a filter."""
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in text.encode())


# ── Marks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def mark_of(values: Values) -> str | None:
    """Return the id of the journal whose mark is on an entity; ``None`` where there is none."""
    return cast("str | None", values.get("mark"))


def marked(current: Values | None, after: Values | None, journal: str) -> Values:
    """Return what an entity says while a commit has its mark on it: what it was, and what it is to be.

    A record that will be due remembers the journal, which is part of the name of its due row.
    """
    named = {"journal": journal} if after and "due_at" in after else {}
    coming = {_NEXT + name: value for name, value in {**(after or {}), **named}.items()}
    return {**(current or {}), **coming, "mark": journal}


def before_mark(values: Values) -> Values | None:
    """Return the record's values without the mark; ``None`` where there was no record."""
    if "version" not in values:
        return None
    return {name: value for name, value in values.items() if name != "mark" and not name.startswith(_NEXT)}


def after_mark(values: Values) -> Values | None:
    """Return the record's values as the mark wants them; ``None`` where it wants it deleted."""
    coming = {name.removeprefix(_NEXT): value for name, value in values.items() if name.startswith(_NEXT)}
    return coming or None


# ── Journals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def journal_id(token: int, attempt: int) -> str:
    """Return the id of a commit's journal, another one for each attempt: what comes late of one hits no other."""
    return f"{token % _TOKEN:016x}-{attempt}"


def journal_place(journal: str) -> Place:
    """Return where a journal stands. Raises ``StoreInconsistent`` where a mark names what is no journal."""
    token = journal.partition("-")[0]
    try:
        return Place(WORK[int(token, 16) % len(WORK)], f"journal!{journal}")
    except ValueError:
        raise StoreInconsistent("A stored record names a commit that cannot be one: its entity was edited.") from None


def journal_values(changes: Sequence[Change], journal: str) -> Values:
    """Return what the journal of a commit says at first."""
    due = [
        place.row for change in changes if change.after and (place := due_place(change.place, change.after, journal))
    ]
    records = [change.place.partition for change in changes]
    return {"state": Decision.PENDING.value, "records": json.dumps(records), "due": json.dumps(due)}


def journaled(entity: Entity) -> tuple[str, list[Place], list[Place]]:
    """Return a journal's id, the places of its records and those of its due rows."""
    rows = [Place(entity.place.partition, row) for row in json.loads(str(entity.values["due"]))]
    records = [Place(partition) for partition in json.loads(str(entity.values["records"]))]
    return entity.place.row.partition("!")[2], records, rows


def journal_bounds(partition: str) -> Bounds:
    """Return the bounds of a partition's journals."""
    return Bounds(Place(partition, "journal!"), Place(partition, "journal!~"))


# ── What is due ──────────────────────────────────────────────────────────────────────────────────────────────────────


def due_place(record: Place, values: Values, journal: str | None = None) -> Place | None:
    """Return where the due row of a record with these values stands; ``None`` where it is never due.

    Its name says all: the type, the moment, the journal of the commit that wrote the record, the record's partition.
    """
    if "due_at" not in values:
        return None
    of = journal or str(values["journal"])
    kind = record.partition.partition("!")[0]
    return Place(journal_place(of).partition, f"due!{kind}!{_moment(str(values['due_at']))}!{of}!{record.partition}")


def due_places(changes: Sequence[Change], journal: str) -> list[Place]:
    """Return where the due rows of a commit stand."""
    places = [due_place(change.place, change.after, journal) for change in changes if change.after is not None]
    return [place for place in places if place is not None]


def due_bounds(partition: str, kind: type[Record], before: datetime) -> Bounds:
    """Return the bounds of a partition's due rows of a type, up to and with a moment."""
    upto = _moment(before.astimezone(UTC).isoformat(timespec="microseconds"))
    return Bounds(Place(partition, f"due!{kind.TYPE}!"), Place(partition, f"due!{kind.TYPE}!{upto}!~"))


class DueRow(NamedTuple):
    """What the name of a due row says: the commit that put it there, and the record that is to be due."""

    journal: str
    record: Place


def due_record(row: Place) -> DueRow:
    """Return what the name of a due row says."""
    _, _, _, journal, partition = row.row.split("!", 4)
    return DueRow(journal, Place(partition))


def _moment(text: str) -> str:
    """Return a moment without the letters that an address would have to escape; its order is still that of time."""
    return text.removesuffix("+00:00").replace(":", "")
