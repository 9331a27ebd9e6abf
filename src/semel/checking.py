"""What there is under an email, or of a registration, in the store and at the provider. Nothing is changed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from semel.errors import IdentityOutcome, ProviderUnavailable
from semel.model import Account, Identifier, Identity, Name, Registration
from semel.ports import Absent, Found, Ref, Unknown
from semel.protocol.commits import is_planted, sent_nothing
from semel.protocol.engine import Engine
from semel.states import IdentityState, RegistrationState

__all__ = ["Aftermath", "EmailCheck", "EmailState", "check_aftermath", "check_email"]


class EmailState(StrEnum):
    """What an email can come to; the two halves are the account and the identity."""

    COMPLETE = "complete"
    """An account owns it, and its identity is there."""
    OF_ANOTHER = "of_another"
    """No account owns it, and the identity that bears it at the provider is another account's."""
    NOTHING = "nothing"
    """Neither half is there: it is free."""
    IDENTITY_ONLY = "identity_only"
    """The provider has an identity that no account goes with: somebody else's, or one whose account is gone."""
    ACCOUNT_ONLY = "account_only"
    """An account owns it, and its identity is gone."""
    IN_FLIGHT = "in_flight"
    """A registration holds it."""
    REMOVAL_DUE = "removal_due"
    """The provider has an identity of a registration that failed; upkeep will delete it."""


_NEXT = {
    EmailState.COMPLETE: "Nothing to do.",
    EmailState.OF_ANOTHER: "At the identity provider somebody gave it to the identity of this account, which has "
    "another email. Set the email there back; then a sign-up will have this one.",
    EmailState.NOTHING: "Nothing to do: a sign-up will have it.",
    EmailState.IDENTITY_ONLY: "Who signs in with its password is given an account. If it is nobody's, delete it at the "
    "identity provider; then a sign-up will have the email.",
    EmailState.ACCOUNT_ONLY: "Nobody can sign in. Delete the account (`Semel.delete_account` of the library, or "
    "Supabase's API here); then a sign-up will have the email.",
    EmailState.IN_FLIGHT: "Wait: its request ends, or upkeep ends it. `semel registration show` says when.",
    EmailState.REMOVAL_DUE: "Wait for upkeep, or run `semel upkeep --once`. `semel removal list` says when it looks.",
}

_ANOTHER_EMAIL = (
    "The identity provider has another email for it, which signs in to this account. Set the email there back, or "
    "delete the account and let the person sign up anew."
)


class EmailCheck(msgspec.Struct, frozen=True):
    """What was found: the ids of what is there."""

    state: EmailState
    account_id: str | None = None
    identity_id: str | None = None
    registration: str | None = None
    another_email: bool = False
    """Whether the account's identity has another email at the provider, where somebody changed it."""

    @property
    def next(self) -> str:
        """What to do, for people."""
        astray = self.another_email and self.state is EmailState.COMPLETE
        return _ANOTHER_EMAIL if astray else _NEXT[self.state]


async def check_email(engine: Engine, name: Name) -> EmailCheck:
    """Look at both sides of an email, one after the other, so that what moves meanwhile may be seen halfway.

    Raises ``ProviderUnavailable`` or a ``StoreError``.
    """
    identifier = await engine.store.get(Identifier, name)
    if identifier is None:
        return await _unowned(engine, name)
    registration = identifier.registration
    if identifier.account_id is None:
        return EmailCheck(EmailState.IN_FLIGHT, registration=registration)
    account_id = identifier.account_id
    account, identity = await engine.store.get_many([Ref(Account, (account_id,)), Ref(Identity, (account_id,))])
    if account is None:  # it has just been deleted
        return await _unowned(engine, name)
    if engine.remote is None:
        return _owned(account_id, registration, there=identity is not None)
    found = _told(engine, await engine.remote.find(account_id))
    if isinstance(found, Absent):
        return _owned(account_id, registration, there=False)
    return _owned(account_id, registration, there=True, another_email=found.email != name.value)


def _owned(account_id: str, registration: str, *, there: bool, another_email: bool = False) -> EmailCheck:
    state = EmailState.COMPLETE if there else EmailState.ACCOUNT_ONLY
    return EmailCheck(state, account_id, account_id if there else None, registration, another_email)


async def _unowned(engine: Engine, name: Name) -> EmailCheck:
    """Say what an identity is that bears an email which no account owns. One that was planted is somebody's still."""
    found = Absent() if engine.remote is None else _told(engine, await engine.remote.find_by_email(name.value))
    if not isinstance(found, Found):
        return EmailCheck(EmailState.NOTHING)
    record = await engine.store.get(Identity, (found.identity_id,))
    if record is not None and record.state is IdentityState.CONDEMNED and not is_planted(record):
        return EmailCheck(EmailState.REMOVAL_DUE, identity_id=record.id)
    if record is not None and record.state is IdentityState.HELD:
        return EmailCheck(EmailState.IN_FLIGHT, identity_id=record.id, registration=record.registration)
    owner = await engine.store.get(Account, (found.identity_id,))
    if owner is not None:
        return EmailCheck(EmailState.OF_ANOTHER, owner.id, found.identity_id, owner.registration, another_email=True)
    return EmailCheck(EmailState.IDENTITY_ONLY, identity_id=found.identity_id)


def _told(engine: Engine, said: Found | Absent | Unknown) -> Found | Absent:
    if isinstance(said, Unknown):
        raise ProviderUnavailable(retry_after=said.retry_after or engine.options.provider_timeout)
    return said


class Aftermath(msgspec.Struct, frozen=True):
    """What became of the identity of a registration that failed, and when upkeep looks for it again."""

    identity: IdentityOutcome | None = None
    """``None`` where the registration has not failed, or surely nothing of its identity was ever sent to a provider."""
    next_look_at: datetime | None = None
    """``None`` once upkeep has no more to do."""
    look_until: datetime | None = None
    """Until when upkeep looks, in case a request of ours lands late."""


async def check_aftermath(engine: Engine, registration: Registration) -> Aftermath:
    """Look whether anything of a failed registration is left at the provider. One that is silent has it still.

    Raises a ``StoreError``.
    """
    if registration.state is not RegistrationState.FAILED or engine.remote is None or sent_nothing(registration):
        return Aftermath()
    record = await engine.store.get(Identity, (registration.account_id,))
    if record is None:
        return Aftermath(IdentityOutcome.REMOVED)
    gone = isinstance(await engine.remote.find(registration.account_id), Absent)
    outcome = IdentityOutcome.REMOVED if gone else IdentityOutcome.REMOVAL_DUE
    return Aftermath(outcome, record.due_at, record.look_until)
