"""The adapter for Supabase Auth: the provider contract over HTTP, and what it makes of what a server can do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from semel.model import Secret
from semel.ports import (
    Absent,
    Done,
    Exists,
    Found,
    NewIdentity,
    Rejected,
    RemoteProvider,
    Sessions,
    SignedIn,
    Unknown,
    Verified,
)
from semel.providers.supabase_answers import user
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT
from tests.providers.gotrue import ANON_KEY, SERVICE_KEY, GoTrue, problem
from tests.providers.supabase_parts import served
from tests.providers.web import Asked, Reply

ADA = NewIdentity(
    "0190b0a4-0000-7000-8000-000000000001", "ada_l@example.org", Secret("Enchantress of N"), confirmed=True
)
EVE = NewIdentity("0190b0a4-0000-7000-8000-000000000002", "adaxl@example.org", Secret("Eavesdropper"), confirmed=True)


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_the_adapter_keeps_the_promise(promise: ProviderPromise) -> None:
    """Over HTTP, to a server that answers as the real one."""
    async with served(GoTrue()) as (provider, _):
        assert isinstance(provider, RemoteProvider)
        assert isinstance(provider, Sessions)
        await promise(ProviderBench(provider))


async def test_each_request_has_its_own_key() -> None:
    """The service key goes to the admin API alone, and no cookie of one answer goes along with another request."""
    gotrue = GoTrue()

    async def with_cookie(asked: Asked) -> Reply | None:
        reply = await gotrue(asked)
        return reply and Reply(reply.status, reply.body, {**reply.headers, "set-cookie": "sb-access-token=x; Path=/"})

    async with served(with_cookie) as (provider, server):
        bench = ProviderBench(provider)
        for promise in (*PROVIDER_CONTRACT[:3], *SESSIONS_CONTRACT):
            await promise(bench)
    for asked in server.asked:
        admin = asked.path.startswith("/auth/v1/admin/")
        assert asked.headers["apikey"] == (SERVICE_KEY if admin else ANON_KEY)
        assert (SERVICE_KEY in str(asked.headers)) is admin
        assert "cookie" not in asked.headers
    assert {asked.path for asked in server.asked} >= {"/auth/v1/admin/users", "/auth/v1/token", "/auth/v1/logout"}


async def test_connections_are_used_again() -> None:
    """One for each key, however many requests."""
    async with served(GoTrue()) as (provider, server):
        for _ in range(5):
            await provider.find(ADA.id)
            await provider.sign_in("nobody@example.org", Secret("x"))
    assert (len(server.asked), server.connections) == (10, 2)


async def test_a_create_is_one_request() -> None:
    """With everything in it, as the admin API names it."""
    async with served(GoTrue()) as (provider, server):
        new = NewIdentity(ADA.id, ADA.email, ADA.password, confirmed=True, full_name="Ada Lovelace")
        assert await provider.create(new) == Done()
    assert [asked.body for asked in server.asked] == [
        {
            "id": ADA.id,
            "email": ADA.email,
            "password": "Enchantress of N",
            "email_confirm": True,
            "user_metadata": {"full_name": "Ada Lovelace"},
        }
    ]


async def test_emails_are_confirmed_where_the_settings_say_so() -> None:
    """Though nobody proved them, so that people may sign in at once."""
    unproved = NewIdentity(ADA.id, ADA.email, ADA.password, confirmed=False)
    for confirm_emails in (True, False):
        async with served(GoTrue(), confirm_emails=confirm_emails) as (provider, _):
            assert await provider.create(unproved) == Done()
            signed_in = await provider.sign_in(ADA.email or "", Secret("Enchantress of N"))
            assert isinstance(signed_in, SignedIn) is confirm_emails


async def test_a_password_that_bcrypt_cuts_is_refused_unasked() -> None:
    """The server fails over it, for ever: 72 bytes are taken, 73 are not, and an umlaut is two."""
    async with served(GoTrue()) as (provider, server):
        for text in ("x" * 73, "x" * 71 + "ö"):
            refused = await provider.create(NewIdentity(EVE.id, EVE.email, Secret(text), confirmed=True))
            assert isinstance(refused, Rejected)
            assert refused.field == "password"
            assert refused == await provider.update(EVE.id, password=Secret(text))
        assert server.asked == []
        assert await provider.create(NewIdentity(EVE.id, EVE.email, Secret("x" * 72), confirmed=True)) == Done()


@pytest.mark.parametrize("name", ["", ".", "..", "%2e%2e", "ada", ADA.id.upper(), f"{ADA.id}/factors", f"{ADA.id}?x=y"])
async def test_what_is_no_id_is_asked_of_nobody(name: str) -> None:
    """In the path it would lead elsewhere: to everybody, or to what is another's."""
    async with served(GoTrue()) as (provider, server):
        assert await provider.find(name) == Absent()
        assert await provider.update(name, disabled=True) == Absent()
        assert await provider.delete(name) == Done()
        assert await provider.find_by_email("") == Absent()
        assert server.asked == []


async def test_a_user_that_was_made_though_the_answer_is_500_exists() -> None:
    """The database's answer to the commit was lost: the look finds it, so it is settled by identity."""
    gotrue = GoTrue()

    async def loses(asked: Asked) -> Reply | None:
        reply = await gotrue(asked)
        failed = problem(500, "unexpected_failure", "Database error creating new user")
        return failed if asked.method == "POST" else reply

    async with served(loses) as (provider, _):
        assert await provider.create(ADA) == Exists()
        assert isinstance(await provider.find(ADA.id), Found)


@pytest.mark.parametrize("path", ["/auth/v1/admin/users", f"/auth/v1/admin/users/{ADA.id}"])
async def test_a_create_whose_look_fails_is_unknown(path: str) -> None:
    """Neither the look for our id nor that for the email may be taken for absence."""
    gotrue = GoTrue()

    async def fails(asked: Asked) -> Reply | None:
        if asked.method == "POST" or asked.path == path:
            return problem(500, "unexpected_failure", "Database error checking email")
        return await gotrue(asked)

    async with served(fails) as (provider, server):
        assert isinstance(await provider.create(ADA), Unknown)
    assert path in {asked.path for asked in server.asked}


async def test_a_server_that_takes_no_id_leaves_nothing_behind() -> None:
    """Nobody would ever find a user again that has an id of the server's choice."""
    gotrue = GoTrue()

    async def stubborn(asked: Asked) -> Reply | None:
        if asked.method == "POST":
            asked.body["id"] = EVE.id
        return await gotrue(asked)

    async with served(stubborn) as (provider, _):
        answer = await provider.create(ADA)
    assert isinstance(answer, Unknown)
    assert "too old" in answer.why
    assert gotrue.provider.everybody() == ()


async def test_an_email_is_found_whatever_the_filter_shows() -> None:
    """Wildcards in it, and somebody who has it for a name, are in the list, and are not it."""
    async with served(GoTrue()) as (provider, _):
        named = NewIdentity(EVE.id, EVE.email, EVE.password, confirmed=True, full_name=ADA.email)
        assert await provider.create(named) == Done()
        assert await provider.find_by_email(ADA.email or "") == Absent()
        assert await provider.create(ADA) == Done()
        found = await provider.find_by_email(ADA.email or "")
        assert isinstance(found, Found)
        assert found.identity_id == ADA.id


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2026-01-01T00:00:00.123456789Z", datetime(2026, 1, 1, 0, 0, 0, 123457, UTC)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00", None),
        (None, None),
    ],
)
def test_the_time_of_its_making_is_read(said: str | None, read: datetime | None) -> None:
    """In nanoseconds, rounded, or with an offset; one without a zone says nothing, and none is none."""
    found = user({"id": ADA.id, "email": ADA.email, "created_at": said}, datetime(2026, 1, 1, tzinfo=UTC))
    assert found is not None
    assert found.created_at == read


async def test_absence_is_told_of_a_whole_list_alone() -> None:
    """A server that gives fewer in a page than it was asked for: what is on a later page is found, else unknown."""
    gotrue = GoTrue()

    async def capped(asked: Asked) -> Reply | None:
        query = {**asked.query, "per_page": "1"} if "per_page" in asked.query else asked.query
        return await gotrue(Asked(asked.method, asked.path, query, asked.headers, asked.body))

    async with served(capped) as (provider, _):
        await provider.create(ADA)
        await provider.create(EVE)
        assert isinstance(await provider.find_by_email(ADA.email or ""), Found)
        await provider.delete(ADA.id)
        assert await provider.find_by_email(ADA.email or "") == Absent()
        third = NewIdentity(ADA.id, "adazl@example.org", ADA.password, confirmed=True, full_name="ada_l@example.org")
        await provider.create(third)
        assert isinstance(await provider.find_by_email(ADA.email or ""), Unknown)


async def test_an_update_that_fails_over_its_own_email_is_unknown() -> None:
    """It is nobody else's, so it is not that."""
    gotrue = GoTrue()

    async def fails(asked: Asked) -> Reply | None:
        return (
            problem(500, "unexpected_failure", "Error updating user") if asked.method == "PUT" else await gotrue(asked)
        )

    async with served(fails) as (provider, _):
        await provider.create(ADA)
        assert isinstance(await provider.update(ADA.id, email=ADA.email, disabled=True), Unknown)


async def test_a_password_is_of_the_identity_that_it_opens() -> None:
    """An email that has just gone to somebody else leads a sign-in to them: the session is theirs, and ended."""
    gotrue = GoTrue()

    async def moves(asked: Asked) -> Reply | None:
        if asked.path.endswith("/token"):
            await gotrue.provider.delete(ADA.id)
            await gotrue.provider.create(NewIdentity(EVE.id, ADA.email, ADA.password, confirmed=True))
        return await gotrue(asked)

    async with served(moves) as (provider, server):
        await provider.create(ADA)
        assert await provider.verify_password(ADA.id, ADA.email, Secret("Enchantress of N")) is Verified.WRONG
        assert server.asked[-1].path.endswith("/logout")


async def test_who_is_banned_is_neither_signed_in_nor_judged() -> None:
    """The server does not look at the password, so nothing is known of it."""
    async with served(GoTrue()) as (provider, _):
        await provider.create(ADA)
        await provider.update(ADA.id, disabled=True)
        assert await provider.sign_in(ADA.email or "", Secret("Enchantress of N")) == Absent()
        assert await provider.verify_password(ADA.id, ADA.email, Secret("wrong")) is Verified.UNKNOWN


@pytest.mark.parametrize("token", ["", "two words", "a\r\nX: y", "naïve", "genuine.but.unknown"])
async def test_a_token_that_is_none_ends_nothing(token: str) -> None:
    """Whatever a caller sends breaks no header, and is not taken for a session that has ended."""
    async with served(GoTrue()) as (provider, _):
        assert await provider.sign_out(Secret(token)) == Absent()
