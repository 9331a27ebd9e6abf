"""Links in mails: how they are made, and for how long they are good. Pure functions."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta
from typing import Final

import msgspec
from typing_extensions import override

from semel.errors import ConfigurationInvalid
from semel.mail_tokens import hash_of, made_of, token_of
from semel.model import Account, Link, Secret
from semel.states import Door, LinkPurpose

__all__ = ["AWAITED_AT", "Proving", "first_link", "link_for", "with_first_link"]

_DAY: Final = 86_400.0

AWAITED_AT: Final = frozenset({Door.SIGNUP, Door.SIGN_IN})
"""The doors whose accounts await the proof of their email, where that is required: anybody may say any email there."""


class Proving(msgspec.Struct, frozen=True, kw_only=True):
    """How emails are proved. Shows nothing of its key. Raises ``ConfigurationInvalid``."""

    key: bytes = b""
    """Makes the tokens of links, and what tells the session that signed up."""
    required: bool = False
    """Whether who signs up proves the email before the first sign-in."""
    unproved_kept: float = 7 * _DAY
    """How many seconds an account is kept whose email nobody proves, where that is required."""
    proof_lifetime: float = _DAY
    """For how many seconds a link is good that proves the email of a new account, or one that an account is to have."""
    recovery_lifetime: float = 3600.0
    """Likewise, one that leads to a new password."""
    set_password_lifetime: float = 7 * _DAY
    """Likewise, one that leads to the first password of an account that an administrator made."""

    def __post_init__(self) -> None:
        """Check what belongs together."""
        if min(self.proof_lifetime, self.recovery_lifetime, self.set_password_lifetime) <= 0:
            raise ConfigurationInvalid("proof_lifetime, recovery_lifetime and set_password_lifetime must be above 0")
        if self.unproved_kept < self.proof_lifetime:
            raise ConfigurationInvalid("unproved_kept must be at least proof_lifetime")

    def lifetime(self, purpose: LinkPurpose) -> float:
        """Return for how many seconds a link is good."""
        match purpose:
            case LinkPurpose.RECOVER:
                return self.recovery_lifetime
            case LinkPurpose.SET_PASSWORD:
                return self.set_password_lifetime
            case _:
                return self.proof_lifetime

    def token(self, link_id: str) -> Secret:
        """Return the token of a link."""
        return token_of(self.key, link_id, f"link/{link_id}")

    def sign_up_token(self, registration: str) -> str:
        """Return what the session that signed up is given, and shows again when it opens the link."""
        return made_of(self.key, f"sign-up/{registration}")

    @override
    def __repr__(self) -> str:
        """Show that there is a key, and nothing of it."""
        return f"Proving(required={self.required}, …)"


def link_for(  # noqa: PLR0913, PLR0917 - plain values; a record of them is the link itself
    account: Account, purpose: LinkPurpose, link_id: str, email: tuple[str, str], now: datetime, proving: Proving
) -> Link:
    """Return a link; ``email`` is the one that it proves, canonical and as shown."""
    ends = now + timedelta(seconds=proving.lifetime(purpose))
    canonical, shown = email
    return Link(
        id=link_id,
        purpose=purpose,
        account_id=account.id,
        epoch=account.epoch,
        token_hash=hash_of(proving.token(link_id)),
        email=canonical,
        shown=shown,
        created_at=now,
        expires_at=ends,
        due_at=ends,
    )


def with_first_link(account: Account, door: Door, *, sets_password: bool, proving: Proving | None) -> Account:
    """Return a new account with the link that its commit makes: for the first proof, or for the first password."""
    unproved = account.email is not None and account.email_verified_at is None
    if proving is None or not unproved:
        return account
    if proving.required and door in AWAITED_AT:
        over = account.created_at + timedelta(seconds=proving.unproved_kept)
        return account.but(due_at=over, links=(_first_id(account, LinkPurpose.VERIFY),))
    return account.but(links=(_first_id(account, LinkPurpose.SET_PASSWORD),)) if sets_password else account


def first_link(account: Account, proving: Proving) -> Link | None:
    """Return the link that a new account lists, if it lists one."""
    if not account.links:
        return None
    purpose = LinkPurpose.VERIFY if account.awaits_proof else LinkPurpose.SET_PASSWORD
    email = (account.email_canonical or "", account.email or "")
    return link_for(account, purpose, account.links[0], email, account.created_at, proving)


def _first_id(account: Account, purpose: LinkPurpose) -> str:
    """Return the id of an account's first link: the same whoever makes commit 2, and another in another life."""
    said = f"{account.id}/{purpose}/{account.registration}/{account.created_at.isoformat()}"
    return str(uuid.UUID(bytes=hashlib.sha256(said.encode()).digest()[:16], version=5))
