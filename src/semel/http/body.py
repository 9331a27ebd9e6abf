"""From a request's body to a checked value. No fault is told in the caller's own words."""

from __future__ import annotations

import asyncio
from typing import Final, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from semel.errors import (
    BodyTooLarge,
    FieldError,
    InvalidInput,
    MalformedBody,
    RequestTimeout,
    UnsupportedMediaType,
)
from semel.http.schemas import secret

__all__ = ["BodyLimits", "FormBody", "JsonBody", "read_bytes"]

T = TypeVar("T", bound=msgspec.Struct)

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 20
_NOT_OURS: Final = FieldError("", "unknown_field", "Send the form of this page")
_LONGEST_LENGTH: Final = 20
"""In digits; the server's parser takes no longer one."""


class BodyLimits(msgspec.Struct, frozen=True):
    """What a request's body may cost."""

    max_bytes: int
    seconds: float
    """How long it may take to arrive."""


class JsonBody(Generic[T]):
    """Reads bodies of one type."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind, dec_hook=secret)

    async def read(self, headers: Headers, receive: Receive, limits: BodyLimits) -> T:
        """Return the value of a body within its limits.

        Raises ``UnsupportedMediaType``, ``BodyTooLarge``, ``RequestTimeout``, ``MalformedBody``, ``InvalidInput`` that
        names every field at fault, or ``ClientDisconnect`` where the caller hung up.
        """
        if not _announces_json(headers.get("content-type", "")) or _is_encoded(headers):
            raise UnsupportedMediaType
        body = await read_bytes(headers, receive, limits)
        try:
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MalformedBody from None

    def _decode(self, body: bytearray) -> T:
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError:
            raise InvalidInput(errors=tuple(_faults(self.kind, body))) from None


class FormBody(Generic[T]):
    """Reads the forms of our own pages into one type. A field that was left empty is as if it were not there."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind

    async def read(self, headers: Headers, receive: Receive, limits: BodyLimits) -> T:
        """Return the value of a form. Raises what ``JsonBody.read`` raises."""
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM or _is_encoded(headers):
            raise UnsupportedMediaType
        body = await read_bytes(headers, receive, limits)
        try:
            given = parse_qsl(body.decode(), errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise MalformedBody from None
        try:
            return msgspec.convert(dict(given), self.kind, dec_hook=secret)
        except msgspec.ValidationError:
            raise InvalidInput(errors=(_NOT_OURS,)) from None


async def read_bytes(headers: Headers, receive: Receive, limits: BodyLimits) -> bytearray:
    """Return a body within its limits.

    Raises ``BodyTooLarge``, ``RequestTimeout``, or ``ClientDisconnect`` where the caller hung up.
    """
    if _announced(headers) > limits.max_bytes:
        raise BodyTooLarge
    try:
        async with asyncio.timeout(limits.seconds):
            return await _bytes(receive, limits.max_bytes)
    except TimeoutError:
        raise RequestTimeout from None


def _announced(headers: Headers) -> int:
    """Return how long the body says it is; 0 where it does not, or not in digits."""
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < _LONGEST_LENGTH else 0


async def _bytes(receive: Receive, limit: int) -> bytearray:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        if not message.get("more_body"):
            return body


def _is_encoded(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity").lower() != "identity"


def _announces_json(content_type: str) -> bool:
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    return media_type.strip().lower() == "application/json" and charset in {"", "charset=utf-8"}


def _faults(kind: type[msgspec.Struct], body: bytearray) -> list[FieldError]:
    """Look at each field by itself: the decoder stops at the first fault, and people want to hear of all."""
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return [FieldError("", "invalid", "Send a JSON object")]
    fields = msgspec.structs.fields(kind)
    faults = [fault for field in fields if (fault := _fault(field, given.pop(field.encode_name, None)))]
    if given:
        known = ", ".join(sorted(field.encode_name for field in fields))
        faults.append(FieldError("", "unknown_field", f"Send no other fields than these: {known}"))
    return faults or [FieldError("", "duplicate_field", "Give each field once")]


def _fault(field: msgspec.structs.FieldInfo, value: msgspec.Raw | None) -> FieldError | None:
    if value is None:
        return FieldError(field.encode_name, "required", "Give this field") if field.required else None
    try:
        msgspec.json.decode(value, type=field.type, dec_hook=secret)
    except msgspec.ValidationError as error:
        return FieldError(field.encode_name, "invalid", _expectation(error))
    return None


def _expectation(error: msgspec.ValidationError) -> str:
    """Return what the decoder wanted; it speaks of types and bounds, and of the input only to name the input's type."""
    expected = str(error).partition(" - at ")[0]
    return expected if expected.startswith("Expected ") else "Send a value of the documented type"
