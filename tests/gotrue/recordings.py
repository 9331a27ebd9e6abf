"""Recorded exchanges with a real Supabase Auth server, scenario by scenario, in the order of their steps.

The file is the one that the adapter's tests read, and so is the variable that names another.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from typing_extensions import override

from tests.providers.transcripts import RECORDED

PLACEHOLDER: Final = re.compile(r"<[a-z-]+(?::\w+)?>")

_BUILT_ON: Final = frozenset({"list", "throttle"})
"""Instances whose scenarios build on each other."""
_UUID: Final = "[0-9a-f-]{36}"


@dataclass(frozen=True)
class Answer:
    """One answer of the real server."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Step:
    """A request, and what the real server answered; to a race, every distinct answer."""

    scenario: str
    number: int
    auth: str
    method: str
    path: str
    headers: Mapping[str, str]
    request: Any
    answers: Sequence[Answer]
    at_once: int
    """How many requests were sent at once; 1 is no race."""
    same_body: bool
    note: str
    jwts: Mapping[str, Any] = field(repr=False)
    """Header and claims of each token that appears here."""
    given: frozenset[str] = field(repr=False)
    """The placeholders that an earlier answer or mail had given."""

    @property
    def endpoint(self) -> str:
        """Its method and path, without query and ids."""
        path = re.sub(f"{PLACEHOLDER.pattern}|{_UUID}", "{id}", self.path.partition("?")[0])
        return f"{self.method} {path}"

    @override
    def __str__(self) -> str:
        return f"{self.scenario}/{self.number}"


@dataclass(frozen=True)
class Scenario:
    """Steps that share their placeholders."""

    name: str
    instance: str
    steps: Sequence[Step]


def scenarios() -> list[Scenario]:
    """Return all of them, in the file's order."""
    lines: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for text in RECORDED.read_text().splitlines():
        line = json.loads(text)
        if "scenario" in line:
            lines[line["scenario"]].append(line)
    return [Scenario(name, of[0]["instance"], list(_steps(of))) for name, of in lines.items()]


def units() -> list[list[Scenario]]:
    """Return what can be replayed alone: a scenario, or all of an instance whose scenarios build on each other."""
    alone: dict[str, list[Scenario]] = defaultdict(list)
    for each in scenarios():
        alone[each.instance if each.instance in _BUILT_ON else each.name].append(each)
    return list(alone.values())


def _steps(lines: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    given: set[str] = set()
    for line in lines:
        version = line["api_version"]
        yield Step(
            scenario=line["scenario"],
            number=line["step"],
            auth=line["auth"],
            method=line["method"],
            path=line["path"],
            headers=line["request_headers"] | ({} if version is None else {"x-supabase-api-version": version}),
            request=line["request"],
            answers=[_answer(one) for one in line.get("outcomes", [line])],
            at_once=line.get("race", 1),
            same_body=line.get("same_body", True),
            note=line.get("note", ""),
            jwts=line.get("jwts", {}),
            given=frozenset(given),
        )
        told = {name: line.get(name) for name in ("response", "outcomes", "mails", "jwts")}
        given |= set(PLACEHOLDER.findall(json.dumps(told)))


def _answer(line: Mapping[str, Any]) -> Answer:
    return Answer(line["status"], line["response_headers"], line["response"])
