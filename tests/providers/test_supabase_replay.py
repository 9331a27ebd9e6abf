"""Every recorded answer of a real Supabase Auth server, given to the adapter again: what each comes to."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import pytest

from semel.model import Secret
from semel.ports import (
    Absent,
    Done,
    Exists,
    Found,
    FoundPage,
    NewIdentity,
    Rejected,
    SignedIn,
    Unknown,
    Verified,
)
from semel.providers.supabase import SupabaseProvider
from tests.providers.gotrue import problem
from tests.providers.supabase_parts import served
from tests.providers.transcripts import RECORDED, SHIPPED, Exchange, exchanges
from tests.providers.web import Asked, Reply

THERE: Final = {True: Exists, False: Unknown}
"""What a 500 comes to: whether our id, or the email, is there."""

OUTCOMES: Final[Mapping[tuple[str, int, str | None], object]] = {
    ("create", 200, None): Done,
    ("create", 400, "bad_json"): Rejected,
    ("create", 400, "validation_failed"): Rejected,
    ("create", 401, "no_authorization"): Unknown,
    ("create", 403, "bad_jwt"): Unknown,
    ("create", 403, "not_admin"): Unknown,
    ("create", 422, "email_exists"): Exists,
    ("create", 422, "phone_exists"): Exists,
    ("create", 500, "unexpected_failure"): THERE,
    ("find", 200, None): Found,
    ("find", 404, "user_not_found"): Absent,
    ("find", 404, "validation_failed"): Unknown,
    ("find_by_email", 200, None): {True: Found, False: Absent},
    ("page", 200, None): FoundPage,
    ("page", 400, "validation_failed"): Unknown,
    ("page", 401, "no_authorization"): Unknown,
    ("page", 403, "bad_jwt"): Unknown,
    ("page", 403, "not_admin"): Unknown,
    ("page", 500, "unexpected_failure"): Unknown,
    ("update", 200, None): Done,
    ("update", 400, "validation_failed"): Rejected,
    ("update", 422, "weak_password"): Rejected,
    ("update", 500, "unexpected_failure"): THERE,
    ("delete", 200, None): Done,
    ("delete", 400, "bad_json"): Unknown,
    ("delete", 404, "user_not_found"): Done,
    ("delete", 404, "validation_failed"): Unknown,
    ("sign_in", 200, None): SignedIn,
    ("sign_in", 400, "bad_json"): Unknown,
    ("sign_in", 400, "email_not_confirmed"): Absent,
    ("sign_in", 400, "invalid_credentials"): Absent,
    ("sign_in", 400, "phone_not_confirmed"): Absent,
    ("sign_in", 400, "validation_failed"): Unknown,
    ("sign_in", 422, "email_provider_disabled"): Unknown,
    ("sign_in", 422, "phone_provider_disabled"): Unknown,
    ("refresh", 200, None): SignedIn,
    ("refresh", 400, "bad_json"): Unknown,
    ("refresh", 400, "refresh_token_already_used"): Absent,
    ("refresh", 400, "refresh_token_not_found"): Absent,
    ("refresh", 400, "session_expired"): Absent,
    ("refresh", 400, "validation_failed"): Absent,
    ("sign_out", 204, None): Done,
    ("sign_out", 400, "validation_failed"): Unknown,
    ("sign_out", 401, "no_authorization"): Absent,
    ("sign_out", 403, "bad_jwt"): Absent,
    ("sign_out", 403, "session_not_found"): Done,
    ("sign_out", 403, "user_not_found"): Done,
}
"""By operation, status and error code."""

PASSWORDS: Final = {
    (200, None): Verified.RIGHT,
    (400, "email_not_confirmed"): Verified.RIGHT,
    (400, "invalid_credentials"): Verified.WRONG,
}
"""What a sign-in's answer says of the password; every other one says nothing."""

ENDPOINTS: Final = {
    "create": ("POST", "/admin/users"),
    "find": ("GET", "/admin/users/[^/]+"),
    "find_by_email": ("GET", "/admin/users"),
    "page": ("GET", "/admin/users"),
    "update": ("PUT", "/admin/users/[^/]+"),
    "delete": ("DELETE", "/admin/users/[^/]+"),
    "sign_in": ("POST", "/token"),
    "refresh": ("POST", "/token"),
    "sign_out": ("POST", "/logout"),
}
EXCHANGES: Final = list(exchanges())
SIGN_INS: Final = [each for each in EXCHANGES if each.operation == "sign_in"]
SOMEBODY: Final = {"id": str(UUID(int=7)), "email": "ada@example.org"}


class Replay:
    """Gives the recorded answer to the first request of its endpoint; all else is answered by who is there."""

    def __init__(self, exchange: Exchange, there: tuple[Mapping[str, Any], ...]) -> None:
        self._endpoint = ENDPOINTS[exchange.operation]
        self._reply: Reply | None = exchange.reply
        self._there = there

    async def __call__(self, asked: Asked) -> Reply:
        method, path = self._endpoint
        if self._reply and asked.method == method and re.fullmatch(f"/auth/v1{path}", asked.path):
            reply, self._reply = self._reply, None
            return reply
        if asked.path.endswith("/logout"):
            return Reply(204)
        if asked.path.endswith("/admin/users"):
            users = [one for one in self._there if asked.query["filter"] in one["email"]]
            return Reply(200, {"users": users}, {"x-total-count": str(len(users))})
        user = next((one for one in self._there if asked.path.endswith(one["id"])), None)
        return problem(404, "user_not_found", "User not found") if user is None else Reply(200, user)


class Told:
    """What the adapter is told in place of what the exchange was asked: the same, where it could have sent that."""

    def __init__(self, exchange: Exchange) -> None:
        self.asked = exchange.asked
        ours = exchange.user.get("id") if exchange.reply.status == 200 else None
        self.id = ours or (exchange.asked["id"] if _is_uuid(exchange.asked.get("id")) else SOMEBODY["id"])
        self.email = self.text("email", SOMEBODY["email"]).lower()
        self.password = Secret(self.text("password", "x"))

    def text(self, name: str, otherwise: str) -> str:
        given = self.asked.get(name)
        return given if isinstance(given, str) and 0 < len(given) <= 72 else otherwise


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f-]{36}", value) is not None


async def told(provider: SupabaseProvider, exchange: Exchange) -> object:
    """Ask for the exchange's operation; return what it comes to."""
    say = Told(exchange)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: provider.create(NewIdentity(say.id, say.email, say.password, confirmed=True)),
        "find": lambda: provider.find(say.id),
        "find_by_email": lambda: provider.find_by_email(say.asked["filter"]),
        "page": lambda: provider.page(None, 2),
        "update": lambda: provider.update(say.id, email=say.asked.get("email"), password=say.password),
        "delete": lambda: provider.delete(say.id),
        "sign_in": lambda: provider.sign_in(say.email, say.password),
        "refresh": lambda: provider.refresh(Secret(say.text("refresh_token", "x"))),
        "sign_out": lambda: provider.sign_out(Secret("a-token")),
    }
    return await calls[exchange.operation]()


def expected(exchange: Exchange) -> object:
    """Return the outcome that the table has."""
    outcome = OUTCOMES[exchange.operation, exchange.reply.status, exchange.code]
    if not isinstance(outcome, Mapping):
        return outcome
    say = Told(exchange)
    if exchange.operation == "find_by_email":
        return outcome[bool(exchange.reply.body["users"])]
    if exchange.operation == "update":
        return outcome[any(one["email"] == say.asked.get("email") and one["id"] != say.id for one in exchange.there)]
    return outcome[any(one["id"] == say.id or one["email"] == say.email for one in exchange.there)]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=str)
async def test_an_answer_comes_to_what_the_table_says(exchange: Exchange) -> None:
    """A 500 to a create or an update is settled by a look."""
    async with served(Replay(exchange, exchange.there)) as (provider, _):
        outcome = await told(provider, exchange)
    assert type(outcome) is expected(exchange)
    if isinstance(outcome, Found):
        user = exchange.user["users"][0] if "users" in exchange.user else exchange.user
        assert outcome.provider_id == outcome.identity_id == user["id"]
        assert outcome.email == (None if "deleted_at" in user else user["email"])
        assert outcome.confirmed is ("email_confirmed_at" in user and "deleted_at" not in user)
    if isinstance(outcome, Rejected):
        assert Told(exchange).email not in outcome.message


@pytest.mark.parametrize("exchange", SIGN_INS, ids=str)
async def test_a_sign_in_says_whether_the_password_is_right(exchange: Exchange) -> None:
    """Or nothing of it; the session that it opens is signed out at once, with its own token."""
    say = Told(exchange)
    user = {**(exchange.user if exchange.reply.status == 200 else SOMEBODY), "email": say.email}
    async with served(Replay(exchange, (user,))) as (provider, server):
        verified = await provider.verify_password(user["id"], say.email, say.password)
    assert verified is PASSWORDS.get((exchange.reply.status, exchange.code), Verified.UNKNOWN)
    bearers = [each.headers["authorization"] for each in server.asked if each.path.endswith("/logout")]
    tokens = [exchange.reply.body["access_token"]] if exchange.reply.status == 200 else []
    assert bearers == [f"Bearer {token}" for token in tokens]


def test_the_table_has_no_line_that_was_not_recorded() -> None:
    """Of the exchanges in this repository; another file may have fewer."""
    if RECORDED == SHIPPED:
        assert OUTCOMES.keys() == {(each.operation, each.reply.status, each.code) for each in EXCHANGES}
