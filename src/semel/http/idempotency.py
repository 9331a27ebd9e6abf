"""The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers

from semel.errors import FieldError, IdempotencyKeyInvalid
from semel.intents import KEY_LENGTH

__all__ = ["HEADER", "idempotency_key"]

HEADER: Final = "Idempotency-Key"
_NAME: Final = HEADER.lower().encode()

_STRING: Final = re.compile(r'"[ !#-\[\]-~]*(?:\\["\\][ !#-\[\]-~]*)*"')
"""A string of RFC 8941, section 3.3.3."""
_ESCAPED: Final = re.compile(r"\\(.)")
_BARE: Final = re.compile(r"[!#-+\--~](?:[ -+\--~]*[!-+\--~])?")
"""No comma: one is what a proxy puts between two headers of this name."""


def idempotency_key(headers: Headers) -> str | None:
    """Return the key, or ``None``. Many clients leave out the quotes: with or without, it is the same key.

    Raises ``IdempotencyKeyInvalid``.
    """
    given = [value for name, value in headers.raw if name == _NAME]
    if not given:
        return None
    if len(given) > 1:
        raise _invalid("Send this header once")
    value = given[0].decode("latin-1").strip(" \t")  # no part of a value (RFC 9112, 5), though some servers leave them
    if _STRING.fullmatch(value):
        key = _ESCAPED.sub(r"\1", value[1:-1]) if "\\" in value else value[1:-1]
    elif _BARE.fullmatch(value):
        key = value
    else:
        raise _invalid("Send a string in double quotes (RFC 8941)")
    if len(key) not in KEY_LENGTH:
        raise _invalid(f"Send {KEY_LENGTH.start} to {KEY_LENGTH.stop - 1} characters that nobody can guess")
    return key


def _invalid(message: str) -> IdempotencyKeyInvalid:
    return IdempotencyKeyInvalid(errors=(FieldError(HEADER, "invalid_key", message),))
