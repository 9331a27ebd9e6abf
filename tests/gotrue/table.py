"""How the table of differences is read: which line is about which step, and what is in it and not in the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.gotrue.recordings import Answer, Step


@dataclass(frozen=True)
class Meant:
    """Differences that we mean. They occur at each of the steps, or the table is out of date."""

    why: str
    at: Sequence[str]
    """``scenario/1-3,5`` or, of all scenarios, ``METHOD /path 200``: the recorded status. ``*`` stands for anything."""
    what: Sequence[str]
    """As the replay words them, likewise with ``*``."""
    but: Sequence[str] = ()
    """Where they do not occur after all."""

    def about(self, step: Step) -> bool:
        """Whether it speaks of the step."""
        return _selects(self.at, step) and not _selects(self.but, step)


@dataclass(frozen=True)
class Off:
    """What an endpoint answers that is not offered."""

    status: int
    code: str
    message: str

    def answer(self, step: Step) -> Answer:
        """Return the error as the real server words it for this version of its API."""
        named = {"content-type": "application/json", "vary": "Origin", "x-sb-error-code": self.code}
        if step.headers.get("x-supabase-api-version") == "2024-01-01":
            versioned = {**named, "x-supabase-api-version": "2024-01-01"}
            return Answer(self.status, versioned, {"code": self.code, "message": self.message})
        return Answer(self.status, named, {"code": self.status, "error_code": self.code, "msg": self.message})


def wrong(table: Iterable[Meant], step: Step, found: Sequence[str]) -> list[str]:
    """Return what is not in the table, and what is there and does not occur."""
    patterns = [pattern for row in table if row.about(step) for pattern in row.what]
    unlisted = [each for each in found if not any(fnmatchcase(each, pattern) for pattern in patterns)]
    stale = [each for each in patterns if not any(fnmatchcase(one, each) for one in found)]
    return [f"{step}: {each}" for each in unlisted] + [f"{step}: in the table, and not so: {each}" for each in stale]


def unused(table: Iterable[Meant], steps: Iterable[Step]) -> list[str]:
    """Return the selectors that are about no step at all."""
    steps = list(steps)
    selectors = [each for row in table for each in (*row.at, *row.but)]
    return [each for each in selectors if not any(_selects([each], step) for step in steps)]


def off(table: Mapping[str, Off], step: Step) -> Off | None:
    """Return what the step's endpoint answers where it is not offered."""
    return next((each for pattern, each in table.items() if fnmatchcase(step.endpoint, pattern)), None)


def _selects(selectors: Sequence[str], step: Step) -> bool:
    return any(_select(each, step) for each in selectors)


def _select(selector: str, step: Step) -> bool:
    if " " in selector:
        return any(fnmatchcase(f"{step.endpoint} {answer.status}", selector) for answer in step.answers)
    name, _, numbers = selector.rpartition("/")
    return fnmatchcase(step.scenario, name) and (numbers == "*" or step.number in _numbers(numbers))


def _numbers(text: str) -> set[int]:
    """Return what ``1-3,5`` stands for."""
    pairs = (part.partition("-") for part in text.split(","))
    return {number for first, _, last in pairs for number in range(int(first), int(last or first) + 1)}
