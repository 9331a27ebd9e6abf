"""What goes wrong between the adapter and Supabase Auth: every answer is a value, in time, and tells no secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from semel.model import Secret
from semel.ports import Exists, NewIdentity, Rejected, SignedIn, Unknown, Verified
from semel.providers.supabase import SupabaseProvider
from tests.providers.gotrue import ANON_KEY, SERVICE_KEY, GoTrue, problem
from tests.providers.supabase_parts import served
from tests.providers.web import Asked, Reply, WebServer

ID = "0190b0a4-0000-7000-8000-000000000001"
EMAIL = "ada.never.to.be.logged@example.org"
PASSWORD = "Enchantress, never to be seen"
ADA = NewIdentity(ID, EMAIL, Secret(PASSWORD), confirmed=True, full_name="Ada Lovelace")

Call = Callable[[SupabaseProvider], Awaitable[object]]

CALLS: dict[str, Call] = {
    "create": lambda provider: provider.create(ADA),
    "find": lambda provider: provider.find(ID),
    "find_by_email": lambda provider: provider.find_by_email(EMAIL),
    "update": lambda provider: provider.update(ID, email=EMAIL, password=Secret(PASSWORD)),
    "delete": lambda provider: provider.delete(ID),
    "page": lambda provider: provider.page(None, 10),
    "verify_password": lambda provider: provider.verify_password(ID, EMAIL, Secret(PASSWORD)),
    "sign_in": lambda provider: provider.sign_in(EMAIL, Secret(PASSWORD)),
    "refresh": lambda provider: provider.refresh(Secret("refresh-never-to-be-seen")),
    "sign_out": lambda provider: provider.sign_out(Secret("access-never-to-be-seen")),
}
_PAGE = "<html><body>Bad gateway</body></html>"
_HTML = {"content-type": "text/html"}

SAY_NOTHING: dict[str, Reply | None] = {
    "broken": None,
    "redirect": Reply(307, None, {"location": "/auth/v1/elsewhere"}),
    "page that is well": Reply(200, _PAGE, _HTML),
    "page that is not found": Reply(404, _PAGE, _HTML),
    "forbidden page": Reply(403, _PAGE, _HTML),
    "bad gateway": Reply(502, _PAGE, _HTML),
    "text": Reply(404, "404 page not found"),
    "another's JSON": Reply(200, [1, 2]),
    "another's user": Reply(200, {"id": 5}),
    "no content": Reply(200),
    "bytes": Reply(200, '"\ud7ff{{'),
    "key of the gateway": Reply(401, {"message": "Invalid API key"}),
    "another's 404": Reply(404, {"message": "no Route matched with those values"}),
    "throttled": problem(429, "over_request_rate_limit", "Request rate limit reached"),
    "conflict": problem(409, "conflict", "Too many concurrent requests"),
    "failed": problem(500, "unexpected_failure", "Database error checking email"),
    "hook": problem(422, "hook_timeout", "Failed to reach hook"),
    "unavailable": Reply(503, {"message": "name resolution failed"}),
    "slow": problem(504, "request_timeout", "Processing this request timed out"),
}


def says_nothing(outcome: object) -> bool:
    return isinstance(outcome, Unknown) or outcome is Verified.UNKNOWN


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("what", SAY_NOTHING)
async def test_what_says_nothing_is_unknown(what: str, operation: str) -> None:
    """Neither done nor absent nor refused, whichever operation it answers. No redirect is followed."""

    async def answering(_: Asked) -> Reply | None:
        # A delete has no user to tell of, so any object will do.
        return Reply(200, [5]) if (what, operation) == ("another's user", "delete") else SAY_NOTHING[what]

    async with served(answering) as (provider, server):
        assert says_nothing(await CALLS[operation](provider))
    assert not [asked for asked in server.asked if "elsewhere" in asked.path]


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        ("email_exists", 422, Exists()),
        ("user_already_exists", 422, Exists()),
        ("email_address_invalid", 400, "email"),
        ("email_address_not_authorized", 400, "email"),
        ("weak_password", 422, "password"),
        ("user_sso_managed", 422, None),
        ("captcha_failed", 400, Unknown),
        ("email_exists", 500, Unknown),
        ("weak_password", 503, Unknown),
    ],
)
@pytest.mark.parametrize("operation", ["create", "update"])
async def test_a_refusal_is_taken_by_its_code(operation: str, code: str, status: int, outcome: object) -> None:
    """With a status that fits; what is refused for good names the field, and has nothing of what was sent."""

    async def answering(asked: Asked) -> Reply | None:
        if asked.method == "GET":
            return Reply(500)
        return problem(status, code, f"no: {EMAIL} {PASSWORD}")

    async with served(answering) as (provider, _):
        said = await CALLS[operation](provider)
    if isinstance(said, Rejected):
        assert said.field == outcome
        assert not [value for value in (EMAIL, PASSWORD) if value in said.message]
    else:
        assert said == outcome or type(said) is outcome


@pytest.mark.parametrize(("text", "field"), [("Password cannot be longer", "password"), ("ID is nil", None)])
async def test_a_failed_validation_names_the_field_that_its_text_names(text: str, field: str | None) -> None:
    """That is all that the text is taken for."""

    async def answering(_: Asked) -> Reply | None:
        return problem(400, "validation_failed", text)

    async with served(answering) as (provider, _):
        said = await provider.create(ADA)
    assert isinstance(said, Rejected)
    assert said.field == field


IN_A_MINUTE = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "message", "least", "most"),
    [
        ({"retry-after": "7"}, "", 7, 7),
        ({"retry-after": "7"}, "only request this after 59 seconds.", 7, 7),
        ({"retry-after": IN_A_MINUTE}, "", 0, 60),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, "", 0, 0),
        ({"retry-after": "9" * 400}, "", 3600, 3600),
        ({}, "you can only request this after 59 seconds.", 59, 59),
        ({"retry-after": "soon"}, "", None, None),
        ({}, "email rate limit exceeded", None, None),
    ],
)
async def test_a_throttled_caller_hears_when_to_come_back(
    headers: dict[str, str], message: str, least: float | None, most: float | None
) -> None:
    """By the header, in either form, or as the server words it; not at all where it does not say."""

    async def answering(_: Asked) -> Reply | None:
        return Reply(429, {"code": "over_request_rate_limit", "message": message}, headers)

    async with served(answering) as (provider, _):
        said = await provider.create(ADA)
    assert isinstance(said, Unknown)
    if said.retry_after is None or least is None or most is None:
        assert (said.retry_after, least, most) == (None, None, None)
    else:
        assert least <= said.retry_after <= most


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_server_that_never_answers_is_unknown_after_the_time_out(call: Call) -> None:
    """The provider waits no longer than it says."""

    async def never(_: Asked) -> Reply | None:
        await asyncio.Event().wait()
        return None

    async with served(never, timeout=0.05) as (provider, _):
        assert says_nothing(await call(provider))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_nobody_at_the_address_is_unknown(call: Call) -> None:
    """Without a wait."""
    async with WebServer(GoTrue()) as gone:
        pass
    async with served(GoTrue(), url=Secret(f"supabase+http://127.0.0.1:{gone.port}")) as (provider, _):
        assert says_nothing(await call(provider))


async def test_an_answer_that_trickles_in_is_unknown_after_the_time_out() -> None:
    """Each byte comes in time, and all of them would not. The connection is given up then."""
    given_up = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)
        writer.close()
        given_up.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, served(GoTrue(), url=Secret(f"supabase+http://127.0.0.1:{port}"), timeout=0.2) as (provider, _):
        assert isinstance(await provider.find(ID), Unknown)
        await given_up.wait()


async def test_a_sign_out_that_fails_takes_no_right_password_back() -> None:
    """The session that the check opened may stay: nobody has its tokens."""
    gotrue = GoTrue()

    async def answering(asked: Asked) -> Reply | None:
        if "logout" in asked.path:
            await asyncio.Event().wait()
        return await gotrue(asked)

    async with served(answering, timeout=1.0) as (provider, _):
        await provider.create(ADA)
        assert await provider.verify_password(ID, EMAIL, Secret(PASSWORD)) is Verified.RIGHT


async def test_a_full_queue_is_answered_at_once() -> None:
    """One request at once and one that waits: the third hears so while both are under way, and then they are done."""
    go = asyncio.Event()
    gotrue = GoTrue()

    async def answering(asked: Asked) -> Reply | None:
        await go.wait()
        return await gotrue(asked)

    async with served(answering, connections=1, queue=1, timeout=60.0) as (provider, server):
        going = [asyncio.create_task(provider.find(ID)) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await provider.find(ID)
        assert isinstance(refused, Unknown)
        assert (refused.retry_after, [task.done() for task in going]) == (1.0, [False, False])
        go.set()
        assert not [said for said in await asyncio.gather(*going) if isinstance(said, Unknown)]
        assert not isinstance(await provider.find(ID), Unknown)
        assert server.connections == 1


async def test_who_goes_away_makes_room() -> None:
    """A caller that is cancelled, in the queue or under way, leaves its place to others."""
    go = asyncio.Event()
    gotrue = GoTrue()

    async def answering(asked: Asked) -> Reply | None:
        await go.wait()
        return await gotrue(asked)

    async with served(answering, connections=1, queue=1, timeout=60.0) as (provider, _):
        for _ in range(3):
            going = [asyncio.create_task(provider.find(ID)) for _ in range(2)]
            await asyncio.sleep(0.01)
            for task in going:
                task.cancel()
            await asyncio.wait(going)
        go.set()
        assert not isinstance(await provider.find(ID), Unknown)


async def test_nothing_secret_shows(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log of anybody, at its most talkative, nor in a repr, nor in what an outcome says."""
    caplog.set_level(logging.DEBUG)
    outcomes: list[object] = []
    gotrue = GoTrue()
    for reply in SAY_NOTHING.values():

        async def answering(_: Asked, reply: Reply | None = reply) -> Reply | None:
            return reply

        async with served(answering) as (provider, _):
            outcomes += [await call(provider) for call in CALLS.values()]
            parts = [*vars(provider).values(), *vars(vars(provider)["_service"]).values()]
            outcomes += [provider, *parts, *[vars(part) for part in parts if hasattr(part, "__dict__")]]
    async with served(gotrue) as (provider, _):
        await provider.create(ADA)
        signed_in = await provider.sign_in(EMAIL, Secret(PASSWORD))
    assert isinstance(signed_in, SignedIn)
    tokens = signed_in.tokens.access_token, signed_in.tokens.refresh_token
    said = caplog.text + repr(outcomes)
    assert "HTTP Request" in said
    secrets = (SERVICE_KEY, ANON_KEY, PASSWORD, "never-to-be-seen", *tokens)
    assert not [secret for secret in secrets if secret in said]
    assert EMAIL not in caplog.text
    assert EMAIL.partition("@")[0] not in caplog.text
