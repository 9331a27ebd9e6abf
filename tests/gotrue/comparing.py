"""What differs between a recorded answer and ours: status, error code, headers, and the body, value by value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.gotrue.names import Json, Names
from tests.gotrue.recordings import PLACEHOLDER, Answer
from tests.gotrue.tokens import decoded

_HEADERS: Final = re.compile("content-type|vary|x-sb-.*|x-supabase-.*|location|link|x-total-count|allow|access-.*")
"""Headers of which the recordings say all; of the others at most that one is there."""
_RACER: Final = re.compile(r"^n\d+-")
"""Which of the racers a person is: another one wins each time."""
_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    dict: "object",
    list: "list",
}


def differences(recorded: Answer, ours: Answer, names: Names, jwts: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference. Binds the names that the recorded answer gives."""
    return list(_all(recorded, ours, names, jwts))


def code(answer: Answer) -> str | None:
    """Return an error's code, which must be the same wherever an answer has it."""
    if not isinstance(answer.body, dict) or answer.status < 400:
        return None
    found = {answer.headers.get("x-sb-error-code"), answer.body.get("error_code"), answer.body.get("code")}
    codes = {each for each in found if isinstance(each, str)}
    return " and ".join(sorted(codes)) or None


def _all(recorded: Answer, ours: Answer, names: Names, jwts: Mapping[str, Any]) -> Iterator[str]:
    if recorded.status != ours.status:
        yield f"status {recorded.status} → {ours.status}"
    if code(recorded) != code(ours):
        yield f"code {code(recorded)} → {code(ours)}"
    if (recorded.status < 400) != (ours.status < 400):
        return
    yield from _headers(recorded.headers, ours.headers, names)
    if recorded.status < 400:
        yield from _Body(names, jwts).compared("body", recorded.body, ours.body)
    else:
        yield from _errors(recorded, ours, names)


def _headers(recorded: Mapping[str, str], ours: Mapping[str, str], names: Names) -> Iterator[str]:
    shown = {name: value for name, value in ours.items() if name in recorded or _HEADERS.fullmatch(name)}
    for name in sorted(recorded.keys() | shown.keys()):
        if name not in shown:
            yield f"header {name} missing"
        elif name not in recorded:
            yield f"header {name} added"
        elif name != "x-sb-error-code" and not _alike(recorded[name], shown[name], names):
            yield f"header {name}: {recorded[name]} → {shown[name]}"


def _alike(recorded: str, ours: str, names: Names) -> bool:
    """Whether a header says the same: of what commas part neither order nor number means anything, nor does case."""
    told, said = ({*re.split(r"\s*,\s*", value.lower())} for value in (recorded, ours))
    return told == said or names.meets(recorded, ours)


def _errors(recorded: Answer, ours: Answer, names: Names) -> Iterator[str]:
    """The code is compared by itself, and the message only where the code is the same."""
    same = code(recorded) == code(ours)
    yield from _Body(names, {}).compared("body", _plain(recorded.body, same), _plain(ours.body, same))


def _plain(body: Json, same: bool) -> Json:  # noqa: FBT001 - whether the codes are the same
    if not isinstance(body, dict):
        return body
    left = ("code", "error_code") if same else ("code", "error_code", "message", "msg", "detail")
    return {name: _NAMES[type(value)] if name in left else value for name, value in body.items()}


class _Body:
    def __init__(self, names: Names, jwts: Mapping[str, Any]) -> None:
        self._names = names
        self._jwts = jwts

    def compared(self, at: str, recorded: Json, ours: Json) -> Iterator[str]:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            yield from self._objects(at, recorded, ours)
        elif isinstance(recorded, list) and isinstance(ours, list):
            if len(recorded) != len(ours):
                yield f"{at}: {len(recorded)} entries → {len(ours)}"
            for place, (one, other) in enumerate(zip(recorded, ours, strict=False)):
                yield from self.compared(f"{at}.{place}", one, other)
        elif recorded == "<epoch>":
            if type(ours) is not int:
                yield f"{at}: epoch → {_NAMES[type(ours)]}"
        elif _NAMES[type(recorded)] != _NAMES[type(ours)]:
            yield f"{at}: {_NAMES[type(recorded)]} → {_NAMES[type(ours)]}"
        elif isinstance(recorded, str):
            yield from self._texts(at, recorded, ours)
        elif recorded != ours:
            yield f"{at}: {recorded} → {ours}"

    def _objects(self, at: str, recorded: Mapping[str, Json], ours: Mapping[str, Json]) -> Iterator[str]:
        yield from (f"{at}.{name} missing" for name in recorded if name not in ours)
        yield from (f"{at}.{name} added" for name in ours if name not in recorded)
        for name, value in recorded.items():
            if name in ours:
                yield from self.compared(f"{at}.{name}", value, ours[name])

    def _texts(self, at: str, recorded: str, ours: str) -> Iterator[str]:
        if not self._names.meets(_RACER.sub("n#-", recorded), _RACER.sub("n#-", ours)):
            known = PLACEHOLDER.fullmatch(recorded) and recorded != "<time>"
            yield f"{at}: {recorded} → {'another' if known else ours}"
        elif recorded in self._jwts:
            yield from self.compared(f"{at}(jwt)", self._jwts[recorded], decoded(ours))
