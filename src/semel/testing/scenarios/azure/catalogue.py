"""The scenarios over an Azure table. Each name says who meets: see ``PEOPLE`` for what each does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec

from semel.model import OutboxEvent, Record
from semel.ports import Delete, Insert, Ref, Replace, Write
from semel.stores.azure_entities import Place, Values
from semel.stores.azure_places import Decision
from semel.testing.clock import START
from semel.testing.explorer.runs import Make
from semel.testing.explorer.scenarios import Rest, Scenario
from semel.testing.fake_entities import Shelves
from semel.testing.scenarios.azure.judge import CommitJudge
from semel.testing.scenarios.azure.leaving import LeavingStore
from semel.testing.scenarios.azure.parties import (
    TABLE,
    Commit,
    Setting,
    committing,
    listing,
    paging,
    reading,
    reading_all,
    reading_at_once,
    resting,
    tidying,
)
from semel.testing.scenarios.azure.table import BusyService, WatchedService, dead, shelves_of

__all__ = ["COMMITS", "PEOPLE", "Setting", "over_entities"]

_SECOND: Final = timedelta(seconds=1)
_PAST_ALL: Final = 100 * _SECOND
"""Past a writer's patience, and past the age at which upkeep takes a journal for one that was left."""
_DUE: Final = START + timedelta(hours=1)


def _event(name: str, of: str = "at first", due: bool = False, version: int = 0) -> OutboxEvent:  # noqa: FBT001, FBT002
    due_at = _DUE if due else None
    return OutboxEvent(id=name, kind=of, account_id="ann", created_at=START, due_at=due_at, version=version)


def _token(number: int) -> int:
    """Return a token whose journal stands in the first partition of all, as each other's."""
    return 8 * number


X, Y, Z = _event("x", version=_token(1)), _event("y", version=_token(2)), _event("z", version=_token(3))
D: Final = _event("d", due=True, version=_token(4))
"""Due one day; the others never are."""
STANDING: Final = (X, Y, Z, D)
_REFS: Final = tuple(Ref(OutboxEvent, (name,)) for name in "dnxyz")


def _over(record: Record, of: str, **changes: object) -> Replace:
    return Replace(record.but(kind=of, **changes))


def _commit(number: int, *writes: Write) -> Commit:
    return Commit(writes, _token(number))


COMMITS: Final[Mapping[str, Commit]] = {
    "xy": _commit(10, _over(X, "by xy"), _over(Y, "by xy")),
    "yx": _commit(11, _over(Y, "by yx"), _over(X, "by yx")),
    "yz": _commit(12, _over(Y, "by yz"), _over(Z, "by yz")),
    "x": _commit(13, _over(X, "by x")),
    "not-x": _commit(14, Delete(X)),
    "not-xy": _commit(15, Delete(X), Delete(Y)),
    "nx": _commit(16, Insert(_event("n", "by nx")), _over(X, "by nx")),
    "ny": _commit(17, Insert(_event("n", "by ny")), _over(Y, "by ny")),
    "n": _commit(18, Insert(_event("n", "by n"))),
    "not-n": _commit(25, Delete(_event("n", version=_token(16)))),
    "d-later": _commit(19, _over(D, "by d-later", due_at=_DUE + _SECOND)),
    "d-never": _commit(20, _over(D, "by d-never", due_at=None)),
    "dx": _commit(21, _over(D, "by dx", due_at=_DUE + 2 * _SECOND), _over(X, "by dx")),
    "not-d": _commit(22, Delete(D)),
    "dead": _commit(23, _over(X, "by dead"), _over(Y, "by dead")),
    "dead-due": _commit(24, _over(D, "by dead", due_at=_DUE + _SECOND), Insert(_event("n", "by dead"))),
}
"""What the writers want, each named by the records that it writes."""

_Person = Callable[[Setting], Make]


def _writer(commit: Commit) -> _Person:
    return lambda to: committing(to, commit)


def _reader(*names: str) -> _Person:
    return lambda to: reading(to, *(Ref(OutboxEvent, (name,)) for name in names))


PEOPLE: Final[Mapping[str, _Person]] = {
    **{name: _writer(commit) for name, commit in COMMITS.items()},
    "reads-x": _reader("x"),
    "reads-xx": _reader("x", "x"),
    "reads-xy": _reader("x", "y"),
    "reads-yx": _reader("y", "x"),
    "many": lambda setting: reading_at_once(setting, *(Ref(OutboxEvent, (name,)) for name in "nxy")),
    "pages": paging,
    "lists": listing,
    "tidies": tidying,
    "tidies-2": tidying,
}
"""Who may meet."""

_Left = Mapping[Place, Values]


def _dead(name: str, decision: Decision, marked: int) -> _Left:
    commit = COMMITS[name]
    return dead((commit.writes, commit.token), decision, STANDING, marked)


class _World(NamedTuple):
    about: str
    shelves: Shelves = shelves_of(STANDING)
    died: frozenset[str] = frozenset()
    """The commits whose workers died."""
    service: type[WatchedService] = WatchedService
    one_at_a_time: bool = True
    """Whether whoever asks several things at once sends one after the other."""
    twice: bool = False
    """Whether who is aborted tries again, whoever meets."""
    leaving: bool = False
    """Whether who commits leaves as soon as it has its answer."""


def _left(about: str, name: str, decision: Decision, marked: int, *, one_at_a_time: bool = True) -> _World:
    shelves = shelves_of(STANDING, _dead(name, decision, marked))
    return _World(about, shelves, frozenset({name}), one_at_a_time=one_at_a_time)


_WORLDS: Final[Mapping[str, _World]] = {
    "plain": _World("x, y, z and d stand, nothing else"),
    "busy": _World("x, y, z and d stand, and the service is busy now and then", service=BusyService),
    "again": _World("x, y, z and d stand, and who is aborted tries again", twice=True),
    "leaving": _World("x, y, z and d stand, and who commits leaves with the answer", leaving=True),
    "at-once": _World("x, y, z and d stand, and several requests of one are under way at once", one_at_a_time=False),
    "dead-pending": _left("a worker died before it decided", "dead", Decision.PENDING, 1),
    "dead-committed": _left("a worker died when it had committed", "dead", Decision.COMMITTED, 2),
    "dead-committed-at-once": _left(
        "a worker died when it had committed, and several requests of one are under way at once",
        "dead",
        Decision.COMMITTED,
        2,
        one_at_a_time=False,
    ),
    "dead-aborted": _left("a worker died whose commit another had aborted", "dead-due", Decision.ABORTED, 2),
}

_MEETINGS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "plain",
        (
            "xy",
            "d-later",
            "dx",
            "xy yz",
            "xy yx",
            "xy x",
            "xy reads-x",
            "xy reads-xx",
            "xy reads-xy",
            "xy reads-yx",
            "xy not-x",
            "xy not-xy",
            "nx ny",
            "nx n",
            "nx not-n",
            "xy tidies",
            "dx lists",
            "dx tidies",
            "dx d-never",
            "dx d-later",
            "dx not-d",
            "xy x reads-x",
            "x not-x reads-x",
            "nx n not-n",
            "xy many",
            "nx many",
            "xy pages",
            "nx pages",
            "not-xy pages",
        ),
    ),
    (
        "leaving",
        (
            "xy yx",
            "xy not-xy",
            "dx d-later",
            "dx not-d",
            "dx lists",
            "dx tidies",
            "nx not-n",
            "xy reads-xx",
            "xy x reads-x",
            "nx n not-n",
        ),
    ),
    ("at-once", ("xy x", "dx lists", "nx not-n", "dx d-never")),
    ("again", ("xy x", "dx tidies")),
    ("busy", ("dx", "xy yz", "dx d-never", "dx tidies")),
    ("dead-pending", ("tidies tidies-2", "x yz", "x tidies", "reads-xx x")),
    ("dead-committed", ("tidies tidies-2", "x yz", "x tidies", "reads-xy tidies")),
    ("dead-committed-at-once", ("x tidies",)),
    ("dead-aborted", ("tidies tidies-2", "n d-later", "dx tidies", "lists tidies")),
)


def over_entities(setting: Setting | None = None) -> Iterator[Scenario]:
    """Yield every scenario over an Azure table, over this setting's store (the shipped one by default)."""
    for world, meetings in _MEETINGS:
        yield from (scenario(setting or Setting(), world, names) for names in meetings)


def scenario(setting: Setting, world: str, names: str) -> Scenario:
    """Return the scenario in which these people meet in this world; ``names`` are parted by spaces."""
    people, place = names.split(), _WORLDS[world]
    writers = [COMMITS[name] for name in people if name in COMMITS]
    alone = len(people) == 1
    lively = not place.died and place.service is WatchedService and len(writers) == 1
    # Two who abort each other by turns do again what they did. What one does at once is explored where it is alone.
    twice = place.twice or (any(name.startswith("reads") for name in people) and not place.died)
    store = LeavingStore if place.leaving else setting.store
    setting = msgspec.structs.replace(setting, store=store, tries=2 if twice else 1)
    commits = [commit for name, commit in COMMITS.items() if name in place.died | set(people)]
    return Scenario(
        name=f"azure/{world}/{'+'.join(people)}",
        about=f"{place.about}; {', '.join(people)} meet",
        parties={name: PEOPLE[name](setting) for name in people},
        services={TABLE: place.service(place.shelves, one_at_a_time=place.one_at_a_time and not alone)},
        judge=CommitJudge(STANDING, commits, lively=lively),
        rest=Rest(
            upkeep=resting(setting, *_REFS),
            near=(_PAST_ALL, _PAST_ALL),
            far=(_PAST_ALL, _PAST_ALL, 0 * _SECOND),
            afterwards=reading_all(setting, *_REFS),
        ),
        jump=_PAST_ALL,
        jumps=1 if "tidies" in people else 0,
        hang_up=alone,
    )
