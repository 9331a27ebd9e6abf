"""A sign-up that promises nothing: Starlette, msgspec and asyncpg, and one statement with the rows that Semel writes.

No hash, no policy, no idempotency, no log line; the rows' values that do not depend on the person were made before. It
is what a sign-up costs at least on this stack.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.people import CLOCK, IDS, intent, sign_up
from benchmarks.plain import POSTGRES, one_statement, rows
from semel.http.schemas import AccountAnswer, SignUpAnswer
from semel.model import Account, Registration

__all__ = ["application"]


class Person(msgspec.Struct):
    """Who wants an account."""

    name: str
    email: str
    username: str
    password: str
    role: str


_decode = msgspec.json.Decoder(Person).decode


def _event(account_id: str, registration: str, now: datetime) -> str:
    return f"{account_id}/account.created/{registration}/{now:%Y%m%dT%H%M%S.%f}"


class Template:
    """The statement of a sign-up, and its values with the places of those that differ from person to person."""

    def __init__(self) -> None:
        asked = intent()
        writes = sign_up(asked)
        made = rows(POSTGRES, writes)
        self.text = one_statement(POSTGRES, made)
        self._values = [value for row in made for value in row.values]
        account = next(write.record for write in writes if isinstance(write.record, Account))
        registration = next(write.record for write in writes if isinstance(write.record, Registration))
        self._marks = (account.id, asked.email, asked.username, registration.id, registration.created_at)
        marked = [(at, mark) for at, value in enumerate(self._values) for mark in self._marks if value == mark]
        self._whole = [(at, self._marks.index(mark)) for at, mark in marked]
        self._event = self._values.index(_event(account.id, registration.id, account.created_at))
        names = msgspec.json.encode(account.identifiers).decode()
        self._names = self._values.index(names)

    def values(self, account_id: str, asked: Person, registration: str, now: datetime) -> Sequence[Any]:
        """Return the values of a person's rows."""
        values = self._values.copy()
        fresh = (account_id, asked.email, asked.username, registration, now)
        for at, which in self._whole:
            values[at] = fresh[which]
        values[self._event] = _event(account_id, registration, now)
        values[self._names] = f'[["email","{asked.email}"],["username","{asked.username}"]]'
        return values


TEMPLATE = Template()


async def _endpoint(request: Request) -> Response:
    asked = _decode(await request.body())
    now, account_id = CLOCK.now(), IDS.uuid()
    pool: asyncpg.Pool[Any] = request.state.pool
    async with pool.acquire() as connection:
        await connection.fetch(TEMPLATE.text, *TEMPLATE.values(account_id, asked, IDS.secret(), now))
    account = AccountAnswer(
        id=account_id,
        email=asked.email,
        username=asked.username,
        phone=None,
        full_name=asked.name,
        role=asked.role,
        roles=(asked.role,),
        is_active=True,
        onboarding_completed=False,
        attributes=msgspec.Raw(b"{}"),
        created_at=now,
        updated_at=now,
        last_sign_in_at=None,
        email_verified_at=None,
    )
    answer = msgspec.json.encode(SignUpAnswer(user_id=account_id, account=account))
    return Response(answer, HTTPStatus.CREATED, media_type="application/json")


async def _nothing(_: asyncpg.Connection[Any]) -> None:
    """Stand in for the query by which a pool resets a connection: it would be a second round trip."""


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    async with asyncpg.create_pool(os.environ["SEMEL_DATABASE_URL"], reset=_nothing) as pool:
        yield {"pool": pool}


def application() -> Starlette:
    """Return the application."""
    return Starlette(routes=[Route("/api/auth/signup", _endpoint, methods=["POST"])], lifespan=_lifespan)
