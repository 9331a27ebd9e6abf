"""What a scenario's placeholders stand for: bound by our own answers, put into later requests."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

from tests.gotrue.recordings import PLACEHOLDER

Json: TypeAlias = Any

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LENGTH: Final = re.compile(r"(\d+) characters")
_MADE: Final[Mapping[str, Callable[[], str]]] = {
    **dict.fromkeys(("user", "identity", "session", "uuid", "flow-code", "factor"), lambda: str(uuid4())),
    "user-hex": lambda: uuid4().hex,
    "otp": lambda: f"{secrets.randbelow(10**6):06}",
}
_MAY_REPEAT: Final = frozenset({"jwt", "obscured", "request"})
"""Of these the numbers say nothing: two tokens of one session made in one second are the same."""


class Names:
    """The placeholders of one scenario. ``fixed`` are known before it begins."""

    def __init__(self, fixed: Mapping[str, str]) -> None:
        self._bound = {"<uuid:nil>": str(UUID(int=0)), **fixed}

    def copy(self) -> Names:
        """Return the same, to be bound apart."""
        return Names(self._bound)

    def missing(self, request: Json, given: frozenset[str]) -> set[str]:
        """Return what the request needs, and the real server had given, and ours has not."""
        return {name for name in _within(request) if name in given and name not in self._bound}

    def filled(self, value: Json, note: str = "") -> Json:
        """Return a request with every placeholder replaced; what nobody gave is made up, as the note says."""
        if isinstance(value, dict):
            return {self._text(name, note): self.filled(each, note) for name, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each, note) for each in value]
        return self._text(value, note) if isinstance(value, str) else value

    def meets(self, recorded: str, ours: str) -> bool:
        """Whether our text is the recorded one, where placeholders stand for the same all along; binds new ones."""
        names = PLACEHOLDER.findall(recorded)
        if names == [recorded]:
            return self._meets(recorded, ours)
        pieces = PLACEHOLDER.split(recorded)
        found = re.fullmatch("(.+?)".join(map(re.escape, pieces)), ours, re.DOTALL)
        return found is not None and all(map(self._meets, names, found.groups()))

    def _meets(self, name: str, ours: str) -> bool:
        kind = name[1:-1].partition(":")[0]
        if kind == "time":
            return _TIME.fullmatch(ours) is not None
        if kind in _MAY_REPEAT:
            self._bound[name] = ours
            return True
        if name not in self._bound and ours in self._bound.values():
            return False
        return self._bound.setdefault(name, ours) == ours

    def _text(self, text: str, note: str) -> str:
        return PLACEHOLDER.sub(lambda found: self._bound.setdefault(found[0], _made(found[0], note)), text)


def _within(value: Json) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_within, value.values()))
    if isinstance(value, list):
        return set().union(*map(_within, value))
    return set(PLACEHOLDER.findall(value)) if isinstance(value, str) else set()


def _made(name: str, note: str) -> str:
    length = _LENGTH.fullmatch(note)
    if length:
        return "x" * int(length[1])
    made = _MADE.get(name[1:-1].partition(":")[0], lambda: secrets.token_urlsafe(32))()
    return made.upper() if note == "upper case" else made
