"""How often one may try: counted before all else, by address and by account, and no replay of an answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from semel import Semel
from semel.errors import IdempotencyKeyInvalid, RateLimited
from semel.http import create_app, router
from semel.http.body import BodyLimits
from semel.http.limits import Limit, Limited, Limiter, address_of
from semel.http.operations import Call, Operation, reply
from semel.http.routes import routes
from semel.http.schemas import Health
from semel.testing import VirtualClock
from tests.http.conftest import settings

SIGN_UP, SIGN_IN = "/api/auth/signup", "/api/auth/login"
PASSWORD = "StrongPass123$"
HOME, AWAY = "192.0.2.1", "198.51.100.7"


@dataclass(frozen=True)
class Site:
    """A server with limits, a clock that passes when it is told to, and callers from anywhere."""

    app: FastAPI
    semel: Semel
    clock: VirtualClock

    async def post(self, path: str, address: str = HOME, **sent: Any) -> Response:  # noqa: ANN401 - as httpx takes it
        transport = ASGITransport(self.app, client=(address, 1))
        async with AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.post(path, **sent)

    async def sign_up(
        self, name: str, *, key: str | None = None, address: str = HOME, password: str = PASSWORD
    ) -> Response:
        person = {"email": f"{name}@example.com", "password": password}
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.post(SIGN_UP, address, json=person, headers=headers)

    async def sign_in(self, email: str, address: str = HOME) -> Response:
        return await self.post(SIGN_IN, address, json={"email": email, "password": "a wrong one"})

    def refused(self, limit: str) -> float:
        return self.semel.metrics.registry.get_sample_value("semel_rate_limited_total", {"limit": limit}) or 0.0


@asynccontextmanager
async def limited(**changes: Any) -> AsyncIterator[Site]:  # noqa: ANN401 - as the settings take them
    """Run a server that limits what these settings say."""
    given = settings(rate_limits="memory", upkeep=False, **changes)
    clock = VirtualClock(flowing=False)
    semel = Semel(given, clock=clock)
    app = create_app(given, semel=semel)
    async with app.router.lifespan_context(app):
        yield Site(app, semel, clock)


def key_of(name: str) -> str:
    return f"the key of {name}'s form"


def statuses(answers: Sequence[Response]) -> dict[int, int]:
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in sorted(set(found))}


async def test_of_a_crowd_as_many_pass_as_the_limit_says() -> None:
    """Also of another address, and again when the window is over; each refusal is counted by its limit's name."""
    async with limited(rate_limit_sign_up_by_address="10/minute") as site:
        crowd = await asyncio.gather(*(site.sign_up(f"one{number}") for number in range(50)))
        assert statuses(crowd) == {201: 10, 429: 40}
        assert site.refused("sign_up_by_address") == 40
        assert (await site.sign_up("two", address=AWAY)).status_code == 201
        site.clock.advance(59)
        assert (await site.sign_up("three")).status_code == 429
        site.clock.advance(1)
        assert (await site.sign_up("three")).status_code == 201


async def test_who_is_refused_is_refused_before_anything_else() -> None:
    """A body that is no JSON is not even looked at; nothing of it reaches the store."""
    async with limited(rate_limit_sign_up_by_address="1/minute") as site:
        assert (await site.sign_up("one")).status_code == 201
        calls = site.semel.metrics.text().count(b"semel_store_seconds_count")
        assert (await site.post(SIGN_UP, content=b"{")).status_code == 429
        assert site.semel.metrics.text().count(b"semel_store_seconds_count") == calls
        assert (await site.post(SIGN_UP, AWAY, content=b"{")).status_code == 415


async def test_the_answer_says_when_to_come_back() -> None:
    """And all answers say what remains, also those that are errors."""
    async with limited(rate_limit_sign_up_by_address="2/minute") as site:
        made = await site.sign_up("one")
        assert made.headers["ratelimit-policy"] == '"sign_up_by_address";q=2;w=60'
        assert made.headers["ratelimit"] == '"sign_up_by_address";r=1'
        taken = await site.sign_up("one", password="Another123$")
        assert (taken.status_code, taken.headers["ratelimit"]) == (409, '"sign_up_by_address";r=0')
        site.clock.advance(20.5)
        refused = await site.sign_up("three")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "40"
        assert refused.headers["ratelimit"] == '"sign_up_by_address";r=0;t=40'


async def test_a_replay_is_no_attempt() -> None:
    """It is answered with and without attempts left, and takes none."""
    async with limited(rate_limit_sign_up_by_address="2/minute") as site:
        first = await site.sign_up("one", key=key_of("one"))
        for _ in range(5):
            again = await site.sign_up("one", key=key_of("one"))
            assert (again.json(), again.headers["ratelimit"]) == (first.json(), '"sign_up_by_address";r=1')
        assert (await site.sign_up("two", key=key_of("two"))).status_code == 201
        for _ in range(5):
            assert (await site.sign_up("three", key=key_of("three"))).status_code == 429
            again = await site.sign_up("one", key=key_of("one"))
            assert (again.json(), again.headers["ratelimit"]) == (first.json(), '"sign_up_by_address";r=0')


async def test_a_double_click_is_no_attempt() -> None:
    """The same sign-up without a key."""
    async with limited(rate_limit_sign_up_by_address="2/minute") as site:
        answers = [await site.sign_up("one") for _ in range(4)]
        assert {answer.json()["user_id"] for answer in answers} == {answers[0].json()["user_id"]}
        assert answers[-1].headers["ratelimit"] == '"sign_up_by_address";r=1'


async def test_a_crowd_under_one_key_is_one_attempt() -> None:
    """Those for whom no attempt is left wait for the one that is under way."""
    async with limited(rate_limit_sign_up_by_address="3/minute") as site:
        crowd = await asyncio.gather(*(site.sign_up("one", key=key_of("one")) for _ in range(50)))
        assert statuses(crowd) == {201: 50}
        assert len({answer.json()["user_id"] for answer in crowd}) == 1
        assert (await site.sign_up("two")).headers["ratelimit"] == '"sign_up_by_address";r=1'


async def test_no_password_is_guessed_by_replays() -> None:
    """With no attempt left, wrong passwords under an answered key are counted by that key, wherever they come from."""
    changes = {"rate_limit_sign_up_by_address": "1/minute", "rate_limit_requests_by_address": "4/minute"}
    async with limited(**changes) as site:
        await site.sign_up("one", key=key_of("one"))
        guesses = []
        for address in (f"203.0.113.{number}" for number in range(7)):
            await site.sign_up("one", key=key_of("one"), address=address, password="Guess1Guess$")
            guesses.append(await site.sign_up("one", key=key_of("one"), address=address, password="Guess2Guess$"))
        assert statuses(guesses) == {422: 4, 429: 3}
        assert (await site.sign_up("one", key=key_of("one"))).status_code == 429
        site.clock.advance(60)
        assert (await site.sign_up("one", key=key_of("one"))).status_code == 201


async def test_a_flood_of_refusals_keeps_no_attempt_from_coming_back() -> None:
    """What is refused is not counted, so one attempt that was given back is one attempt more."""
    async with limited(rate_limit_sign_up_by_address="2/minute") as site:
        first = asyncio.create_task(site.sign_up("one", key=key_of("one")))
        replay = asyncio.create_task(site.sign_up("one", key=key_of("one")))
        flood = await asyncio.gather(*(site.sign_up(f"stranger{number}") for number in range(20)))
        assert statuses(flood) == {429: 20}
        assert statuses([await first, await replay]) == {201: 2}
        assert statuses([await site.sign_up(f"late{number}") for number in range(3)]) == {201: 1, 429: 2}


async def test_all_requests_have_a_limit_too() -> None:
    """Replays cost something: beyond it even they are refused, and nothing is looked up."""
    changes = {"rate_limit_requests_by_address": "5/minute", "rate_limit_sign_up_by_address": "1/minute"}
    async with limited(**changes) as site:
        answers = [await site.sign_up("one", key=key_of("one")) for _ in range(8)]
        assert statuses(answers) == {201: 5, 429: 3}
        assert (await site.sign_in("one@example.com")).status_code == 429
        assert site.refused("requests_by_address") == 4


async def test_a_sign_in_is_counted_by_account_from_wherever() -> None:
    """However the email is written, and whether or not it has an account."""
    async with limited(rate_limit_sign_in_by_account="3/minute") as site:
        await site.sign_up("ada")
        for emails in (["ada@example.com", "ADA@example.com", " Ada@Example.COM"], ["nobody@example.com"] * 3):
            tries = [await site.sign_in(email, f"203.0.113.{number}") for number, email in enumerate(emails)]
            assert statuses(tries) == {401: 3}
            refused = await site.sign_in(emails[0], AWAY)
            assert (refused.status_code, refused.headers["ratelimit"]) == (429, '"sign_in_by_account";r=0;t=60')
        assert site.refused("sign_in_by_account") == 2
        assert (await site.sign_in("another@example.com", AWAY)).status_code == 401


async def test_a_sign_in_is_counted_by_address() -> None:
    """Whosever account is tried. How often others try an account is not told to who is not refused for it."""
    async with limited(rate_limit_sign_in_by_address="3/minute") as site:
        tries = [await site.sign_in(f"person{number}@example.com") for number in range(5)]
        assert statuses(tries) == {401: 3, 429: 2}
        assert tries[0].headers["ratelimit"] == '"sign_in_by_address";r=2'


async def test_who_is_refused_for_an_account_keeps_the_address_s_attempts() -> None:
    """What is refused is no attempt, under no limit but that of all requests."""
    changes = {"rate_limit_sign_in_by_address": "4/minute", "rate_limit_sign_in_by_account": "1/minute"}
    async with limited(**changes) as site:
        tries = [await site.sign_in("ada@example.com") for _ in range(6)]
        assert statuses(tries) == {401: 1, 429: 5}
        others = [await site.sign_in(f"person{number}@example.com") for number in range(4)]
        assert statuses(others) == {401: 3, 429: 1}


async def test_several_rates_hold_together() -> None:
    """Each with its own window and its own name."""
    async with limited(rate_limit_sign_up_by_address="2/minute; 3/hour") as site:
        made = await site.sign_up("one")
        assert made.headers["ratelimit"] == '"sign_up_by_address-60s";r=1, "sign_up_by_address-3600s";r=2'
        assert statuses([await site.sign_up(f"more{number}") for number in range(3)]) == {201: 1, 429: 2}
        site.clock.advance(60)
        assert statuses([await site.sign_up(f"late{number}") for number in range(2)]) == {201: 1, 429: 1}
        assert (await site.sign_up("last")).headers["retry-after"] == "3540"


async def _recover(call: Call) -> Response:
    await call.attempt.on(call.headers["x-email"])
    return reply(Health(status="sent"), HTTPStatus.ACCEPTED)  # type: ignore[return-value]  # Starlette's


async def test_any_operation_names_its_limit_in_one_line() -> None:
    """By address before its handler, by account once that knows which."""
    operation = Operation(
        name="recover",
        method="POST",
        path="/recover",
        summary="Send a mail",
        handle=_recover,  # type: ignore[arg-type]  # as above
        limited=Limited(Limit.RECOVERY, keys="anonymous"),
        raises=(RateLimited, IdempotencyKeyInvalid),
    )
    given = settings(rate_limits="memory", rate_limit_recovery_by_account="1/hour", upkeep=False)
    semel, clock = Semel(given, clock=VirtualClock(flowing=False)), VirtualClock(flowing=False)
    app = FastAPI(routes=[*routes(semel, [operation], BodyLimits(100, 1), Limiter(semel))])
    async with semel:
        site = Site(app, semel, clock)
        emails = ("ada@example.com", "ada@example.com", "eve@example.com")
        answers = [await site.post("/recover", headers={"x-email": email}) for email in emails]
        assert [answer.status_code for answer in answers] == [202, 429, 202]
        assert (await site.post("/recover", headers={"Idempotency-Key": "short"})).status_code == 400


async def test_an_application_of_ones_own_has_the_limits_too() -> None:
    """By the address that its server says."""
    given = settings(rate_limits="memory", rate_limit_sign_up_by_address="1/minute", upkeep=False)
    semel = Semel(given)
    app = FastAPI()
    app.include_router(router(semel))
    async with app.router.lifespan_context(app):
        site = Site(app, semel, VirtualClock())
        assert statuses([await site.sign_up(f"one{number}") for number in range(3)]) == {201: 1, 429: 2}


async def test_off_is_off() -> None:
    """And no header speaks of limits."""
    given = settings(rate_limits="off", rate_limit_sign_up_by_address="1/minute", upkeep=False)
    semel = Semel(given)
    app = create_app(given, semel=semel)
    async with app.router.lifespan_context(app):
        site = Site(app, semel, VirtualClock())
        answers = [await site.sign_up(f"one{number}") for number in range(3)]
    assert statuses(answers) == {201: 3}
    assert not any("ratelimit" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("hosts", "same"),
    [
        (("192.0.2.1", "192.0.2.1"), True),
        (("192.0.2.1", "192.0.2.2"), False),
        (("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"), True),
        (("2001:db8:0:1::1", "2001:db8:0:2::1"), False),
        (("::ffff:192.0.2.1", "192.0.2.1"), True),
        (("::ffff:192.0.2.1", "::ffff:192.0.2.2"), False),
    ],
    ids=str,
)
def test_an_address_is_what_one_subscriber_has(hosts: tuple[str, str], same: bool) -> None:  # noqa: FBT001 - of pytest
    """An IPv4 address, however it is written, or an IPv6 network of 64 bits."""
    first, second = (address_of({"type": "http", "client": (host, 1)}) for host in hosts)
    assert (first == second) is same
    assert address_of({"type": "http", "client": None}) == ""


_PROXIES = "192.0.2.0/24, 2001:db8::7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("192.0.2.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::7", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["10.9.9.9, 203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9, 192.0.2.8"], "203.0.113.9"),
        ("192.0.2.1", ["10.9.9.9", "203.0.113.9, 192.0.2.8"], "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("192.0.2.1", [], "192.0.2.1"),
    ],
    ids=str,
)
async def test_a_proxy_is_believed_if_it_is_trusted(peer: str, forwarded: list[str], counted: str) -> None:
    """Of what it says, the right-most address counts that is no trusted proxy: the rest is the client's own."""
    async with limited(rate_limit_sign_up_by_address="1/minute", trusted_proxies=_PROXIES) as site:
        assert (await site.sign_up("one", address=counted)).status_code == 201
        headers = [("X-Forwarded-For", one) for one in forwarded]
        assert (await site.post(SIGN_UP, peer, headers=headers, json={})).status_code == 429
        assert (await site.sign_up("two", address="203.0.113.200")).status_code == 201


async def test_without_the_setting_nobody_is_believed() -> None:
    """Not even who connects from this machine."""
    async with limited(rate_limit_sign_up_by_address="1/minute") as site:
        assert (await site.sign_up("one", address="127.0.0.1")).status_code == 201
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        answer = await site.post(SIGN_UP, "127.0.0.1", headers=headers, json={})
        assert answer.status_code == 429
        assert "strict-transport-security" not in answer.headers


async def test_a_trusted_proxy_says_whether_the_client_speaks_tls() -> None:
    """So that browsers are told to stay with it."""
    async with limited(trusted_proxies="127.0.0.1") as site:
        answer = await site.post(SIGN_UP, "127.0.0.1", headers={"X-Forwarded-Proto": "https"}, json={})
        assert "strict-transport-security" in answer.headers
