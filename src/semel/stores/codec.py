"""Records to rows of the SQL stores and back, exactly: microseconds, 64-bit versions, text to the letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Generic, TypeVar

import msgspec

from semel.errors import FieldError, InvalidInput, StoreInconsistent
from semel.model import RECORD_TYPES, Key, Record
from semel.stores.schema import Shape, fields

__all__ = ["Codec", "Codecs", "ascii_lower", "key_in", "moment_text"]

R = TypeVar("R", bound=Record)

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_decode_key = msgspec.json.Decoder(Key).decode


@lru_cache(maxsize=256)
def moment_text(moment: datetime) -> str:
    """Return an aware moment as ISO 8601 text in UTC, 32 characters: the order of the texts is that of time.

    The last ones are kept, since a commit writes one moment into many columns.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _structure_text(value: object) -> str:
    return _encode_json(value).decode()


class Codec(Generic[R]):
    """One record type's way into a row and out of it.

    ``columns`` is the one order of a row's values. With ``moments_as_text`` moments are text, for a database without a
    type for them; else they stay ``datetime``.
    """

    def __init__(self, kind: type[R], *, moments_as_text: bool) -> None:
        shapes = [field.shape for field in fields(kind)]
        texts: dict[Shape, Callable[[object], object]] = {Shape.STRUCTURE: _structure_text}
        if moments_as_text:
            texts[Shape.MOMENT] = moment_text
        self.kind: Final = kind
        self.columns: Final = tuple(field.name for field in fields(kind))
        self._encoders: Final = [(at, texts[shape]) for at, shape in enumerate(shapes) if shape in texts]
        self._structures: Final = [field.name for field in fields(kind) if field.shape is Shape.STRUCTURE]

    def row(self, record: R, version: int) -> list[object]:
        """Return the values of the record's columns, with this version in place of the record's."""
        due_at, _, *values = msgspec.structs.astuple(record)
        values += (due_at, version)
        for at, encode in self._encoders:
            if values[at] is not None:
                values[at] = encode(values[at])
        return values

    def record(self, row: Sequence[object]) -> R:
        """Return the record of a row in the order of ``columns``.

        Raises ``StoreInconsistent``, without the row's values, where the row cannot be one.
        """
        values = dict(zip(self.columns, row, strict=True))
        try:
            for name in self._structures:
                if (text := values[name]) is not None:
                    values[name] = _decode_json(text)  # type: ignore[arg-type]
            return msgspec.convert(values, self.kind, strict=False)
        except (msgspec.MsgspecError, TypeError) as error:
            message = f"A stored {self.kind.TYPE} cannot be read: its row was edited, or a newer release wrote it."
            raise StoreInconsistent(message) from error


class Codecs:
    """The codec of each record type."""

    def __init__(self, *, moments_as_text: bool) -> None:
        self._codecs: Final[Mapping[type[Record], Codec[Record]]] = {
            kind: Codec(kind, moments_as_text=moments_as_text) for kind in RECORD_TYPES
        }

    def __getitem__(self, kind: type[R]) -> Codec[R]:
        """Return the codec of this record type."""
        return self._codecs[kind]  # type: ignore[return-value]


def ascii_lower(words: str) -> str:
    """Return words with the letters of ASCII in lower case, as both databases do it."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in words)


def key_in(kind: type[Record], cursor: str) -> Key:
    """Return the key at which a page of this kind ended. Raises ``InvalidInput`` for a cursor that no page gave."""
    try:
        key = _decode_key(cursor)
    except msgspec.MsgspecError:
        key = ()
    # No key has a NUL, and not every database can be asked for one.
    if len(key) != len(kind.KEY) or any("\0" in part for part in key):
        remedy = FieldError("cursor", "invalid", "Give the cursor of a page as it came, or none")
        raise InvalidInput("The cursor is none that a page of this list gave: start without one.", (remedy,))
    return key
