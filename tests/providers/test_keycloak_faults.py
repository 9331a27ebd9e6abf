"""What goes wrong between the adapter and Keycloak: every answer is a value, in time, and tells no secret.

A proxy that makes up some answers stands before the real server.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace

from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, NewIdentity, Rejected, SignedIn, Unknown, Verified
from semel.providers.keycloak import KeycloakProvider
from semel.system import SystemIds
from semel.testing import VirtualClock
from tests.keycloak import Keycloak
from tests.keycloak_realms import SECRET
from tests.providers.keycloak_parts import PROOF_KEY, Realm, forwarding
from tests.providers.web import Answering, Asked, Reply, WebServer

PASSWORD = "Enchantress, never to be seen"
TOKEN = "/protocol/openid-connect/token"

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start

Call = Callable[[KeycloakProvider, NewIdentity], Awaitable[object]]

CALLS: dict[str, Call] = {
    "create": lambda provider, ada: provider.create(ada),
    "find": lambda provider, ada: provider.find(ada.id),
    "find_by_email": lambda provider, ada: provider.find_by_email(ada.email or ""),
    "update": lambda provider, ada: provider.update(ada.id, password=ada.password),
    "delete": lambda provider, ada: provider.delete(ada.id),
    "page": lambda provider, _: provider.page(None, 10),
    "verify_password": lambda provider, ada: provider.verify_password(ada.id, ada.email, ada.password or Secret("")),
    "sign_in": lambda provider, ada: provider.sign_in(ada.email or "", ada.password or Secret("")),
    "refresh": lambda provider, _: provider.refresh(Secret("refresh-never-to-be-seen")),
}

_PAGE = "<html><body>Bad gateway</body></html>"
_HTML = {"content-type": "text/html"}

SAY_NOTHING: dict[str, Reply | None] = {
    "broken": None,
    "redirect": Reply(307, None, {"location": "/elsewhere"}),
    "page that is well": Reply(200, _PAGE, _HTML),
    "page that is not found": Reply(404, _PAGE, _HTML),
    "an error of the database": Reply(400, {"errorMessage": "Could not create user"}),
    "no such path": Reply(404, {"error": "Unable to find matching target resource method"}),
    "no such realm": Reply(404, {"error": "Realm not found."}),
    "forbidden": Reply(403, {"error": "HTTP 403 Forbidden"}),
    "forbidden page": Reply(403, _PAGE, _HTML),
    "unauthorized": Reply(401, {"error": "HTTP 401 Unauthorized"}),
    "refused page": Reply(400, _PAGE, _HTML),
    "bad gateway": Reply(502, _PAGE, _HTML),
    "another's JSON": Reply(200, [1, 2]),
    "another's user": Reply(200, {"id": 5}),
    "failed": Reply(500, {"error": "unknown_error"}),
    "queue full": Reply(503),
    "throttled": Reply(429, "", {"retry-after": "7"}),
}


def person() -> NewIdentity:
    name = SystemIds().uuid()
    return NewIdentity(name, f"{name}@example.org", Secret(PASSWORD), confirmed=True, full_name="Ada Lovelace")


@asynccontextmanager
async def through(
    keycloak: Keycloak,
    answering: Callable[[Asked, Answering], Awaitable[Reply | None]],
    *,
    clock: VirtualClock | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - the provider's own
) -> AsyncIterator[tuple[KeycloakProvider, WebServer]]:
    """Yield a provider behind a proxy that answers so, and is given the real server to ask."""
    async with forwarding(keycloak.url) as forward:

        async def answer(asked: Asked) -> Reply | None:
            return await answering(asked, forward)

        async with WebServer(answer) as server:
            url = Secret(f"keycloak+{server.url}/realms/semel")
            options = keycloak.options(url=url, timeout=timeout)
            provider = KeycloakProvider(options, PROOF_KEY, clock or VirtualClock(flowing=False))
            try:
                yield provider, server
            finally:
                await provider.close()


def says_nothing(outcome: object) -> bool:
    return isinstance(outcome, Unknown) or outcome is Verified.UNKNOWN


def is_for_a_token(asked: Asked) -> bool:
    return b"client_credentials" in asked.content


async def honest(asked: Asked, forward: Answering) -> Reply | None:
    return await forward(asked)


@pytest.mark.parametrize("what", SAY_NOTHING)
async def test_what_says_nothing_is_unknown(keycloak: Keycloak, what: str) -> None:
    """Neither done nor absent nor refused, whichever operation it answers; no redirect is followed."""
    ada, failing = person(), False

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        if failing and not is_for_a_token(asked):
            return SAY_NOTHING[what]
        return await forward(asked)

    async with through(keycloak, answering) as (provider, server):
        assert isinstance(await provider.create(ada), Done)
        failing = True
        answers = {name: await call(provider, ada) for name, call in CALLS.items()}
        assert [name for name, outcome in answers.items() if not says_nothing(outcome)] == []
    assert not [asked for asked in server.asked if "elsewhere" in asked.path]


async def test_a_throttled_caller_hears_when_to_come_back(keycloak: Keycloak) -> None:
    """As the proxy before the server says."""

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        return await forward(asked) if is_for_a_token(asked) else SAY_NOTHING["throttled"]

    async with through(keycloak, answering) as (provider, _):
        said = await provider.create(person())
    assert isinstance(said, Unknown)
    assert said.retry_after == 7


async def test_a_token_that_is_refused_is_had_anew_once(keycloak: Keycloak) -> None:
    """The same request goes again with a new one; refused again it is left at that."""
    refuse = 0

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        nonlocal refuse
        if "/admin/" in asked.path and refuse:
            refuse -= 1
            return SAY_NOTHING["unauthorized"]
        return await forward(asked)

    async with through(keycloak, answering) as (provider, server):
        ada = person()
        refuse = 1
        assert isinstance(await provider.create(ada), Done)
        assert [asked.path.rpartition("/")[2] for asked in server.asked] == ["token", "users", "token", "users"]
        refuse = 2
        said = await provider.find_by_email(ada.email or "")
        assert isinstance(said, Unknown)
        assert "refuses the service account" in said.why
        assert isinstance(await provider.find_by_email(ada.email or ""), Found)


async def test_a_token_is_kept_while_it_is_good(keycloak: Keycloak) -> None:
    """Many who need one share one fetch; it is had again before it expires, by the clock that was given."""
    clock = VirtualClock(flowing=False)
    async with through(keycloak, honest, clock=clock) as (provider, server):
        for _ in range(2):
            await asyncio.gather(*(provider.find_by_email("nobody@example.org") for _ in range(10)))
            assert sum(map(is_for_a_token, server.asked)) == 1
        clock.advance(timedelta(seconds=290).total_seconds())
        await asyncio.gather(*(provider.find_by_email("nobody@example.org") for _ in range(10)))
        assert sum(map(is_for_a_token, server.asked)) == 2


async def test_who_goes_away_takes_no_token_from_others(keycloak: Keycloak) -> None:
    """The first of two that wait for one is cancelled; the other has it."""
    fetching, go = asyncio.Event(), asyncio.Event()

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        if is_for_a_token(asked):
            fetching.set()
            await go.wait()
        return await forward(asked)

    async with through(keycloak, answering) as (provider, server):
        first, second = (asyncio.create_task(provider.find_by_email("nobody@example.org")) for _ in range(2))
        await fetching.wait()
        first.cancel()
        await asyncio.wait([first])
        go.set()
        assert await second == Absent()
        assert sum(map(is_for_a_token, server.asked)) == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_server_that_never_answers_is_unknown_after_the_time_out(keycloak: Keycloak, call: Call) -> None:
    """The provider waits no longer than it says."""

    async def never(_asked: Asked, _forward: Answering) -> Reply | None:
        await asyncio.Event().wait()
        return None

    async with through(keycloak, never, timeout=0.05) as (provider, _):
        assert says_nothing(await call(provider, person()))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_nobody_at_the_address_is_unknown(keycloak: Keycloak, call: Call) -> None:
    """Without a wait."""
    async with through(keycloak, honest) as (provider, server):
        await server.__aexit__(None, None, None)
        assert says_nothing(await call(provider, person()))


async def test_a_delete_that_fails_is_settled_by_a_look(keycloak: Keycloak) -> None:
    """Gone it is done, still there it is unknown, and so it is where the look fails."""
    ada, case = person(), {"does": True, "looks": True}

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        if asked.method == "DELETE":
            if case["does"]:
                await forward(asked)
            return SAY_NOTHING["failed"]
        users = asked.method == "GET" and "/users/" in asked.path
        return await forward(asked) if case["looks"] or not users else SAY_NOTHING["no such realm"]

    async with through(keycloak, answering) as (provider, _):
        for does, looks, done in ((True, True, True), (False, True, False), (True, False, False)):
            case.update(does=does, looks=looks)
            made = await provider.create(ada)
            found = await provider.find_by_email(ada.email or "")
            assert isinstance(made, Done | Exists)
            assert isinstance(found, Found)
            said = await provider.delete(found.provider_id)
            assert isinstance(said, Done if done else Unknown)


async def test_a_sign_in_that_is_not_settled_leaves_no_session(keycloak: Keycloak) -> None:
    """Nobody would ever have its tokens."""
    ada, failing = person(), False

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        return SAY_NOTHING["failed"] if failing and "/admin/" in asked.path else await forward(asked)

    async with through(keycloak, answering) as (provider, _):
        done = await provider.create(ada)
        assert isinstance(done, Done)
        failing = True
        assert isinstance(await provider.sign_in(ada.email or "", Secret(PASSWORD)), Unknown)
    realm = Realm(keycloak)
    assert await realm.sessions(done.provider_id or "") == 0
    await realm.close()


async def test_the_keys_of_tokens_are_read_once_and_not_for_every_made_up_one(keycloak: Keycloak) -> None:
    """An unknown key is looked for, but not again at once."""
    clock = VirtualClock(flowing=False)
    unknown_key = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im1hZGUtdXAifQ.e30.c2ln"
    async with through(keycloak, honest, clock=clock) as (provider, server):
        for _ in range(3):
            assert await provider.sign_out(Secret(unknown_key)) == Absent()
        assert Counter(asked.path.rpartition("/")[2] for asked in server.asked) == {"certs": 1}
        clock.advance(60.0)
        assert await provider.sign_out(Secret(unknown_key)) == Absent()
        assert Counter(asked.path.rpartition("/")[2] for asked in server.asked) == {"certs": 2}


async def test_nothing_secret_shows(keycloak: Keycloak, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log of anybody, at its most talkative, nor in a repr, nor in what an outcome says."""
    caplog.set_level(logging.DEBUG)
    outcomes: list[object] = []
    ada = person()
    async with through(keycloak, honest) as (provider, _):
        await provider.create(ada)
        signed_in = await provider.sign_in(ada.email or "", Secret(PASSWORD))
        outcomes += [await call(provider, person()) for name, call in CALLS.items() if name not in {"page", "find"}]
        parts = [*vars(provider).values()]
        outcomes += [provider, *parts, *[vars(part) for part in parts if hasattr(part, "__dict__")]]
    assert isinstance(signed_in, SignedIn)
    tokens = signed_in.tokens.access_token, signed_in.tokens.refresh_token
    said = "".join(record.getMessage() for record in caplog.records if record.name.startswith("httpx")) + repr(outcomes)
    assert "HTTP Request" in said
    assert not [secret for secret in (SECRET, PASSWORD, "never-to-be-seen", *tokens) if secret in said]
    assert not [record for record in caplog.records if record.name == "httpx" and str(ada.email) in record.getMessage()]


async def test_no_search_is_for_a_part_or_for_nothing(keycloak: Keycloak) -> None:
    """One that is empty lists everybody, and a NUL is an outage over PostgreSQL: neither is ever asked."""
    async with through(keycloak, honest) as (provider, server):
        ada = person()
        for email in (ada.email or "", "", "\0"):
            await provider.find_by_email(email)
        for name in (ada.id, "", "nobody"):
            await provider.find(name)
        assert isinstance(await provider.create(replace(ada, email="ada\0@example.org")), Rejected)
        assert isinstance(await provider.update(ada.id, email="ada\0@example.org"), Rejected)
    searches = [asked.query for asked in server.asked if asked.path.endswith("/users")]
    assert [query.get("exact") for query in searches] == ["true", "true"]
    assert [query.get("email") or query.get("username") for query in searches] == [ada.email, ada.id]
    assert "\\u0000" not in str([asked.content for asked in server.asked])


async def test_who_is_listed_is_compared(keycloak: Keycloak) -> None:
    """Though a proxy should drop what makes a search exact: then the server lists whoever has it as a part."""

    async def answering(asked: Asked, forward: Answering) -> Reply | None:
        return await forward(dataclasses.replace(asked, target=asked.target.replace("&exact=true", "")))

    async with through(keycloak, answering) as (provider, _):
        ada = person()
        assert isinstance(await provider.create(ada), Done)
        assert await provider.find_by_email((ada.email or "")[1:]) == Absent()
        assert isinstance(await provider.find_by_email(ada.email or ""), Found)
