"""Records to write: every type, with every field full of what is easily spoilt, or with every optional field empty."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from semel.model import (
    Account,
    ApiKey,
    Identifier,
    Identity,
    Invitation,
    Invited,
    KeyRecord,
    Link,
    Name,
    OutboxEvent,
    Profile,
    Record,
    Registration,
    SessionFamily,
)
from semel.ports import Ids
from semel.states import Door, IdentityState, RegistrationState

__all__ = ["TEXTS", "WHEN", "bare", "family", "filled", "identifier", "identity", "key", "registration"]

R = TypeVar("R", bound=Record)

WHEN: Final = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
_JSON_TEXT: Final = '{"b": 1.0,  "a": [1, "\\u00e9", "é😀"], "\\/": null, "b": 10000000000000000000001}'
"""A JSON object whose spaces, order, escapes, repeated name and number a parser would not give back."""
_TRICKY: Final = (
    " é e\u0301 ß İ \U0001d518 🏳\ufe0f\u200d🌈 \u202eback ' '' \" \\ \\n `%s` % _ ; -- $1 :a {} <&> \t\r\n\x1f "
)
"""Text that quoting, normalising, trimming, case folding or a narrow encoding would spoil."""
TEXTS: Final = ("", *" 0é'\"\\\x1f\U0001d518", "e\u0301", "\r\n", "null", "NULL", "x" * 5000, _TRICKY)

_UUIDS: Final = frozenset({"account_id", "attempt_id", "id", "registration"})
_JSON: Final = frozenset({"attributes", "details", "leaves"})


def registration(ids: Ids) -> Registration:
    """Return a record that refers to no other."""
    return Registration(
        id=ids.uuid(),
        state=RegistrationState.PENDING,
        door=Door.SIGNUP,
        keyed=True,
        account_id=ids.uuid(),
        fingerprint="f",
        created_at=WHEN,
    )


def identifier(ids: Ids, value: str | None = None) -> Identifier:
    """Return a held identifier, which refers to no other record; its key has two parts."""
    return Identifier(
        kind="email",
        value=value or f"{ids.uuid()}@example.org",
        attempt_id=ids.uuid(),
        registration=ids.uuid(),
        canonical_version=1,
    )


def identity(ids: Ids) -> Identity:
    """Return a record that refers to no other."""
    return Identity(id=ids.uuid(), state=IdentityState.HELD)


def key(ids: Ids, text: str = "") -> KeyRecord:
    """Return a record that refers to no other and has room for any text, as its algorithm."""
    return KeyRecord(id=ids.uuid(), algorithm=text, secret="", wrapped=False, created_at=WHEN)


def family(ids: Ids) -> tuple[Record, ...]:
    """Return one record of each type, every field filled, referring to one another as a registration leaves them."""
    account_id = ids.uuid()
    return (
        filled(Account, ids, id=account_id),
        filled(ApiKey, ids),
        filled(OutboxEvent, ids, account_id=account_id),
        filled(Identifier, ids, kind="email", account_id=account_id),
        filled(Identity, ids, id=account_id, state=IdentityState.OWNED),
        filled(Invitation, ids, account_id=account_id),
        filled(Invited, ids),
        filled(KeyRecord, ids),
        filled(Link, ids, account_id=account_id),
        filled(Registration, ids, account_id=account_id),
        filled(SessionFamily, ids, account_id=account_id),
    )


def filled(kind: type[R], ids: Ids, /, **given: Any) -> R:  # noqa: ANN401 - the fields differ in type
    """Return a record none of whose fields has its default; ``given`` fixes some."""
    values: dict[str, Any] = {
        field.name: _value(field.name, field.type, ids)
        for field in msgspec.structs.fields(kind)
        if field.name not in {"version", *given}
    }
    return kind(**values, **given)


def bare(record: R) -> R:
    """Return the record with every optional field, and every one with a default, emptied."""
    optional = (field for field in msgspec.structs.fields(type(record)) if not field.required)
    return record.but(**{field.name: field.default for field in optional if field.name != "version"})


def _value(name: str, kind: Any, ids: Ids) -> object:  # noqa: ANN401 - a field's type, as it was written
    if isinstance(kind, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(_value(name, get_args(kind)[0], ids) for _ in range(2))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[-1]
    if name in _UUIDS:
        return ids.uuid()
    if name in _JSON:
        return _JSON_TEXT
    return _PLAIN[kind](ids)


_PLAIN: Final[dict[type, Callable[[Ids], object]]] = {
    str: lambda ids: f"{ids.uuid()}{_TRICKY}",
    int: lambda _: 2**31 - 1,
    bool: lambda _: True,
    datetime: lambda _: WHEN - timedelta(microseconds=1),
    Name: lambda ids: Name("email", f"{ids.uuid()}{_TRICKY}"),
    Profile: lambda _: Profile(_TRICKY, "", None, _TRICKY, "r", ("", _TRICKY), _JSON_TEXT),
}
