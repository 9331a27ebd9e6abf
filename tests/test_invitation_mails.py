"""The mail of an invitation: written by what is so when it is sent, and sent at least once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from semel import Semel
from semel.invitations import InvitationBook, Invite
from semel.mail import Mail
from semel.model import OutboxEvent, Secret
from semel.states import EventState
from semel.testing import MAILER_OPERATIONS, Fault, FaultPlan, RecordingMailer, VirtualClock
from tests.face.conftest import settings

INVITE = Invite(email="ada@gmail.com", note="See you", invited_by="the administrator")


class Post:
    """An open Semel whose mails are kept."""

    def __init__(self, semel: Semel, mailer: RecordingMailer, clock: VirtualClock, faults: FaultPlan) -> None:
        self.semel = semel
        self.mailer = mailer
        self.clock = clock
        self.faults = faults

    @property
    def book(self) -> InvitationBook:
        return self.semel.parts.invitations

    async def events(self) -> list[OutboxEvent]:
        return [one for one in await self.semel.outbox() if one.is_mail]


@asynccontextmanager
async def opened(**others: Any) -> AsyncIterator[Post]:  # noqa: ANN401 - as ``settings`` takes them
    clock, faults = VirtualClock(flowing=False), FaultPlan(MAILER_OPERATIONS)
    mailer = RecordingMailer(faults, clock)
    async with Semel(settings(**others), mailer=mailer, clock=clock) as semel:
        yield Post(semel, mailer, clock, faults)


def token(mail: Mail) -> Secret:
    """Return the token of the mail's link."""
    found = re.search(r"https://app\.example\.com/join/invitations/(\S+)", mail.text)
    assert found is not None
    return Secret(unquote(found[1]))


async def test_it_leads_to_the_invitation() -> None:
    """Below the public URL, with the token that accepts it."""
    async with opened(public_url="https://app.example.com/join/") as post:
        made = await post.book.create(INVITE)
        await post.semel.upkeep_once()
        (mail,) = post.mailer.taken
        assert (mail.to, mail.kind) == ("ada@gmail.com", "invitation")
        assert "See you" in mail.text
        assert (await post.book.open(token(mail))).id == made.invitation.id
        assert {one.state for one in await post.events()} == {EventState.DELIVERED}


async def test_one_whose_answer_was_lost_comes_again_as_the_same() -> None:
    """By its id a mail program can tell."""
    async with opened(public_url="https://app.example.com/join") as post:
        await post.book.create(INVITE)
        post.faults.next("send", Fault.LOSE)
        await post.semel.upkeep_once()
        post.clock.advance(10)
        await post.semel.upkeep_once()
        first, second = post.mailer.taken
        assert first.id == second.id


async def test_sent_again_the_older_mail_is_not_sent_any_more() -> None:
    """Its token would be dead; the newer one has a delivery of its own."""
    async with opened(public_url="https://app.example.com/join") as post:
        made = await post.book.create(INVITE)
        await post.book.resend(made.invitation.id)
        await post.semel.upkeep_once()
        (mail,) = post.mailer.taken
        assert (await post.book.open(token(mail))).sending == 2
        assert [one.state for one in await post.events()] == [EventState.DELIVERED] * 2


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_of_one_that_has_ended_no_mail_is_sent(end: str) -> None:
    """There is nothing to send any more, so its event is done."""
    async with opened(public_url="https://app.example.com/join") as post:
        made = await post.book.create(INVITE)
        if end == "revoked":
            await post.book.revoke(made.invitation.id)
        else:
            post.clock.advance(timedelta(days=7).total_seconds())
        await post.semel.upkeep_once()
        assert not post.mailer.taken
        assert {one.state for one in await post.events()} == {EventState.DELIVERED}


async def test_without_a_public_url_it_waits_and_says_so() -> None:
    """Where mails reach people; in development links lead to the server itself."""
    server: dict[str, Any] = {"smtp_url": "smtp://localhost", "mail_from": "noreply@example.com"}
    async with opened(**server) as post:
        await post.book.create(INVITE)
        await post.semel.upkeep_once()
        (event,) = await post.events()
        assert event.state is EventState.WAITING
        assert "SEMEL_PUBLIC_URL is missing" in (event.failure or "")
    async with opened(host="127.0.0.1", port=8123) as post:
        await post.book.create(INVITE)
        await post.semel.upkeep_once()
        assert "http://127.0.0.1:8123/invitations/" in post.mailer.taken[0].text


async def test_nothing_of_the_person_is_in_the_outbox() -> None:
    """Ids and times alone."""
    async with opened(public_url="https://app.example.com/join") as post:
        made = await post.book.create(INVITE)
        text = msgspec.json.encode(await post.semel.outbox()).decode()
        assert "ada" not in text
        assert made.token.reveal() not in text
