"""How the table of differences is read: which line is about which step, and what is in it and not in the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus

from tests.gotrue.comparing import code
from tests.gotrue.recordings import Answer, Step

_BEFORE = frozenset({"bad_json", "bad_jwt", "no_authorization", "not_admin", "signup_disabled", "user_not_found"})
"""What a request may be refused for before it matters what is offered."""


@dataclass(frozen=True)
class Meant:
    """Differences that we mean. They occur at each of the steps, or the table is out of date."""

    why: str
    at: Sequence[str]
    """``scenario/1-3,5``: its steps. ``*`` stands for anything in the scenario's name."""
    what: Sequence[str]
    """As the replay words them, likewise with ``*``."""

    def about(self, step: Step) -> bool:
        """Whether it speaks of the step."""
        return any(_selects(selector, step) for selector in self.at)


@dataclass(frozen=True)
class Off:
    """What an endpoint answers that is not offered, unless the real server refused the request before that."""

    status: int
    code: str
    message: str

    def answers(self, step: Step) -> Sequence[Answer]:
        """Return what the step is answered."""
        first = [each for each in step.answers if each.status == HTTPStatus.METHOD_NOT_ALLOWED or code(each) in _BEFORE]
        return first or [self.answer(step)]

    def answer(self, step: Step) -> Answer:
        """Return the error as the real server words it for this version of its API."""
        named = {"content-type": "application/json", "vary": "Origin", "x-sb-error-code": self.code}
        if step.headers.get("x-supabase-api-version") == "2024-01-01":
            versioned = {**named, "x-supabase-api-version": "2024-01-01"}
            return Answer(self.status, versioned, {"code": self.code, "message": self.message})
        return Answer(self.status, named, {"code": self.status, "error_code": self.code, "msg": self.message})


def wrong(table: Iterable[Meant], step: Step, found: Sequence[str]) -> list[str]:
    """Return what is not in the table, and what is there and does not occur."""
    meant = [pattern for row in table if row.about(step) for pattern in row.what]
    unlisted = [each for each in found if not any(fnmatchcase(each, pattern) for pattern in meant)]
    stale = [each for each in meant if not any(fnmatchcase(one, each) for one in found)]
    return [f"{step}: {each}" for each in unlisted] + [f"{step}: in the table, and not so: {each}" for each in stale]


def unused(table: Iterable[Meant], steps: Iterable[Step]) -> list[str]:
    """Return the selectors that are about no step at all."""
    steps = list(steps)
    return [each for row in table for each in row.at if not any(_selects(each, step) for step in steps)]


def _selects(selector: str, step: Step) -> bool:
    name, _, numbers = selector.rpartition("/")
    return fnmatchcase(step.scenario, name) and step.number in _numbers(numbers)


def _numbers(text: str) -> set[int]:
    """Return what ``1-3,5`` stands for."""
    pairs = (part.partition("-") for part in text.split(","))
    return {number for first, _, last in pairs for number in range(int(first), int(last or first) + 1)}
