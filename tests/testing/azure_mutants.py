"""Commits on Azure Tables that are the shipped one but for one rule. The explorer must find the harm that each does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from typing_extensions import override

from semel.errors import StoreUnavailable
from semel.model import Record
from semel.ports import Page
from semel.stores.azure_commits import Commits, Seen
from semel.stores.azure_entities import ConditionFailed, Entity, NotAnswered, Place, Values
from semel.stores.azure_places import (
    Change,
    Decision,
    after_mark,
    before_mark,
    due_place,
    due_places,
    due_record,
    journal_id,
    journal_place,
    journal_values,
    mark_of,
    record_place,
)
from semel.stores.azure_tables import AzureTablesStore
from semel.testing.explorer import Ending, Outcome, Scenario
from semel.testing.scenarios.azure import CommitJudge, Setting, over_entities
from tests.testing.explorer_mutants.surgery import surgery

R = TypeVar("R", bound=Record)


class OneInsertDecides(Commits):
    """The journal says from the beginning that its marks count, so that one insert decides."""

    @override
    async def _begin(self, changes: Sequence[Change], identity: str) -> Entity | None:
        place = journal_place(identity)
        rows = {row.row: dict[str, str]() for row in due_places(changes, identity)}
        said = {**journal_values(changes, identity), "state": Decision.COMMITTED.value}
        return (await self._entities.insert(place.partition, {place.row: said, **rows}))[0]

    @override
    async def _decide(self, journal: Entity) -> bool:
        return True

    @override
    async def _withdraw(self, journal: Entity, marks: Sequence[Entity]) -> None:
        await self.forget(journal)  # which says that they count


class WritesOverMarks(Commits):
    """A writer who finds another's mark waits for nothing and aborts nothing: it sets its own mark over it."""

    @override
    async def _ready(self, seen: Seen) -> Seen:
        return seen if seen.decision is Decision.PENDING else await super()._ready(seen)


class MarksWithoutCondition(Commits):
    """A mark is set on whatever stands there by then."""

    @override
    async def _apply(self, change: Change, seen: Seen, values: Values | None) -> Entity:
        now = seen
        while True:
            try:
                return await super()._apply(change, now, values)
            except ConditionFailed:
                (entity,) = await self._entities.get_many([change.place])
                now = now._replace(entity=entity)


class DecidesWithoutCondition(Commits):
    """The decision is written over whatever the journal says by then."""

    @override
    async def _decide(self, journal: Entity) -> bool:
        now = await self._journal(journal.place.row.partition("!")[2])
        return now is not None and await super()._decide(now)


class ForgetsEarly(Commits):
    """A journal is forgotten before its marks are resolved."""

    @override
    async def _finish(self, journal: Entity, marks: Sequence[Entity]) -> None:
        await self._entities.discard(journal.place)
        await super()._finish(journal, marks)


class TakesAbsenceForACommit(Commits):
    """A mark whose journal is not there counts."""

    @override
    async def _seen(self, place: Place, found: Entity | None) -> Seen:
        seen = await super()._seen(place, found)
        if seen.entity is None or seen.mark is None or await self._journal(seen.mark) is not None:
            return seen
        return Seen(place, seen.entity, after_mark(seen.entity.values), Decision.COMMITTED)


class SendsAMarkAgain(Commits):
    """A mark that was not seen to land is sent once more."""

    @override
    async def _apply(self, change: Change, seen: Seen, values: Values | None) -> Entity:
        try:
            return await super()._apply(change, seen, values)
        except NotAnswered:
            if values is None or mark_of(values) is None:
                raise
            (found,) = await self._entities.get_many([change.place])
            if found is None or mark_of(found.values) is None:
                return await super()._apply(change, seen, values)
            return found


class ReadsAhead(Commits):
    """Who meets a mark reads the new value before it is decided."""

    @override
    async def _seen(self, place: Place, found: Entity | None) -> Seen:
        seen = await super()._seen(place, found)
        if seen.entity is None or seen.decision is not Decision.PENDING:
            return seen
        return seen._replace(current=after_mark(seen.entity.values))


class MarksBeforeItsJournal(Commits):
    """The journal is put there after the first mark."""

    @override
    async def _together(self, changes: Sequence[Change], seen: Sequence[Seen], token: int, attempt: int) -> bool:
        self._first = await self._mark(changes[0], seen[0], journal_id(token, attempt), 0)
        return await super()._together(changes, seen, token, attempt)

    @override
    async def _mark(self, change: Change, before: Seen, identity: str, position: int) -> Entity:
        if position == 0 and await self._journal(identity) is not None:
            return self._first
        return await super()._mark(change, before, identity, position)


class PutsDueRowsAfterwards(Commits):
    """The row that says when a record is due is put there after the commit was decided."""

    @override
    async def _begin(self, changes: Sequence[Change], identity: str) -> Entity | None:
        place = journal_place(identity)
        self._rows = {row.row: dict[str, str]() for row in due_places(changes, identity)}
        return (await self._entities.insert(place.partition, {place.row: journal_values(changes, identity)}))[0]

    @override
    async def _finish(self, journal: Entity, marks: Sequence[Entity]) -> None:
        if self._rows:
            await self._entities.insert(journal.place.partition, self._rows)
        await super()._finish(journal, marks)


class MarksOutOfOrder(Commits):
    """Every other commit sets its marks in the order of its own."""

    @override
    async def _together(self, changes: Sequence[Change], seen: Sequence[Seen], token: int, attempt: int) -> bool:
        step = -1 if token // 8 % 2 else 1
        return await super()._together(changes[::step], seen[::step], token, attempt)


class SweepsUnasked(Commits):
    """A due row that leads to no such record is swept away without a look at its journal."""

    @override
    async def sweep(self, row: Place) -> None:
        _, record = due_record(row)
        seen = await self._look(record)
        if seen.current is None or due_place(record, seen.current) != row:
            self._later(self._entities.discard(row))


class TakesAnyJournalForItsOwn(Commits):
    """A journal whose answer was lost is gone on with, though upkeep has aborted it meanwhile."""

    @override
    async def _begin(self, changes: Sequence[Change], identity: str) -> Entity | None:
        journal = await super()._begin(changes, identity)
        return journal or await self._journal(identity)


class GivesUpInSilence(Commits):
    """A decision that was not answered is taken for one that never will be."""

    @override
    async def _decided_after_doubt(self, journal: Entity) -> bool:
        raise StoreUnavailable("The store did not answer.")


class LooksOnce(Commits):
    """A mark whose journal is not there is taken for void, without a second look at the record."""

    @override
    async def _seen(self, place: Place, found: Entity | None) -> Seen:
        mark = None if found is None else mark_of(found.values)
        if found is None or mark is None or await self._journal(mark) is not None:
            return await super()._seen(place, found)
        return Seen(place, found, before_mark(found.values), Decision.ABORTED)


class ListsWhatWas(Commits):
    """Who lists records takes each as it was before its mark, whatever the journal says."""

    @override
    async def see(self, entity: Entity) -> Seen:
        return Seen(entity.place, entity, before_mark(entity.values))


class ListsNothingMarked(Commits):
    """Who lists records passes over those with a mark."""

    @override
    async def see(self, entity: Entity) -> Seen:
        seen = await super().see(entity)
        return seen if seen.mark is None else seen._replace(current=None)


class LooksBehindItself(Commits):
    """Of several records that are read at once, those with a mark are taken as they were."""

    @override
    async def look(self, places: Sequence[Place]) -> list[Seen]:
        if len(places) == 1:
            return await super().look(places)
        return [
            Seen(place, found, None if found is None else before_mark(found.values))
            for place, found in zip(places, await self._entities.get_many(places), strict=True)
        ]


class TurnsBackAPage(AzureTablesStore):
    """The next page begins with the last record of the one before. No rule of a commit: a store of its own."""

    @override
    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        page = await super().page(kind, cursor, limit)
        here = record_place(kind, page.records[-1].key).partition if page.records else None
        return Page(page.records, None if page.cursor is None or here is None else here[:-1])


class AtTheEnd(CommitJudge):
    """Looks at nothing but the records that stand there when all is at rest."""

    @override
    def told(self, outcome: Outcome, states: Mapping[str, Any]) -> Sequence[str]:
        return ()

    @override
    def ended(self, ending: Ending) -> Sequence[str]:
        return [said for said in super().ended(ending) if "in the end" in said]


@dataclass(frozen=True)
class Mutant:
    """A commit with one rule taken away, the smallest scenario that notices, and by what it must notice first."""

    broken: Callable[..., Commits]
    scenario: str
    faults: int
    noticed_by: str

    @contextmanager
    def alive(self) -> Iterator[Scenario]:
        """Give the scenario while every store commits so: only mutants are made so, and one at a time."""
        with surgery("semel.stores.azure_tables.Commits", self.broken):
            yield scenario_named(self.scenario)


def scenario_named(name: str, setting: Setting | None = None) -> Scenario:
    """Return the scenario of this name."""
    return next(scenario for scenario in over_entities(setting) if scenario.name == name)


MUTANTS = (
    Mutant(OneInsertDecides, "azure/plain/xy+yz", 0, "W"),
    Mutant(WritesOverMarks, "azure/plain/xy+yz", 0, "AW"),
    Mutant(MarksWithoutCondition, "azure/plain/xy+x", 0, "AW"),
    Mutant(DecidesWithoutCondition, "azure/plain/xy+x", 0, "AW"),
    Mutant(ForgetsEarly, "azure/plain/xy+reads-x", 0, "W"),
    Mutant(TakesAbsenceForACommit, "azure/plain/xy+tidies", 0, "WR"),
    Mutant(SendsAMarkAgain, "azure/plain/nx+not-n", 1, "W"),
    Mutant(ReadsAhead, "azure/plain/xy+reads-x", 0, "R"),
    Mutant(MarksBeforeItsJournal, "azure/plain/xy+reads-x", 0, "AW"),
    Mutant(PutsDueRowsAfterwards, "azure/plain/dx", 0, "P"),
    Mutant(MarksOutOfOrder, "azure/plain/xy+yx", 0, "O"),
    Mutant(SweepsUnasked, "azure/plain/dx+lists", 0, "P"),
    Mutant(TakesAnyJournalForItsOwn, "azure/plain/xy+tidies", 1, "A"),
    Mutant(GivesUpInSilence, "azure/plain/xy", 1, "A"),
    Mutant(LooksOnce, "azure/plain/xy+reads-xx", 0, "R"),
    Mutant(ListsWhatWas, "azure/plain/xy+pages", 0, "R"),
    Mutant(ListsNothingMarked, "azure/plain/xy+pages", 0, "R"),
    Mutant(LooksBehindItself, "azure/plain/xy+many", 0, "R"),
)
"""Each breaks a rule of safety."""
