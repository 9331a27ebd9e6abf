"""A commit on Azure Tables, all or nothing over partitions that share no transaction: two phases, with intents.

A *journal*, an entity of its own, says ``pending``. Then every record of the commit is *marked*, in the one order of
all stores and each by its ETag: the entity names the journal, and holds what it was and what it is to be. One
conditional replace of the journal, ``pending`` → ``committed`` or ``aborted``, decides. Afterwards the marks are
resolved and the journal is forgotten. Whoever meets a mark asks its journal: committed, the new value holds; aborted,
the old one; pending, the old one still, and a writer that has waited long enough aborts it by that same replace.

Three rules keep this whole when answers are lost and requests come late:

- A request is sent once. Whose answer was lost is looked for, and what is not seen is given up, never sent again.
- A journal is forgotten only once no record has its mark. So a mark whose journal is not there came late, and is void.
- An attempt that was aborted goes on under another journal's id, so that what comes late of it names an aborted one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from semel.errors import CommitUnknown, StoreRejected, StoreUnavailable, WriteRefused
from semel.ports import Clock
from semel.stores.azure_entities import ConditionFailed, Entities, Entity, NotAnswered, Place, Values
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
    journaled,
    mark_of,
    marked,
)

__all__ = ["PATIENCE_SECONDS", "TRIES", "Commits", "Seen"]

PATIENCE_SECONDS: Final = 3.0
"""How long a writer waits for a commit that is in its way before it aborts it. A live one is some ten requests long."""
_PAUSE_SECONDS: Final = 0.02
"""How long a writer waits, about, before it looks again at what is in its way; twice as long each further time."""
_LONGEST_PAUSE_SECONDS: Final = 0.5
TRIES: Final = 6
"""How often a commit is begun, where others come between or abort it."""
_MOST: Final = 99
"""Writes of one commit: a journal and the due rows of all are put into one partition at once, which takes 100."""


class Seen(NamedTuple):
    """What stands at a record's place, as of one moment between asking and now."""

    place: Place
    entity: Entity | None
    current: Values | None
    """The record's values; ``None`` where there is no record."""
    decision: Decision | None = None
    """What the journal says whose mark is on the entity; ``None`` where no mark is."""

    @property
    def mark(self) -> str | None:
        """The id of the journal whose mark is on the entity."""
        return None if self.entity is None else mark_of(self.entity.values)


class Commits:
    """Reads and changes records over ``Entities``. Any number of processes may do so at once."""

    def __init__(
        self,
        entities: Entities,
        clock: Clock,
        jitter: Callable[[], float],
        patience: float = PATIENCE_SECONDS,
        tries: int = TRIES,
    ) -> None:
        self._entities = entities
        self._clock = clock
        self._jitter = jitter
        self._patience = patience
        self._tries = tries
        self._behind: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, asyncio.Task[None]] = {}

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def look(self, places: Sequence[Place]) -> list[Seen]:
        """Return what stands at each place. Raises ``StoreUnavailable``."""
        found = await self._entities.get_many(places)
        return [await self._seen(*one) for one in zip(places, found, strict=True)]

    async def see(self, entity: Entity) -> Seen:
        """Return what an entity says that was read just now. Raises ``StoreUnavailable``."""
        return await self._seen(entity.place, entity)

    async def _look(self, place: Place) -> Seen:
        (seen,) = await self.look([place])
        return seen

    async def _seen(self, place: Place, found: Entity | None) -> Seen:
        entity = found
        while entity is not None and (mark := mark_of(entity.values)) is not None:
            journal = await self._journal(mark)
            if journal is not None:
                return _decided(entity, Decision(str(journal.values["state"])))
            # Forgotten, after the mark was resolved; or the mark came late, and still stands there.
            (again,) = await self._entities.get_many([place])
            if again is not None and again.etag == entity.etag:
                return _decided(entity, Decision.ABORTED)
            entity = again
        return Seen(place, entity, None if entity is None else before_mark(entity.values))

    async def _journal(self, journal: str) -> Entity | None:
        (found,) = await self._entities.get_many([journal_place(journal)])
        return found

    # ── Committing ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def commit(self, changes: Sequence[Change], token: int) -> None:
        """Make all of the changes, which are in the order of ``in_order``, or none.

        Raises ``WriteRefused`` with positions in the order given, ``StoreRejected``, ``StoreUnavailable`` or
        ``CommitUnknown``.
        """
        if len(changes) > _MOST:
            raise StoreRejected(f"A commit on Azure Tables has at most {_MOST} records.")
        direct = len(changes) == 1 and "due_at" not in (changes[0].after or {})
        for attempt in range(self._tries):
            seen = await self._before(changes, surely=direct or attempt > 0)
            _check(changes, seen)
            done = self._alone(changes[0], seen[0]) if direct else self._together(changes, seen, token, attempt)
            if await done:
                return
        raise StoreUnavailable("Other commits came between too often.", retry_after=self._patience)

    async def _before(self, changes: Sequence[Change], *, surely: bool) -> list[Seen]:
        """Return what stands where the changes go.

        Where nothing may, nothing is taken to stand there at first: its own condition tells, and spares a request.
        """
        look = [change.place for change in changes if surely or change.expects is not None]
        found = {seen.place: seen for seen in await self.look(look)}
        return [found.get(change.place, Seen(change.place, None, None)) for change in changes]

    async def _alone(self, change: Change, seen: Seen) -> bool:
        """Make the one change of a commit, which needs no journal; ``False`` where another came between."""
        ready = await self._ready(seen)
        _check([change], [ready])
        try:
            await self._apply(change, ready, change.after)
        except ConditionFailed:
            return False
        except NotAnswered:
            current = await self._after_doubt(change.place)
            if change.after is None or current is None or current["version"] != change.after["version"]:
                raise CommitUnknown from None
        if ready.current is not None and (superseded := due_place(change.place, ready.current)):
            self._later(self._entities.discard(superseded))
        return True

    async def _together(self, changes: Sequence[Change], seen: Sequence[Seen], token: int, attempt: int) -> bool:
        """Make the changes under a journal; ``False`` where nothing was changed and another attempt may do it."""
        identity = journal_id(token, attempt)
        journal = await self._begin(changes, identity)
        if journal is None:
            return False
        marks: list[Entity] = []
        try:
            for position, change in enumerate(changes):
                marks.append(await self._mark(change, seen[position], identity, position))
            done = await self._decide(journal)
        except WriteRefused:
            self._later(self._withdraw(journal, marks))
            raise
        except NotAnswered:
            self._later(self.forget(journal))
            return False
        except BaseException:
            # Nobody but this attempt could have committed it. Were that asked for, the journal says what came of it.
            self._later(self.forget(journal))
            raise
        self._later(self._finish(journal, marks) if done else self.forget(journal))
        return done

    async def _begin(self, changes: Sequence[Change], identity: str) -> Entity | None:
        """Put the journal and the due rows there; ``None`` where the id is taken."""
        place = journal_place(identity)
        rows: dict[str, Values] = {place.row: journal_values(changes, identity)}
        rows |= {row.row: {} for row in due_places(changes, identity)}
        try:
            return (await self._entities.insert(place.partition, rows))[0]
        except ConditionFailed:
            return None
        except NotAnswered:
            landed = await self._journal(identity)
            if landed is None:  # it may come later, and then no mark names it
                raise StoreUnavailable("The store did not answer.") from None
            # Upkeep may have met it meanwhile: one that is decided already is never written over.
            return landed if landed.values["state"] == Decision.PENDING else None

    async def _mark(self, change: Change, before: Seen, identity: str, position: int) -> Entity:
        """Set the commit's mark on a record, once nobody else's is there.

        Raises ``WriteRefused`` where the record is not what the commit expects, ``NotAnswered`` where the mark was not
        seen to land.
        """
        seen = before
        while True:
            seen = await self._ready(seen)
            if not change.allowed(seen.current):
                raise WriteRefused((position,))
            try:
                return await self._apply(change, seen, marked(seen.current, change.after, identity))
            except ConditionFailed:
                seen = await self._look(change.place)
            except NotAnswered:
                seen = await self._look(change.place)
                if seen.entity is None or seen.mark != identity:
                    raise
                return seen.entity

    async def _apply(self, change: Change, seen: Seen, values: Values | None) -> Entity:
        """Write values where the change's record stands or is to stand; ``None`` deletes it."""
        if seen.entity is None:
            (entity,) = await self._entities.insert(change.place.partition, {change.place.row: values or {}})
            return entity
        if values is None:
            await self._entities.delete(seen.entity)
            return seen.entity
        return await self._entities.replace(seen.entity, values)

    async def _decide(self, journal: Entity) -> bool:
        """Commit, and say whether it is: ``False`` where another has aborted it."""
        try:
            await self._entities.replace(journal, {**journal.values, "state": Decision.COMMITTED.value})
        except ConditionFailed:
            return False
        except NotAnswered:
            return await self._decided_after_doubt(journal)
        return True

    async def _decided_after_doubt(self, journal: Entity) -> bool:
        """Find out what became of the decision whose answer was lost, or see to it that it comes to nothing."""
        try:
            found = await self._aborted(journal)
        except (NotAnswered, StoreUnavailable):
            raise CommitUnknown from None
        if found is None or found.values["state"] == Decision.PENDING:
            raise CommitUnknown
        return found.values["state"] == Decision.COMMITTED

    async def _after_doubt(self, place: Place) -> Values | None:
        try:
            return (await self._look(place)).current
        except StoreUnavailable:
            raise CommitUnknown from None

    # ── Marks in the way ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _ready(self, seen: Seen) -> Seen:
        """Return what stands there once it has no mark: wait for a live commit, abort one that takes too long."""
        now = seen
        try:
            while now.mark is not None:
                await (self._past(now.mark) if now.decision is Decision.PENDING else self.resolve(now))
                now = await self._look(seen.place)
        except NotAnswered:  # to what concerns another's commit; of this one nothing was asked
            raise StoreUnavailable("The store did not answer.") from None
        return now

    async def _past(self, mark: str) -> None:
        """Wait until the commit of a mark is decided. All of this process that wait for it ask as one.

        Many who wait for one must not take the connections that it needs.
        """
        waiting = self._waiting.get(mark)
        if waiting is None:
            waiting = self._waiting[mark] = asyncio.create_task(self._outwait(mark))
            waiting.add_done_callback(partial(self._waited, mark))
        await asyncio.shield(waiting)

    def _waited(self, mark: str, waiting: asyncio.Task[None]) -> None:
        del self._waiting[mark]
        if not waiting.cancelled():
            waiting.exception()  # whoever waited has it; there may be nobody left

    async def _outwait(self, mark: str) -> None:
        """Ask less and less often what has become of a commit; abort it when that has lasted for the patience."""
        since, pause = self._clock.monotonic(), _PAUSE_SECONDS
        while (journal := await self._journal(mark)) is not None and journal.values["state"] == Decision.PENDING:
            if self._clock.monotonic() - since >= self._patience:
                await self._aborted(journal)
                return
            await self._clock.sleep(pause * (0.5 + self._jitter()))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _aborted(self, journal: Entity) -> Entity | None:
        """Abort a commit that is still as it was read; return its journal as it is then, ``None`` if forgotten."""
        if journal.values["state"] != Decision.PENDING:
            return journal
        try:
            return await self._entities.replace(journal, {**journal.values, "state": Decision.ABORTED.value})
        except ConditionFailed:
            (found,) = await self._entities.get_many([journal.place])
            return found

    async def resolve(self, seen: Seen) -> None:
        """Take a decided mark away, and first the due row that goes with it; whoever else does so is as welcome."""
        if seen.entity is None or seen.mark is None:
            return
        before, after = before_mark(seen.entity.values), after_mark(seen.entity.values)
        gone = before if seen.decision is Decision.COMMITTED else after
        if gone is not None and (row := due_place(seen.place, gone)) is not None:
            await self._entities.discard(row)
        await self._unmark(seen.entity, seen.current)

    async def _unmark(self, entity: Entity, current: Values | None) -> None:
        try:
            if current is None:
                await self._entities.delete(entity)
            else:
                await self._entities.replace(entity, current)
        except ConditionFailed:
            return  # another has resolved it

    # ── Afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _finish(self, journal: Entity, marks: Sequence[Entity]) -> None:
        """Resolve the marks of a commit that was just decided, and forget its journal."""
        for mark in marks:
            await self.resolve(_decided(mark, Decision.COMMITTED))
        await self._entities.discard(journal.place)

    async def _withdraw(self, journal: Entity, marks: Sequence[Entity]) -> None:
        """Clear away what a refused attempt of this process has put there.

        All of it was answered, and nobody else could commit it: there is nothing to look for and nothing to abort.
        """
        for mark in marks:
            await self._unmark(mark, before_mark(mark.values))
        for row in journaled(journal)[2]:
            await self._entities.discard(row)
        await self._entities.discard(journal.place)

    async def forget(self, journal: Entity) -> None:
        """End a commit that its worker has left or given up: abort it if it is pending, resolve its marks, forget it.

        Raises ``StoreUnavailable`` or ``NotAnswered``; what is left then is for the next who comes.
        """
        # Forgotten by another: what marks there are came later than its look, and are void.
        decided = await self._aborted(journal) or journal
        identity, records, rows = journaled(decided)
        for place in records:
            while (seen := await self._look(place)).mark == identity:
                await self.resolve(seen)
        if decided.values["state"] == Decision.ABORTED:
            for row in rows:
                await self._entities.discard(row)
        await self._entities.discard(decided.place)

    async def sweep(self, row: Place) -> None:
        """Delete a due row, unless it leads to its record, or its commit is on its way and may yet make it do so.

        The journal is asked first: it was put there with the row, so one that is decided, or gone, changes no more.
        """
        journal, record = due_record(row)
        found = await self._journal(journal)
        if found is not None and found.values["state"] == Decision.PENDING:
            return
        seen = await self._look(record)
        if seen.current is None or due_place(record, seen.current) != row:
            self._later(self._entities.discard(row))

    def help(self, seen: Seen) -> None:
        """Resolve a decided mark that a reader has met, behind its back."""
        if seen.decision not in (None, Decision.PENDING):
            self._later(self.resolve(seen))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_as_far_as_it_goes(work))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def settled(self, seconds: float) -> None:
        """Let what goes on behind answered commits end, for at most so long; the rest is left to upkeep."""
        late = set(self._waiting.values())
        if self._behind:
            late |= (await asyncio.wait(self._behind, timeout=seconds))[1]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _decided(entity: Entity, decision: Decision) -> Seen:
    values = after_mark(entity.values) if decision is Decision.COMMITTED else before_mark(entity.values)
    return Seen(entity.place, entity, values, decision)


def _check(changes: Sequence[Change], seen: Sequence[Seen]) -> None:
    """Raise ``WriteRefused`` for what is not as expected, unless a commit is on its way that could make it so."""
    refused = [
        position
        for position, (change, found) in enumerate(zip(changes, seen, strict=True))
        if found.decision is not Decision.PENDING and not change.allowed(found.current)
    ]
    if refused:
        raise WriteRefused(tuple(refused))


async def _as_far_as_it_goes(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (NotAnswered, StoreUnavailable, StoreRejected):
        return  # whoever meets what is left resolves it, and upkeep does
