"""What people wrote about themselves, as a mail to somebody may repeat it.

Whoever signs up chooses the name that a mail greets with, and the address that it goes to. So it must not carry what
they want to say to a stranger: no link, no telephone number, no second line.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["said_name", "said_note"]

_NAME_LONGEST: Final = 60
_NOTE_LONGEST: Final = 500
_ENDS: Final = frozenset({"Cc", "Zl", "Zp", "Zs"})
_UNSEEN: Final = frozenset({"Cf", "Cs", "Co", "Cn"})
_JOINERS: Final = "\u200c\u200d"
"""Scripts need them between letters; mail programs see a link despite them, or not."""
_TELLING: Final = re.compile(
    r"""
      @ | :// | www\.               # what mail programs make a link of
    | \w [.\u3002] \w\w             # a host's name
    | \b [a-z][a-z0-9+.-]+ : \S     # mailto: and the like
    | (?: \d \D{0,2} ){6}           # a telephone number
    """,
    re.IGNORECASE | re.VERBOSE,
)


def said_name(value: str) -> str:
    """Return a name on one line, at most 60 characters; empty where it is more than a name."""
    line = _one_line(value)
    bare = unicodedata.normalize("NFKC", line.translate(dict.fromkeys(map(ord, _JOINERS))))
    return "" if _TELLING.search(bare) else _cut(line, _NAME_LONGEST)


def said_note(value: str) -> str:
    """Return a note on one line, at most 500 characters. Links stay: who may invite may say where to look."""
    return _cut(_one_line(value), _NOTE_LONGEST)


def _one_line(value: str) -> str:
    """Return the text without line ends, control characters and what turns the direction of writing."""
    return " ".join("".join(map(_shown, value)).split())


def _shown(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in _ENDS:
        return " "
    return "" if category in _UNSEEN and letter not in _JOINERS else letter


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
