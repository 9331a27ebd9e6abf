"""What becomes of an invitation: pure functions from one state of it to the next (see ``InvitationState``)."""

from __future__ import annotations

from datetime import datetime, timedelta

from semel.errors import InvitationExpired, InvitationRevoked, InvitationUnknown, InvitationUsed, SemelError
from semel.model import Invitation
from semel.protocol.options import Options
from semel.states import InvitationState

__all__ = [
    "accepted",
    "can_be_accepted",
    "expired",
    "forgotten",
    "processing",
    "refusal",
    "reopened",
    "revoked",
]


def can_be_accepted(invitation: Invitation | None, now: datetime) -> bool:
    """Tell whether it is there, nobody has accepted it or does so now, and its time is not over."""
    return invitation is not None and invitation.state is InvitationState.PENDING and now < invitation.expires_at


def refusal(invitation: Invitation | None) -> SemelError:
    """Return why one that is not in flight cannot be accepted. One that is pending has had its time."""
    match invitation.state if invitation is not None else None:
        case None:
            return InvitationUnknown()
        case InvitationState.ACCEPTED:
            return InvitationUsed()
        case InvitationState.REVOKED:
            return InvitationRevoked()
        case _:
            return InvitationExpired()


def processing(invitation: Invitation, registration: str) -> Invitation:
    """Return it as a registration takes it. Upkeep looks at the registration, not at its time, from here on."""
    return invitation.but(state=InvitationState.PROCESSING, registration=registration, due_at=None)


def reopened(invitation: Invitation) -> Invitation:
    """Return it as the registration's failing commit leaves it: as good as before, until its time is over."""
    return invitation.but(state=InvitationState.PENDING, registration=None, due_at=invitation.expires_at)


def accepted(invitation: Invitation, account_id: str, now: datetime, options: Options) -> Invitation:
    """Return it as accepted for good."""
    return _ended(invitation, InvitationState.ACCEPTED, now, options).but(account_id=account_id)


def revoked(invitation: Invitation, now: datetime, options: Options) -> Invitation:
    """Return it as taken back for good."""
    return _ended(invitation, InvitationState.REVOKED, now, options)


def expired(invitation: Invitation, now: datetime, options: Options) -> Invitation:
    """Return it as over for good."""
    return _ended(invitation, InvitationState.EXPIRED, now, options)


def forgotten(invitation: Invitation) -> Invitation:
    """Return it without anything of the person: whoever accepted it has been erased."""
    return invitation.but(email=None, email_canonical=None, note=None)


def _ended(invitation: Invitation, state: InvitationState, now: datetime, options: Options) -> Invitation:
    return invitation.but(state=state, ended_at=now, due_at=now + timedelta(seconds=options.invitations_kept))
