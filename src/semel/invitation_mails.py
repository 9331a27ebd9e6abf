"""The mail with which somebody is invited, written from the invitation as it stands when it is sent."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from semel.errors import ConfigurationInvalid
from semel.invitations import InvitationBook
from semel.mail import Mail, MailKind
from semel.mails import About, Templates
from semel.model import Account, Invitation, OutboxEvent
from semel.protocol.engine import Engine
from semel.protocol.telling import invitation_mail
from semel.states import InvitationState

__all__ = ["InvitationMails"]

_OPEN: Final = frozenset({InvitationState.PENDING, InvitationState.PROCESSING})


class InvitationMails:
    """Writes ``mail.invitation`` (``couriers.mails.MailWriter``). ``leads_to`` is what its link begins with."""

    def __init__(self, engine: Engine, book: InvitationBook, templates: Templates, leads_to: str | None) -> None:
        self._engine = engine
        self._book = book
        self._templates = templates
        self._leads_to = leads_to

    async def mail_for(self, event: OutboxEvent) -> Mail | None:
        """Return the mail; ``None`` where the invitation has ended, or was sent again since.

        While somebody accepts it, it may become free again. Raises ``ConfigurationInvalid`` or a ``StoreError``.
        """
        store = self._engine.store
        invitation = await store.get(Invitation, (event.subject or "",))
        if invitation is None or invitation.email is None or not self._wanted(invitation, event):
            return None
        if self._leads_to is None:
            raise ConfigurationInvalid("SEMEL_PUBLIC_URL is missing: links in mails must lead somewhere")
        inviter = await store.get(Account, (invitation.invited_by,))
        about = About(
            link=f"{self._leads_to}/invitations/{quote(self._book.token_of(invitation).reveal(), safe='')}",
            expires_at=invitation.expires_at,
            inviter=inviter.full_name if inviter is not None else None,
            note=invitation.note,
        )
        said = self._templates.render(MailKind.INVITATION, about)
        return Mail(
            id=event.delivery_id,
            kind=MailKind.INVITATION,
            to=invitation.email,
            subject=said.subject,
            text=said.text,
            html=said.html,
        )

    def _wanted(self, invitation: Invitation, event: OutboxEvent) -> bool:
        now = self._engine.clock.now()
        open_still = invitation.state in _OPEN and now < invitation.expires_at
        return open_still and event.id == invitation_mail(invitation, now, self._engine.options).record.key[0]
