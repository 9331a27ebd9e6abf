"""What the outbox is told: its records, each written by the commit that it tells of. Pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from semel.mail import MailKind
from semel.model import Account, Invitation, Link, OutboxEvent
from semel.ports import Insert
from semel.protocol.options import Options
from semel.states import EventState, LinkPurpose

__all__ = [
    "INVITATION_MAIL",
    "LINK_MAILS",
    "event",
    "former_mail",
    "happened",
    "invitation_mail",
    "life",
    "link_mail",
    "mail_of",
    "person_mail",
    "updated",
]


def mail_of(kind: MailKind) -> str:
    """Return the kind of event that is a mail of this kind."""
    return f"mail.{kind}"


INVITATION_MAIL: Final = mail_of(MailKind.INVITATION)
"""The kind of event that is the mail with an invitation's token."""

LINK_MAILS: Final = {
    LinkPurpose.VERIFY: MailKind.VERIFY_EMAIL,
    LinkPurpose.RECOVER: MailKind.RECOVER,
    LinkPurpose.SET_PASSWORD: MailKind.SET_PASSWORD,
    LinkPurpose.CHANGE_EMAIL: MailKind.CHANGE_EMAIL,
}
"""The mail that carries a link, by what the link is for."""


def life(account: Account) -> str:
    """Return what tells an account from another of the same id: one that was freed may be chosen again."""
    return f"{account.registration}/{account.created_at:%Y%m%dT%H%M%S.%f}"


def event(kind: str, account: Account, now: datetime, options: Options) -> Insert:
    """Return the outbox's record of what happens once in an account's life: its id makes a second one impossible."""
    name = f"{account.id}/{kind}/{life(account)}"
    return _told(OutboxEvent(id=name, kind=kind, account_id=account.id, created_at=now), options)


def happened(kind: str, account_id: str, now: datetime, options: Options, subject: str) -> Insert:
    """Return the outbox's record of what happens once to a subject that is no account."""
    name = f"{subject}/{kind}"
    return _told(OutboxEvent(id=name, kind=kind, account_id=account_id, created_at=now, subject=subject), options)


def updated(account_id: str, event_id: str, now: datetime, options: Options) -> Insert:
    """Return the outbox's record of a change of an account, under an id that was drawn: it has several in its life."""
    return _told(OutboxEvent(id=event_id, kind="account.updated", account_id=account_id, created_at=now), options)


def invitation_mail(invitation: Invitation, now: datetime, options: Options) -> Insert:
    """Return the outbox's record of the mail with an invitation's token: one for each sending of it."""
    name = f"{invitation.id}/{INVITATION_MAIL}/{invitation.sending}"
    return _told(
        OutboxEvent(id=name, kind=INVITATION_MAIL, account_id="", created_at=now, subject=invitation.id), options
    )


def link_mail(link: Link, now: datetime, options: Options) -> Insert:
    """Return the outbox's record of the mail with a link: one for each link."""
    return _of_a_link(LINK_MAILS[link.purpose], link, now, options)


def former_mail(link: Link, now: datetime, options: Options) -> Insert:
    """Return the outbox's record of the mail to the email that an account had until this link was opened."""
    return _of_a_link(MailKind.EMAIL_CHANGED, link, now, options)


def _of_a_link(kind: MailKind, link: Link, now: datetime, options: Options) -> Insert:
    name = mail_of(kind)
    told = OutboxEvent(id=f"{link.id}/{name}", kind=name, account_id=link.account_id, created_at=now, subject=link.id)
    return _told(told, options)


def person_mail(kind: MailKind, account_id: str, event_id: str, now: datetime, options: Options) -> Insert:
    """Return the outbox's record of a mail to an account's own email, without a link."""
    return _told(OutboxEvent(id=event_id, kind=mail_of(kind), account_id=account_id, created_at=now), options)


def _told(event: OutboxEvent, options: Options) -> Insert:
    """Return the event as its commit writes it: to be delivered at once, or only to be kept, if nobody listens."""
    if options.endpoints or event.is_mail:
        return Insert(event.but(state=EventState.WAITING, due_at=event.created_at))
    return Insert(event.but(due_at=event.created_at + timedelta(seconds=options.events_kept)))
