"""The judge of commits on Azure Tables.

What holds of a table is a history: the versions of all records, at first and after each change of any of them. Every
answer is held against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from typing_extensions import override

from semel.model import Record
from semel.ports import Delete, Insert, Write
from semel.stores.azure_entities import Place, Values
from semel.stores.azure_places import Decision, due_place, record_place
from semel.testing.explorer.runs import How, Outcome
from semel.testing.explorer.scenarios import Ending, Judge
from semel.testing.explorer.worlds import Change
from semel.testing.scenarios.azure.parties import TABLE, Commit, Saw, Told
from semel.testing.scenarios.azure.table import History, current, due_rows, journals, marks, values_of

__all__ = ["CommitJudge"]

_Versions = Mapping[Place, int]


class CommitJudge(Judge):
    """Judges what some writers, each with one commit, do to some records.

    The letters say what is broken. **W**: a commit is whole or nothing. **A**: what is answered is so. **C**: what was
    refused could not be done. **R**: what is read held at a moment of the reading. **P**: what will be due has its row.
    **O**: no two commits wait for each other. **L**: a writer alone gets its commit done.
    **T**: nothing is left at rest.
    """

    def __init__(self, standing: Sequence[Record], commits: Sequence[Commit], *, lively: bool = False) -> None:
        self._lively: Final = lively
        """Whether, undisturbed, who writes must succeed."""
        self._commits: Final = {commit.token: commit for commit in commits}
        records = {(_place(one), one.version): one for one in standing}
        for commit in commits:
            written = [write.record for write in commit.writes if not isinstance(write, Delete)]
            records |= {(_place(one), commit.token): one.but(version=commit.token) for one in written}
        self._records: Final = records

    @override
    def changed(self, change: Change) -> Sequence[str]:
        table = values_of(change.after[TABLE][0])
        return [*_without_row(table), *_circles(table)]

    @override
    def told(self, outcome: Outcome, states: Mapping[str, Any]) -> Sequence[str]:
        told = outcome.value
        if outcome.how is not How.RETURNED or not isinstance(told, Told):
            return ()
        history: History = states[TABLE][1]
        if told.how == "refused":
            return list(self._wrongly_refused(told, history))
        if told.how == "done" and not any(self._holds(told.token or 0, dict(moment)) for moment in history):
            return ["A: done was told before it is so"]
        missed = _mispaged(told, history) if told.how == "paged" else ()
        return [*missed, *(said for saw in told.saw for said in self._misread(saw, history))]

    @override
    def ended(self, ending: Ending) -> Sequence[str]:
        shelves, history = ending.states[TABLE]
        happened = self._happened(history)
        said = [*self._mixed(history), *self._torn(history)]
        for name, outcome in ending.outcomes.items():
            told = outcome.value
            if isinstance(told, Told) and told.how in ("refused", "unavailable") and told.token in happened:
                said.append(f"A: {name} was told {told.how}, and it happened")
        if self._lively and not ending.disturbed and not happened:
            said.append("L: nothing went wrong, nobody was in the way, and it was not done")
        return [*said, *_left(values_of(shelves)), *self._afterwards(ending, history)]

    def _happened(self, history: History) -> list[int]:
        """Return the tokens of the commits that happened, one for each change of the history that is a whole one."""
        found = [self._step(dict(before), dict(after)) for before, after in pairwise(history)]
        return [token for token in found if token is not None]

    def _step(self, before: _Versions, after: _Versions) -> int | None:
        """Return the commit that leads from one moment to the next, from what it expects to what it writes."""
        for token, commit in self._commits.items():
            if all(_allowed(write, before) for write in commit.writes) and after == _done(commit, before):
                return token
        return None

    def _holds(self, token: int, moment: _Versions) -> bool:
        """Tell whether all that a commit writes stands there at a moment."""
        return all(
            moment.get(_place(write.record)) == (None if isinstance(write, Delete) else token)
            for write in self._commits[token].writes
        )

    def _mixed(self, history: History) -> Iterator[str]:
        """Judge what stands at the end, whatever was on the way: whole commits must lead there, in some order."""
        reached = {frozenset(history[0])}
        todo = list(reached)
        while todo:
            before = dict(todo.pop())
            for commit in self._commits.values():
                if all(_allowed(write, before) for write in commit.writes):
                    after = frozenset(_done(commit, before).items())
                    todo += [after] if after not in reached else []
                    reached.add(after)
        if history[-1] not in reached:
            yield "W: what stands there in the end comes of no order of whole commits"

    def _torn(self, history: History) -> Iterator[str]:
        happened = self._happened(history)
        if len(happened) < len(history) - 1:
            yield "W: a commit shows in part"
        if len(set(happened)) < len(happened):
            yield "W: a commit happened twice"

    def _wrongly_refused(self, told: Told, history: History) -> Iterator[str]:
        commit = self._commits[told.token or 0]
        moments = [dict(one) for one in history[told.since - 1 :]]
        for position in told.positions:
            if all(_allowed(commit.writes[position], moment) for moment in moments):
                yield f"C: write {position + 1} was refused, and could be done all the time"

    def _misread(self, saw: Saw, history: History) -> Iterator[str]:
        place = record_place(*saw.ref)
        version = None if saw.record is None else saw.record.version
        if version not in {dict(one).get(place) for one in history[saw.since - 1 : saw.until]}:
            yield "R: what was read held at no moment of the reading"
        elif saw.record is not None and saw.record != self._records[place, saw.record.version]:
            yield "R: what was read is not what was written"

    def _afterwards(self, ending: Ending, history: History) -> Iterator[str]:
        """Judge what who comes when all is at rest reads, and has listed as due."""
        if ending.afterwards is None:
            return
        told = ending.afterwards.value
        if not isinstance(told, Told) or told.how != "read":
            yield f"R: who comes afterwards is told nothing: {told!r}"
            return
        yield from (said for saw in told.saw for said in self._misread(saw, history))
        due = {_place(record) for record in self._now(history) if record.due_at is not None}
        if {record_place(*saw.ref) for saw in told.saw if saw.listed} != due:
            yield "P: what is due when all is at rest is not what is listed"

    def _now(self, history: History) -> Iterator[Record]:
        return (self._records[one] for one in history[-1])


def _place(record: Record) -> Place:
    return record_place(type(record), record.key)


def _allowed(write: Write, versions: _Versions) -> bool:
    expected = None if isinstance(write, Insert) else write.record.version
    return versions.get(_place(write.record)) == expected


def _done(commit: Commit, versions: _Versions) -> _Versions:
    after = dict(versions)
    for write in commit.writes:
        if isinstance(write, Delete):
            del after[_place(write.record)]
        else:
            after[_place(write.record)] = commit.token
    return after


def _mispaged(told: Told, history: History) -> Iterator[str]:
    """Judge which records the pages had, whatever they say: one that was there all the time is on exactly one."""
    met = Counter(record_place(*saw.ref) for saw in told.saw)
    there = frozenset.intersection(*(frozenset(dict(moment)) for moment in history[told.since - 1 :]))
    yield from (f"R: {place.partition} was there all the time, and on no page" for place in sorted(there - met.keys()))
    yield from (f"R: {place.partition} was on two pages" for place in sorted(there) if met[place] > 1)


def _without_row(table: Mapping[Place, Values]) -> Iterator[str]:
    rows = due_rows(table)
    for place, values in current(table).items():
        row = due_place(place, values)
        if row is not None and row not in rows:
            yield "P: a record that will be due has no row that says so"


def _circles(table: Mapping[Place, Values]) -> Iterator[str]:
    """Find commits that wait for each other: each has marked what the other is still to mark."""
    pending = {one.id: one for one in journals(table).values() if one.decision is Decision.PENDING}
    held = {place: journal for place, journal in marks(table) if journal in pending}
    waits = {
        one.id: {held[place] for place in one.records if place in held and held[place] != one.id}
        for one in pending.values()
    }
    if any(one in waits[other] for one in waits for other in waits[one]):
        yield "O: two commits wait for each other"


def _left(table: Mapping[Place, Values]) -> Iterator[str]:
    """Find what no record that holds needs."""
    there = journals(table)
    needed = {due_place(place, values) for place, values in current(table).items()}
    yield from (f"T: a journal is left: {one.decision}" for one in there.values())
    yield from ("T: a due row is left that leads to nothing" for row in due_rows(table) if row not in needed)
    yield from ("T: a mark is left" for _ in marks(table))
