"""Ten people who are one: simultaneous sign-ups over two server processes, on each store."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest

from semel.model import Account, Identifier, Identity
from tests.e2e.crowd import Crowd
from tests.e2e.site import Site
from tests.scale import SCALE

ROUNDS = SCALE.pick(20, 200)

Answers = list[httpx.Response]


@pytest.fixture
async def crowd(site: Site) -> AsyncIterator[Crowd]:
    async with Crowd([site.first, site.second]) as crowd:
        yield crowd


@dataclass(frozen=True)
class Totals:
    """What the store has of accounts made."""

    accounts: int
    credentials: int
    identifiers: int

    @classmethod
    async def of(cls, site: Site) -> "Totals":
        seen = await site.look()
        return cls(
            len(seen.all(Account)),
            sum(one.credential is not None for one in seen.all(Identity)),
            sum(one.account_id is not None for one in seen.all(Identifier)),
        )

    def plus_accounts(self, number: int) -> "Totals":
        return Totals(self.accounts + number, self.credentials + number, self.identifiers + 2 * number)


def _one_wins(answers: Answers) -> None:
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: len(answers) - 1}
    for answer in answers:
        if answer.status_code == 409:
            problem = answer.json()
            assert problem["code"] == "user_already_exists"
            assert {(fault["field"], fault["message"]) for fault in problem["errors"]} == {
                ("email", "Email is already registered"),
                ("username", "Username is already taken"),
            }


def _all_are_the_same(answers: Answers) -> None:
    assert Counter(answer.status_code for answer in answers) == {201: len(answers)}
    assert len({answer.json()["user_id"] for answer in answers}) == 1


async def test_different_keys(crowd: Crowd, site: Site) -> None:
    """One 201; nine 409 that name email and username; one account and one credential a round."""
    before = await Totals.of(site)
    for _ in range(ROUNDS):
        body = site.person()
        _one_wins(await crowd.sign_up([body] * crowd.size, [str(uuid4()) for _ in range(crowd.size)]))
    assert await Totals.of(site) == before.plus_accounts(ROUNDS)


async def test_one_key(crowd: Crowd, site: Site) -> None:
    """Ten times the same 201 with the same id; one account and one credential a round."""
    before = await Totals.of(site)
    for _ in range(ROUNDS):
        _all_are_the_same(await crowd.sign_up([site.person()] * crowd.size, [str(uuid4())] * crowd.size))
    assert await Totals.of(site) == before.plus_accounts(ROUNDS)


async def test_no_key_and_the_same_body(crowd: Crowd, site: Site) -> None:
    """A double click, ten times over, is one intent: ten times the same 201."""
    before = await Totals.of(site)
    for _ in range(ROUNDS):
        _all_are_the_same(await crowd.sign_up([site.person()] * crowd.size, [None] * crowd.size))
    assert await Totals.of(site) == before.plus_accounts(ROUNDS)


async def test_no_key_and_bodies_that_differ(crowd: Crowd, site: Site) -> None:
    """Ten intents that want the same names: one 201, nine 409."""
    before = await Totals.of(site)
    for _ in range(ROUNDS):
        body = site.person()
        bodies = [{**body, "name": f"Ada {number}"} for number in range(crowd.size)]
        _one_wins(await crowd.sign_up(bodies, [None] * crowd.size))
    assert await Totals.of(site) == before.plus_accounts(ROUNDS)
