"""What an Azure table says, for the judge: which records there are, what is on its way, and what went before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple, cast

from typing_extensions import override

from semel.errors import StoreUnavailable
from semel.model import Record
from semel.ports import Insert, Write
from semel.stores.azure_entities import Place, Values
from semel.stores.azure_places import (
    WORK,
    Decision,
    after_mark,
    before_mark,
    change_of,
    due_place,
    due_places,
    journal_id,
    journal_place,
    journal_values,
    mark_of,
    marked,
)
from semel.testing.clock import START
from semel.testing.explorer.entities import EntitiesService
from semel.testing.explorer.services import Answer
from semel.testing.fake_entities import FakeEntities, Kept, Shelves

__all__ = [
    "BusyService",
    "Current",
    "History",
    "Journal",
    "WatchedService",
    "current",
    "dead",
    "due_rows",
    "journals",
    "marks",
    "shelves_of",
    "values_of",
]

Current = Mapping[Place, Values]
"""The records that hold, by their places: under a mark the new values if, and only if, its journal is committed."""

_LEFT_FOR: Final = timedelta(minutes=1)
"""How old a journal is when upkeep takes it for one that was left."""

History = tuple[frozenset[tuple[Place, int]], ...]
"""The versions of all records, at first and after each change of any."""


class Journal(NamedTuple):
    """A journal, as it stands in a table."""

    id: str
    decision: Decision
    records: tuple[Place, ...]


def values_of(shelves: Shelves) -> dict[Place, Values]:
    """Return what stands in a table."""
    return {place: dict(kept.values) for place, kept in shelves.items() if kept.values is not None}


def journals(table: Mapping[Place, Values]) -> dict[str, Journal]:
    """Return the journals in a table, by their ids."""
    found = {}
    for place, values in table.items():
        kind, _, identity = place.row.partition("!")
        if kind == "journal":
            records = tuple(map(Place, _texts(values["records"])))
            found[identity] = Journal(identity, Decision(str(values["state"])), records)
    return found


def _texts(value: object) -> list[str]:
    return cast("list[str]", json.loads(str(value)))


def due_rows(table: Mapping[Place, Values]) -> set[Place]:
    """Return the due rows in a table."""
    return {place for place in table if place.row.startswith("due!")}


def marks(table: Mapping[Place, Values]) -> Iterator[tuple[Place, str]]:
    """Yield the marks in a table: where each is, and its journal."""
    for place, values in table.items():
        if (mark := mark_of(values)) is not None:
            yield place, mark


def current(table: Mapping[Place, Values]) -> Current:
    """Return the records that hold."""
    decisions = {one.id: one.decision for one in journals(table).values()}
    found = {}
    for place, values in table.items():
        if place.partition in WORK:
            continue
        committed = decisions.get(mark_of(values) or "") is Decision.COMMITTED
        now = after_mark(values) if committed else before_mark(values)
        if now is not None:
            found[place] = now
    return found


# ── Where a scenario begins ──────────────────────────────────────────────────────────────────────────────────────────


def shelves_of(records: Sequence[Record], *dead_commits: Mapping[Place, Values]) -> Shelves:
    """Return a table with these records, each as a commit of its own left it, and what workers that died left."""
    table: dict[Place, Values] = {}
    for record in records:
        journal = journal_id(record.version, 0)
        change = change_of(Insert(record), record.version)
        table[change.place] = _whole(change.after or {}, journal)
        if (row := due_place(change.place, change.after or {}, journal)) is not None:
            table[row] = {}
    for commit in dead_commits:
        table |= commit
    return {place: Kept(tuple(sorted(values.items())), START, 1) for place, values in table.items()}


def _whole(values: Values, journal: str) -> Values:
    return {**values, "journal": journal} if "due_at" in values else values


def dead(
    commit: tuple[Sequence[Write], int], decision: Decision, standing: Sequence[Record], marked_up_to: int
) -> Mapping[Place, Values]:
    """Return what a worker left that died when it had set so many marks of a commit, and what was decided of it."""
    writes, token = commit
    journal = journal_id(token, 0)
    changes = [change_of(write, token) for write in writes]
    before = values_of(shelves_of(standing))
    table: dict[Place, Values] = {journal_place(journal): {**journal_values(changes, journal), "state": decision.value}}
    table |= {row: {} for row in due_places(changes, journal)}
    table |= {one.place: marked(before.get(one.place), one.after, journal) for one in changes[:marked_up_to]}
    return table


# ── A table that remembers ───────────────────────────────────────────────────────────────────────────────────────────


class _Watched(FakeEntities):
    """A table that keeps the history of its records, which no store sees."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self._whole: tuple[Shelves, History] = (self.state, ())

    @property
    def watched(self) -> tuple[Shelves, History]:
        """The content of the table, and the history of its records."""
        shelves, history = self._whole
        if self.state is not shelves:
            versions = _versions(self.state)
            self._whole = (self.state, history if versions == history[-1] else (*history, versions))
        return self._whole

    @watched.setter
    def watched(self, whole: tuple[Shelves, History]) -> None:
        self._whole = whole
        self.state = whole[0]

    async def so_far(self) -> int:
        """Return how long the history is: a party asks at the beginning of a call."""
        return len(self.watched[1])


def _versions(shelves: Shelves) -> frozenset[tuple[Place, int]]:
    return frozenset((place, int(values["version"])) for place, values in current(values_of(shelves)).items())


class WatchedService(EntitiesService):
    """A table under the eyes of the judge: its state is the content and the history of the records."""

    def __init__(self, shelves: Shelves, *, one_at_a_time: bool) -> None:
        start = (shelves, (_versions(shelves),))
        super().__init__(start, _Watched, "watched", frozenset(WORK[1:]), one_at_a_time=one_at_a_time)

    @override
    def lost(self, verb: str) -> Answer | None:
        return None if verb == "so_far" else super().lost(verb)

    @override
    def ripens(self, state: tuple[Shelves, History], now: datetime, until: datetime) -> bool:
        journals_since = [
            kept.written_at for place, kept in state[0].items() if place.row.startswith("journal!") and kept.values
        ]
        return any(now <= since + _LEFT_FOR < until for since in journals_since)


class BusyService(WatchedService):
    """A table that is busy now and then: what is not answered was not done, and the caller knows."""

    effects: ClassVar[frozenset[str]] = frozenset()

    @override
    def lost(self, verb: str) -> Answer | None:
        return None if verb == "so_far" else Answer(error=StoreUnavailable())
