"""The header ``Idempotency-Key``, as the draft has it and as clients send it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from semel.errors import IdempotencyKeyInvalid
from semel.http.idempotency import idempotency_key

_UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def _headers(*values: str) -> Headers:
    return Headers(raw=[(b"idempotency-key", value.encode("latin-1")) for value in values])


def test_no_header_is_no_key() -> None:
    """A request without the header has no key."""
    assert idempotency_key(_headers()) is None


def test_quotes_may_be_left_out() -> None:
    """The quoted string of the draft and the bare token name the same key."""
    assert idempotency_key(_headers(f'"{_UUID}"')) == idempotency_key(_headers(_UUID)) == _UUID


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    """Some servers leave them to the application."""
    assert idempotency_key(_headers(f" {_UUID}\t")) == _UUID


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=16, max_size=255))
def test_every_string_of_the_right_length_is_a_key(key: str) -> None:
    """Whatever RFC 8941 can write as a string comes back as it was meant, escapes undone."""
    written = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert idempotency_key(_headers(written)) == key


@pytest.mark.parametrize(
    "values",
    [
        ("",),
        ("fifteen-letters",),
        (f"{_UUID}, {_UUID}",),
        ("x" * 256,),
        ('"' + "x" * 15 + '"',),
        ('"never-closed-never-closed',),
        ('"a stray " quote in the middle"',),
        ("a-letter-beyond-ascii-é",),
        ("a-control-character-\x01",),
        (_UUID, _UUID),
    ],
)
def test_what_is_no_key_is_refused_by_name(values: tuple[str, ...]) -> None:
    """Too short, too long, no string, or given twice: the error names the header and repeats nothing of it."""
    with pytest.raises(IdempotencyKeyInvalid) as caught:
        idempotency_key(_headers(*values))
    (fault,) = caught.value.errors
    assert fault.field == "Idempotency-Key"
    assert not any(value and value in fault.message for value in values)
