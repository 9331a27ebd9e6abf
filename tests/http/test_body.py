"""Bodies: what is taken, what is refused, and that no refusal repeats what was sent."""

import asyncio
from collections.abc import Iterable

import msgspec
import pytest
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from semel.errors import BodyTooLarge, InvalidInput, MalformedBody, RequestTimeout, SemelError, UnsupportedMediaType
from semel.http.body import BodyLimits, JsonBody
from semel.http.schemas import SignUpRequest

_SECRET = "xK9-never-to-be-seen"
_JSON = Headers({"content-type": "application/json"})
_SIGN_UP = JsonBody(SignUpRequest)
_LIMITS = BodyLimits(1000, 60)


def _receive(*chunks: bytes, hang_up: bool = False) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if hang_up else {"type": "http.request", "body": b""})
    return _Messages(messages)


class _Messages:
    def __init__(self, messages: Iterable[Message]) -> None:
        self._messages = iter(messages)

    async def __call__(self) -> Message:
        return next(self._messages)


def _body(**fields: object) -> bytes:
    return msgspec.json.encode({"email": "a@example.com", "password": _SECRET, **fields})


async def test_a_body_may_come_in_pieces() -> None:
    """A chunked body is put together; the password is a ``Secret`` from the first moment."""
    body = _body(name="Ada", attributes={"plan": "free"})
    request = await _SIGN_UP.read(_JSON, _receive(body[:10], body[10:]), _LIMITS)
    assert (request.email, request.name, request.attributes) == ("a@example.com", "Ada", {"plan": "free"})
    assert request.password.reveal() == _SECRET
    assert _SECRET not in repr(request)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (_body(email=7), ["email"]),
        (_body(email=None, name=[], username={}), ["email", "name", "username"]),
        (msgspec.json.encode({"email": "a@example.com", "password": [_SECRET]}), ["password"]),
        (msgspec.json.encode({"name": _SECRET}), ["email", "password"]),
        (_body(attributes=_SECRET), ["attributes"]),
        (_body(attributes={_SECRET: 1}, role=1), ["role"]),
        (_body(**{_SECRET: 1}), [""]),
        (_body(Password=_SECRET, email=3), ["email", ""]),
        (b'{"attributes": {"%s": 1e999}, ' % _SECRET.encode() + _body()[1:], ["attributes"]),
        (b'{"name": 7, "name": "Ada", ' + _body()[1:], [""]),
        (msgspec.json.encode([_SECRET]), [""]),
        (msgspec.json.encode(_SECRET), [""]),
        (b"null", [""]),
    ],
)
async def test_every_field_at_fault_is_named_and_none_is_quoted(body: bytes, fields: list[str]) -> None:
    """All faults are named in one answer, and neither a value nor a name that the caller typed is in it."""
    with pytest.raises(InvalidInput) as caught:
        await _SIGN_UP.read(_JSON, _receive(body), _LIMITS)
    assert [fault.field for fault in caught.value.errors] == fields
    assert _SECRET not in _all_of(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        _body()[:-1],
        _body() + b"x",
        b"\xef\xbb\xbf" + _body(),
        _body().decode().encode("utf-16"),
        b'{"password": "' + _SECRET.encode() + b'\xff"}',
        b'{"password": "' + _SECRET.encode() + b'\\ud800"}',
        b'{"email": 1, "password": "' + _SECRET.encode(),
        b'{"attributes": ' + b'{"a":' * 100_000,
        b'{"email": 1, "attributes": ' + b"[" * 100_000,
    ],
    ids=range(11),
)
async def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """Cut, encoded otherwise or nested without end: refused, and nothing of it repeated."""
    with pytest.raises(MalformedBody) as caught:
        await _SIGN_UP.read(_JSON, _receive(body), BodyLimits(1_000_000, 60))
    assert _SECRET not in _all_of(caught.value)


async def test_a_body_over_the_limit_is_refused_before_it_is_all_there() -> None:
    """Chunked or not, reading stops at the limit: the source, which never ends, is not asked for more."""
    endless = _Messages({"type": "http.request", "body": b"x" * 100, "more_body": True} for _ in iter(int, 1))
    with pytest.raises(BodyTooLarge):
        await _SIGN_UP.read(_JSON, endless, _LIMITS)


async def test_an_announced_body_over_the_limit_is_not_read() -> None:
    """What says that it will be too large is refused at once: nothing is asked of the source."""
    announced = Headers({"content-type": "application/json", "content-length": "1001"})
    with pytest.raises(BodyTooLarge):
        await _SIGN_UP.read(announced, _Messages([]), _LIMITS)


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    """Whoever sends half a body and stays holds nothing for long."""

    async def silence() -> Message:
        await asyncio.get_running_loop().create_future()
        return {}

    with pytest.raises(RequestTimeout):
        await _SIGN_UP.read(_JSON, silence, BodyLimits(1000, 0.01))


async def test_a_body_at_the_limit_is_taken() -> None:
    """The limit counts bytes and includes itself."""
    await _SIGN_UP.read(_JSON, _receive(_body()), BodyLimits(len(_body()), 60))
    with pytest.raises(BodyTooLarge):
        await _SIGN_UP.read(_JSON, _receive(_body()), BodyLimits(len(_body()) - 1, 60))


async def test_a_caller_who_hangs_up_is_no_malformed_body() -> None:
    """A body that breaks off because its caller is gone is told apart from one that is wrong."""
    with pytest.raises(ClientDisconnect):
        await _SIGN_UP.read(_JSON, _receive(_body(), hang_up=True), _LIMITS)


@pytest.mark.parametrize(
    "announced", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_is_announced_in_more_than_one_way(announced: str) -> None:
    """Case, spaces and quotes of a content type do not matter."""
    await _SIGN_UP.read(Headers({"content-type": announced}), _receive(_body()), _LIMITS)


@pytest.mark.parametrize(
    "announced", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
async def test_other_content_types_are_refused(announced: str) -> None:
    """What an HTML form of another site can send is no sign-up."""
    with pytest.raises(UnsupportedMediaType):
        await _SIGN_UP.read(Headers({"content-type": announced}), _receive(_body()), _LIMITS)


async def test_a_compressed_body_is_refused() -> None:
    """It is not called malformed, which it is not; what is not compressed may say so."""
    for coding, taken in (("gzip", False), ("identity", True)):
        headers = Headers({"content-type": "application/json", "content-encoding": coding})
        if taken:
            await _SIGN_UP.read(headers, _receive(_body()), _LIMITS)
        else:
            with pytest.raises(UnsupportedMediaType):
                await _SIGN_UP.read(headers, _receive(_body()), _LIMITS)


def _all_of(error: SemelError) -> str:
    """Return all that could reach a caller or a log, the chain of causes included."""
    return f"{error} {error!r} {error.args} {error.__cause__!r}"
