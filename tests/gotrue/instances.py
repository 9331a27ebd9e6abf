"""The settings of our server that make it what an instance of the recordings was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.gotrue.tokens import SECRET

_ON: Final = {
    "SEMEL_GOTRUE_JWT_SECRET": SECRET,
    "SEMEL_ACCESS_TOKEN_SECONDS": "3600",
    "SEMEL_REFRESH_REUSE_SECONDS": "60",
    "SEMEL_CORS_ORIGINS": "*",
}
_OFF: Final = _ON | {"SEMEL_GOTRUE_AUTOCONFIRM": "false"}
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"

SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "on": _ON,
    "extra": _ON,
    "off": _OFF,
    "throttle": _OFF,
    "list": _ON,
    "closed": _OFF | {"SEMEL_GOTRUE_DISABLE_SIGNUP": "true"},
    "noemail": _ON | {"SEMEL_GOTRUE_EMAIL_ENABLED": "false"},
    "strict": _ON | {"SEMEL_REFRESH_REUSE_SECONDS": "1"},
    "careful": _OFF
    | {
        "SEMEL_GOTRUE_PASSWORD_MIN_LENGTH": "8",
        "SEMEL_GOTRUE_PASSWORD_REQUIRED_CHARACTERS": f"{_LETTERS}:{_LETTERS.upper()}:0123456789",
    },
    "brief": _OFF
    | {
        "SEMEL_ACCESS_TOKEN_SECONDS": "2",
        "SEMEL_SESSION_DAYS": f"{3 / 86_400:.9f}",
        "SEMEL_REFRESH_REUSE_SECONDS": "1",
    },
}
"""By instance; instances with the same settings share a server."""

UNTOUCHED: Final = frozenset({"list"})
"""Instances that need a store that nobody has used."""

INTERVALS: Final[Mapping[str, float]] = {
    "more than the reuse interval later": 1.1,
    "the session's time box (3 s) is over": 3.1,
}
"""What a note says has passed, in seconds of the servers above, and a little more."""
