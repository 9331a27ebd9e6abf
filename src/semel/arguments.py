"""What the library's callers may give: text that is text, secrets in their wrapping, pages of a bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from semel.errors import FieldError, InvalidInput, NotFound
from semel.model import Record, Secret

__all__ = ["as_secret", "check_page", "check_texts", "found_or_raise"]

R = TypeVar("R", bound=Record)

_PAGE: Final = range(1, 1001)


def check_texts(given: Mapping[str, object]) -> None:
    """Refuse what is no text, field by field: Python's own error would come from the depths, and may quote it."""
    wrong = [field for field, value in given.items() if not _is_text(value)]
    if wrong:
        raise InvalidInput(errors=tuple(FieldError(field, "malformed", "Give a str that is text") for field in wrong))


def _is_text(value: object) -> bool:
    """Tell whether it is a string, with no half of a surrogate pair in it."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def check_page(cursor: object, limit: object) -> None:
    """Refuse a page that cannot be. Raises ``InvalidInput``."""
    if limit not in _PAGE:
        raise InvalidInput(errors=(FieldError("limit", "out_of_range", "Ask for 1 to 1000 at a time"),))
    if cursor is not None:
        check_texts({"cursor": cursor})


def as_secret(field: str, value: str | Secret) -> Secret:
    """Return a secret in its wrapping. Raises ``InvalidInput`` for what is no text."""
    if isinstance(value, Secret):
        return value
    check_texts({field: value})
    return Secret(value)


def found_or_raise(record: R | None, what: str) -> R:
    """Return a record that was looked for. Raises ``NotFound`` where there is none."""
    if record is None:
        raise NotFound(f"There is no such {what}")
    return record
