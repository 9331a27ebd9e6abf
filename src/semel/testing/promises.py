"""What the contract suites are made of: promises of a port, each an ordinary coroutine function.

They need no test framework. A promise's name says what is promised, so a failing line of any runner that shows names
reads "which promise, on which implementation".
"""

from __future__ import annotations

__all__ = ["BrokenPromiseError", "expect"]


class BrokenPromiseError(AssertionError):
    """An implementation does not keep a promise of its port; the text says what was seen."""


def expect(kept: bool, seen: str) -> None:  # noqa: FBT001 - it is an assertion, and reads like one
    """Raise ``BrokenPromiseError`` with what was seen, unless it was kept. Unlike ``assert`` it works under ``-O``."""
    if not kept:
        raise BrokenPromiseError(seen)
