"""Delivery runs beside all other upkeep: an endpoint that never answers holds nothing else up."""

from __future__ import annotations

import asyncio

from semel import Semel
from semel.invitations import Invite
from semel.states import EventState, InvitationState
from tests.couriers.receiver import Receiver, receiving
from tests.face.conftest import settings

PATIENCE = 60.0


async def test_an_endpoint_that_hangs_does_not_hold_up_other_duties() -> None:
    """While its request is under way an invitation ends by its time, which is upkeep's business."""
    receiver = Receiver(hangs=True)
    async with receiving(receiver):
        listening = settings(
            webhooks=f"slow=http://127.0.0.1:{receiver.port}/",
            webhook_secrets="slow=whsec_" + "c2xv" * 10,
            webhook_allow_private=True,
            webhook_timeout_seconds=600,
            upkeep=True,
            upkeep_interval_seconds=0.05,
        )
        async with Semel(listening) as semel, asyncio.timeout(PATIENCE):
            await semel.register(email="ada@gmail.com", password="correct horse battery")
            await receiver.came.wait()
            book = semel.parts.invitations
            made = await book.create(Invite(email="bob@gmail.com", invited_by="ada", seconds=0.01))
            while (await book.get(made.invitation.id)).state is not InvitationState.EXPIRED:  # noqa: ASYNC110 - a store tells nobody
                await asyncio.sleep(0.02)
            waiting = await semel.outbox(EventState.WAITING)
            assert {one.kind for one in waiting} >= {"account.created"}
