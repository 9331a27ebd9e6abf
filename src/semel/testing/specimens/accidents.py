"""The accidents, and the judge that sees them in any system: in the tables of the specimens, and in Semel's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from typing_extensions import override

from semel.errors import OutcomeUnknown, RegistrationInFlight, StoreUnavailable
from semel.model import Account, Record
from semel.testing.explorer import Ending, Judge
from semel.testing.scenarios.parties import Answer
from semel.testing.specimens.tables import Entity, Response, Responses, User

__all__ = ["Accident", "AccidentJudge"]

_COME_BACK = {None, OutcomeUnknown.code, RegistrationInFlight.code, StoreUnavailable.code}


class Accident(StrEnum):
    """What goes wrong, as people meet it."""

    TWO_ACCOUNTS = "two accounts for one person"
    NO_ACCOUNT = "an identity without an account"
    NO_IDENTITY = "an account without an identity"
    WRONG_ANSWER = "an error, although it worked"
    USED_TWICE = "an invitation used twice"
    NOBODY = "all refused, and no account"
    """None of the five, but what a repair of them can lead to."""


class _Row(NamedTuple):
    """An account, whatever the table."""

    id: str
    person: str | None
    invitation: str | None


class AccidentJudge(Judge):
    """Looks for accidents at rest: for one of them, or for all. ``people`` says who is behind each party."""

    def __init__(self, people: Mapping[str, str], only: Accident | None = None) -> None:
        self._people = people
        self._only = only

    @override
    def ended(self, ending: Ending) -> Sequence[str]:
        return [said for accident, said in self._found(ending) if self._only in (None, accident)]

    def _found(self, ending: Ending) -> Iterator[tuple[Accident, str]]:
        rows, identities = _accounts(ending.states), _identities(ending.states)
        for person, number in Counter(row.person for row in rows).items():
            if number > 1:
                yield Accident.TWO_ACCOUNTS, f"{person} has {number} accounts"
        for invitation, number in Counter(row.invitation for row in rows if row.invitation).items():
            if number > 1:
                yield Accident.USED_TWICE, f"invitation {invitation} made {number} accounts"
        if identities is not None:
            owners = {row.id for row in rows}
            yield from ((Accident.NO_ACCOUNT, "an identity has no account") for _ in identities - owners)
            yield from ((Accident.NO_IDENTITY, "an account has no identity") for _ in owners - identities)
        refused = [who for who, outcome in ending.outcomes.items() if _refuses(outcome.value)]
        for who in refused:
            if self._people[who] in {row.person for row in rows}:
                yield Accident.WRONG_ANSWER, f"{who} was refused, and the account is there"
        if refused and not rows and not ending.disturbed:
            yield Accident.NOBODY, "nobody got in, and nothing had gone wrong"


def _accounts(states: Mapping[str, Any]) -> tuple[_Row, ...]:
    table = states["supabase"][0] if "supabase" in states else states["store"]
    return tuple(row for row in map(_row, table.values()) if row is not None)


def _row(record: Record) -> _Row | None:
    match record:
        case User():
            return _Row(record.id, record.email, record.invitation)
        case Entity():
            return _Row(record.id, record.person, None)
        case Account():
            # Where two people want one invitation of Semel's, it is a username: an identifier like any other.
            return _Row(record.id, record.email_canonical, record.username_canonical)
        case _:
            return None


def _identities(states: Mapping[str, Any]) -> set[str] | None:
    """Return the provider's ids; ``None`` where the system has no identity provider beside its tables."""
    state = states["supabase"][1] if "supabase" in states else states.get("provider")
    return None if state is None else {kept.provider_id for kept in state.identities}


def _refuses(value: object) -> bool:
    """Tell whether somebody was refused for good, rather than asked to come back."""
    match value:
        case Responses():
            return any(map(_refuses, value.each))
        case Response():
            return value.final
        case Answer():
            return value.code not in _COME_BACK
        case _:
            return False
