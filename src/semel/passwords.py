"""The policy of passwords (after NIST SP 800-63B, 5.1.1.2), and the form in which one is hashed.

Length, the commonest, and the person's own names. No rule asks for digits or signs: such rules make passwords worse.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Final

from semel.errors import FieldError
from semel.model import Secret

__all__ = ["COMMONEST", "LENGTH", "check", "prepared"]

LENGTH: Final = range(8, 129)
"""How long a password may be, in characters."""

COMMONEST: Final = 10_000
"""How many of the commonest passwords are refused."""

_UNFIT: Final = frozenset({"Cc", "Cs"})
_ASCII_BUT_LETTERS: Final = bytes(code for code in range(128) if not chr(code).isalpha())


def _commonest() -> frozenset[str]:
    """Return those of zxcvbn's commonest passwords that are long enough to be chosen at all.

    The list is loaded past the package and let go again: with the package come 13 MB of dictionaries that nobody
    asks.
    """
    package = find_spec("zxcvbn")
    spec = PathFinder.find_spec("frequency_lists", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        raise ImportError("zxcvbn is not installed whole", name="zxcvbn")
    lists = module_from_spec(spec)
    spec.loader.exec_module(lists)
    return frozenset(word for word in lists.FREQUENCY_LISTS["passwords"][:COMMONEST] if len(word) in LENGTH)


_REFUSED: Final = _commonest()


def check(password: Secret, names: Iterable[str] = ()) -> list[FieldError]:
    """Return what is wrong with a password that somebody chooses: nothing, or the first of the rules that it breaks.

    ``names`` are what the account is called, emails and usernames in any form. A password is too like one of them
    where it is the same (or the same as an email's local part) but for case, Unicode's forms, and signs and digits
    that make at most half of it.
    """
    chosen = password.reveal()
    if len(chosen) < LENGTH.start:
        return _fault("too_short", f"Choose a password of at least {LENGTH.start} characters")
    if len(chosen) >= LENGTH.stop:
        return _fault("too_long", f"Choose a password of at most {LENGTH.stop - 1} characters")
    if not (chosen.isascii() and chosen.isprintable()) and any(map(_unfit, chosen)):
        return _fault("hidden_character", "Leave out control characters")
    folded = _folded(chosen)
    if folded in _REFUSED:
        return _fault("too_common", "Choose another password: this is one of those that are tried first")
    letters = _letters(folded)
    if any(_alike(folded, letters, _folded(name)) for name in _with_local_parts(names)):
        return _fault("too_similar", "Choose a password that is not your email or username")
    return []


def prepared(password: Secret) -> bytes:
    """Return the bytes to hash: UTF-8 of NFC, since keyboards differ in how they compose a letter (RFC 8265, 4.2).

    Whatever is offered at a sign-in has such bytes, also what no policy would take.
    """
    offered = password.reveal()
    if not offered.isascii() and len(offered) < 4 * LENGTH.stop:  # no longer one is anybody's, and NFC could take long
        offered = unicodedata.normalize("NFC", offered)
    return offered.encode("utf-8", "surrogatepass")


def _with_local_parts(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        yield name
        yield name.partition("@")[0]


def _alike(password: str, letters: str, name: str) -> bool:
    """Compare with a name; ``letters`` are the password's."""
    return password == name or (2 * len(letters) >= len(password) and letters == _letters(name))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _letters(text: str) -> str:
    if text.isascii():
        return text.encode().translate(None, _ASCII_BUT_LETTERS).decode()  # a filter takes some times as long
    return "".join(filter(str.isalpha, text))


def _unfit(character: str) -> bool:
    return unicodedata.category(character) in _UNFIT


def _fault(code: str, message: str) -> list[FieldError]:
    return [FieldError("password", code, message)]
