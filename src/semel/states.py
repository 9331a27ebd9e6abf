"""The states of the durable records and the allowed transitions between them. Pure values; every write obeys them.

Each state says how a record gets in, who takes it out, what a crash leaves and how long it is kept.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "DOORS_THAT_CONVERGE",
    "DOORS_THAT_OUST",
    "TRANSITIONS",
    "Door",
    "EventState",
    "IdentityState",
    "InvitationState",
    "LinkPurpose",
    "RegistrationState",
    "allowed",
]


class RegistrationState(StrEnum):
    """Where one intent to create an account stands."""

    PENDING = "pending"
    """In by commit 1, or by a lease that is taken over.

    Out by commit 2, by a final refusal, or by rescue. A crash leaves held identifiers and a held identity; rescue, the
    same caller's retry or the next newcomer ends it. Kept until then.
    """

    COMPLETED = "completed"
    """In by commit 2 (with the embedded provider by the only commit). Out by the account's end, or by retention after
    ``completed_kept`` (30 days). Until then its key gives the same answer again."""

    WITHDRAWN = "withdrawn"
    """In by the commit that ends the account. Out by retention, as for completed; until then its key answers 410."""

    FAILED = "failed"
    """In by the failing commit, or by a refusal that is answered after a doubt.

    Holds nothing. Out by the same key again (a new attempt with a new id), or by retention after ``failed_kept`` (7
    days).
    """


class IdentityState(StrEnum):
    """The fate of one identity; there is one record for each identity id that was ever meant to exist."""

    HELD = "held"
    """In by commit 1.

    A create may have been sent. Out by commit 2, by the failing commit, or deleted with it where no create can have
    been sent.
    """

    OWNED = "owned"
    """In by commit 2, by the only commit of the embedded provider, or by self-heal at sign-in.

    Out by the account's end.
    """

    CONDEMNED = "condemned"
    """A removal: the identity must not exist at the provider.

    In by the failing commit or the account's end; for an identity of somebody else's that was planted under an email,
    by whoever has proved that email, and deleted by nobody else. Upkeep deletes what was ours, looks again until no
    request of ours can still land, and only then forgets the record.
    """


class InvitationState(StrEnum):
    """Where an invitation stands."""

    PENDING = "pending"
    """In by being made, or by the failing commit of a registration that was to accept it.

    Can be accepted, revoked, sent again. Out by each of these, and by its time. Kept until then.
    """

    PROCESSING = "processing"
    """In by commit 1 of the registration that accepts it. Out by that one's commit 2, or by its failing commit; a crash
    leaves both to rescue."""

    ACCEPTED = "accepted"
    """In by commit 2, or by somebody who has an account and is signed in. For good; kept for ``invitations_kept``."""

    EXPIRED = "expired"
    """In by upkeep, or by whoever tries to accept it, once its time is over. For good; kept as accepted."""

    REVOKED = "revoked"
    """In by an administrator while pending. For good; kept as accepted."""


class EventState(StrEnum):
    """Where an event of the outbox stands."""

    WAITING = "waiting"
    """In by the commit that it tells of, or by a replay. Its next attempt is due at ``due_at``; a worker that takes it
    moves that ahead first, so that nobody else does. Out by the last endpoint that takes it, or by the last attempt;
    what a crash leaves is due again once the worker's lease is over."""

    DELIVERED = "delivered"
    """In by the last endpoint that takes it, or at once where there is none. Out by retention."""

    DEAD = "dead"
    """In by the last attempt that failed, or a refusal for good. Out by a replay, or by retention."""


class LinkPurpose(StrEnum):
    """What opening a link does."""

    VERIFY = "verify"
    """Proves the email of a new account."""
    RECOVER = "recover"
    """Sets a new password, and proves the email with it."""
    SET_PASSWORD = "set_password"  # noqa: S105 - a purpose
    """Sets the first password of an account that an administrator made, and proves the email with it."""
    CHANGE_EMAIL = "change_email"
    """Gives the account the email that the link was sent to."""


class Door(StrEnum):
    """A way in. It decides what a taken identifier means: refuse, or converge on the owner."""

    SIGNUP = "signup"
    ADMIN = "admin"
    INVITATION = "invitation"
    """The invitation's token proves the email."""
    FEDERATED = "federated"
    SIGN_IN = "sign_in"
    """Self-heal: an identity of the provider that signs in and has no account yet."""


DOORS_THAT_CONVERGE: Final = frozenset({Door.FEDERATED})
"""Doors at which the owner of a proved deciding identifier is the answer, not a conflict."""

DOORS_THAT_OUST: Final = frozenset({Door.SIGNUP, Door.INVITATION})
"""Doors at which who proves the deciding identifier takes it from an account that never proved it."""

_R, _I, _V, _E = RegistrationState, IdentityState, InvitationState, EventState

TRANSITIONS: Final[dict[type[StrEnum], frozenset[tuple[StrEnum | None, StrEnum | None]]]] = {
    RegistrationState: frozenset(
        {
            (None, _R.PENDING),
            (None, _R.COMPLETED),
            (None, _R.FAILED),
            (_R.PENDING, _R.PENDING),
            (_R.PENDING, _R.COMPLETED),
            (_R.PENDING, _R.FAILED),
            (_R.FAILED, _R.PENDING),
            (_R.FAILED, _R.COMPLETED),
            (_R.FAILED, _R.FAILED),
            (_R.COMPLETED, _R.WITHDRAWN),
            (_R.COMPLETED, None),
            (_R.FAILED, None),
            (_R.WITHDRAWN, None),
        }
    ),
    IdentityState: frozenset(
        {
            (None, _I.HELD),
            (None, _I.OWNED),
            (None, _I.CONDEMNED),
            (_I.HELD, _I.OWNED),
            (_I.HELD, _I.CONDEMNED),
            (_I.HELD, None),
            (_I.OWNED, _I.OWNED),
            (_I.OWNED, _I.CONDEMNED),
            (_I.OWNED, None),
            (_I.CONDEMNED, _I.CONDEMNED),
            (_I.CONDEMNED, None),
        }
    ),
    InvitationState: frozenset(
        {
            (None, _V.PENDING),
            (_V.PENDING, _V.PENDING),
            (_V.PENDING, _V.PROCESSING),
            (_V.PENDING, _V.ACCEPTED),
            (_V.PENDING, _V.EXPIRED),
            (_V.PENDING, _V.REVOKED),
            (_V.PROCESSING, _V.PENDING),
            (_V.PROCESSING, _V.ACCEPTED),
            (_V.ACCEPTED, _V.ACCEPTED),
            (_V.ACCEPTED, None),
            (_V.EXPIRED, None),
            (_V.REVOKED, None),
        }
    ),
    EventState: frozenset(
        {
            (None, _E.WAITING),
            (None, _E.DELIVERED),
            (_E.WAITING, _E.WAITING),
            (_E.WAITING, _E.DELIVERED),
            (_E.WAITING, _E.DEAD),
            (_E.DEAD, _E.WAITING),
            (_E.DELIVERED, None),
            (_E.DEAD, None),
        }
    ),
}
"""Allowed steps; ``None`` stands for absent."""


def allowed(before: StrEnum | None, after: StrEnum | None) -> bool:
    """Tell whether a record may go from one state to the other; both of one kind, ``None`` for absent."""
    kind = type(before) if before is not None else type(after)
    return (before, after) in TRANSITIONS.get(kind, frozenset())  # type: ignore[arg-type]
