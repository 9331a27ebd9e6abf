"""How a Supabase Auth server is spoken to: its keys, its version, its error codes."""

from __future__ import annotations

import re
from collections.abc import Generator
from http import HTTPStatus
from typing import Final

import httpx
from typing_extensions import override

from semel.model import Secret
from semel.providers.http import Answer, Speech

__all__ = ["SPEECH", "Key", "more", "total"]

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_COUNT: Final = re.compile(r"[0-9]{1,12}")
_IN_WORDS: Final = re.compile(r"after (\d{1,6}) seconds")


class Key(httpx.Auth):
    """Adds the key to a request: kept here it is in no repr of a client."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["apikey"] = self._key.reveal()
        request.headers.setdefault("Authorization", f"Bearer {self._key.reveal()}")
        yield request


def total(answer: Answer) -> int | None:
    """Return of a listing how many there are in all, if it says so."""
    said = answer.headers.get("x-total-count", "")
    return int(said) if _COUNT.fullmatch(said) else None


def more(answer: Answer) -> bool | None:
    """Return of a listing whether another page follows; ``None`` where that is not said."""
    link = answer.headers.get("link")
    return 'rel="next"' in link if link else None


def _code(headers: httpx.Headers, body: object) -> str | None:
    """Return the error code, which stands in a header; with some of them in the body alone."""
    named = headers.get("x-sb-error-code")
    if named is None and isinstance(body, dict):
        named = next((body[key] for key in ("error_code", "code") if isinstance(body.get(key), str)), None)
    return named if named is not None and _CODE.fullmatch(named) else None


def _pause(status: int, body: object) -> float | None:
    if status != HTTPStatus.TOO_MANY_REQUESTS or not isinstance(body, dict):
        return None
    worded = _IN_WORDS.search(f"{body.get('message')} {body.get('msg')}")
    return float(worded[1]) if worded else None


SPEECH: Final = Speech(
    _code,
    {"X-Supabase-Api-Version": "2024-01-01", "X-Client-Info": "semel", "User-Agent": "semel"},
    _pause,
)
"""The version has error codes as clients know them (https://supabase.com/docs/guides/auth/debugging/error-codes)."""
