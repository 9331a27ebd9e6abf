"""What each commit of the protocol writes: pure functions from records to writes.

Commit 1 opens a registration (``opening``), commit 2 completes it (``completion``); the embedded provider needs
but one (``whole``). ``failing`` releases everything a registration holds, ``account_end`` everything an account owns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from semel import canonical
from semel.errors import UserAlreadyExists
from semel.model import (
    Account,
    Identifier,
    Identity,
    Invitation,
    Invited,
    Link,
    Name,
    Profile,
    Record,
    Registration,
    Secret,
    SessionFamily,
)
from semel.ports import Delete, Found, Insert, Replace, Write
from semel.protocol import inviting, linking, telling
from semel.protocol.options import Options
from semel.states import DOORS_THAT_CONVERGE, Door, IdentityState, RegistrationState

__all__ = [
    "NOTHING",
    "Ask",
    "Held",
    "Owned",
    "Takes",
    "account_end",
    "account_of",
    "birth",
    "completion",
    "condemned",
    "failed",
    "failing",
    "fulfilled",
    "healing",
    "held_by",
    "is_planted",
    "leased",
    "left_alone",
    "opening",
    "ousting",
    "planted",
    "refused_after_doubt",
    "sent_nothing",
    "whole",
    "wished",
]


class Ask(msgspec.Struct, frozen=True):
    """One intent, canonicalised and checked, without its password: what a registration is made from."""

    registration: str
    """The registration's key."""
    keyed: bool
    door: Door
    fingerprint: str
    names: tuple[Name, ...]
    """The identifiers, the deciding one first."""
    proved: bool
    profile: Profile
    account_id: str | None = None
    """The id that the caller chose for the account; with the embedded provider only."""
    credential: Secret | None = None
    """A password hash that the caller brings in place of a password; likewise."""
    details: str | None = None
    """What the identity's record is to say beyond the account; likewise."""
    ban_seconds: float | None = None
    """For how long from its creation on nobody is let in; likewise."""
    strict: bool = False
    """Whether the same request without a key is another intent, never a double click."""
    invitation: str | None = None
    """The id of the invitation that is accepted; the caller has its token."""

    @property
    def email(self) -> str | None:
        """The canonical email, if there is one."""
        return next((name.value for name in self.names if name.kind == "email"), None)


class Held(msgspec.Struct, frozen=True):
    """A pending registration and what it still holds, each at the version known."""

    registration: Registration
    identity: Identity | None
    identifiers: tuple[Identifier, ...]
    invitation: Invitation | None = None

    @property
    def whole(self) -> bool:
        """Whether it holds all that it should; if not, somebody edited the tables, and it can only fail."""
        invited = self.registration.invitation is None or self.invitation is not None
        return invited and self.identity is not None and len(self.identifiers) == len(self.registration.identifiers)

    def at(self, version: int) -> Held:
        """Return the same as written by a commit with this token."""
        identity = self.identity.but(version=version) if self.identity else None
        identifiers = tuple(one.but(version=version) for one in self.identifiers)
        invitation = self.invitation.but(version=version) if self.invitation else None
        return Held(self.registration.but(version=version), identity, identifiers, invitation)


class Owned(msgspec.Struct, frozen=True):
    """An account and all that it owns."""

    account: Account
    identity: Identity | None
    """``None`` where somebody has taken its record away."""
    identifiers: tuple[Identifier, ...]
    sessions: tuple[SessionFamily, ...]
    registration: Registration | None
    links: tuple[Link, ...] = ()
    invitation: Invitation | None = None
    """The one that was accepted for it."""
    invited: Invited | None = None
    """What says that its email has that invitation."""


class Takes(msgspec.Struct, frozen=True):
    """What a registration takes that is not simply free, each at the version read."""

    invitation: Invitation | None = None
    """The pending invitation that it accepts."""
    ousted: Owned | None = None
    """The account that has the proved identifier without ever having proved it: proof beats possession."""
    stays: bool = False
    """Whether that one's row must stay, since the application's own rows refer to it."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions read, of all that is written over: what tells two of these apart."""
        ousted = self.ousted
        read = (self.invitation, *((ousted.account, ousted.identity, ousted.registration) if ousted else ()))
        # An explorer's tokens are the same in two schedules, where the times of what they wrote are not.
        born = (ousted.account.created_at.isoformat(),) if ousted else ()
        versions = (str(one.version) for one in read if one is not None)
        return (*versions, *born, *(("stays",) if self.stays else ()))


NOTHING: Final = Takes()
"""All that a registration wants is free."""


def leased(registration: Registration, worker: str, now: datetime, seconds: float, options: Options) -> Registration:
    """Return the registration with a lease of so many seconds.

    It is due once the lease is over by every clock: two servers may each be off by the skew, in opposite directions.
    """
    until = now + timedelta(seconds=seconds)
    return registration.but(owner=worker, lease_until=until, due_at=until + timedelta(seconds=options.grace))


def left_alone(registration: Registration, now: datetime, seconds: float) -> Registration:
    """Return the registration as its worker leaves it: for so long nobody takes it up, as a request may still land."""
    over = now + timedelta(seconds=seconds)
    return registration.but(lease_until=over, due_at=over)


def _attempt(ask: Ask, account_id: str, now: datetime, state: RegistrationState) -> Registration:
    return Registration(
        id=ask.registration,
        state=state,
        door=ask.door,
        keyed=ask.keyed,
        account_id=account_id,
        fingerprint=ask.fingerprint,
        created_at=now,
        proved=ask.proved,
        invitation=ask.invitation,
    )


def _claim(ask: Ask, account_id: str, owner: str | None, ousted: Owned | None) -> tuple[Identifier, ...]:
    """Return the identifiers as the attempt has them: at the version read where the ousted account has them now."""
    theirs = {one.name: one.version for one in ousted.identifiers} if ousted is not None else {}
    return tuple(
        Identifier(
            kind=name.kind,
            value=name.value,
            account_id=owner,
            attempt_id=account_id,
            registration=ask.registration,
            proved=ask.proved and name == ask.names[0],
            canonical_version=canonical.VERSION,
            version=theirs.get(name, 0),
        )
        for name in ask.names
    )


def healing(identity_id: str) -> str:
    """Return the id of the registration by which an identity of somebody else's making is given its account."""
    return f"heal/{identity_id}"


def held_by(  # noqa: PLR0913, PLR0917 - plain values; a record of them would be used here alone
    ask: Ask, account_id: str, worker: str, now: datetime, options: Options, takes: Takes = NOTHING
) -> Held:
    """Return what commit 1 puts there: the pending registration under a lease, and what it holds."""
    pending = _attempt(ask, account_id, now, RegistrationState.PENDING).but(identifiers=ask.names, profile=ask.profile)
    identity = Identity(id=account_id, state=IdentityState.HELD, registration=ask.registration)
    held = _claim(ask, account_id, None, takes.ousted)
    invitation = takes.invitation and inviting.processing(takes.invitation, ask.registration)
    return Held(leased(pending, worker, now, options.lease, options), identity, held, invitation)


def _put_registration(registration: Registration, before: Registration | None) -> Write:
    """Insert it, or put it in the place of the failed attempt that was read."""
    return Insert(registration) if before is None else Replace(registration.but(version=before.version))


def opening(held: Held, before: Registration | None, ousting: Sequence[Write] = ()) -> list[Write]:
    """Commit 1. ``before`` is the failed attempt under the same key that was read, if any.

    ``ousting`` ends the account that had an identifier which is held now.
    """
    writes = [_put_registration(held.registration, before), *map(_put, held.identifiers), *ousting]
    if held.identity is not None:
        writes.append(Insert(held.identity))
    if held.invitation is not None:
        writes.append(Replace(held.invitation))
    return writes


def _put(record: Record) -> Write:
    """Write over the record that was read; insert one that was never stored."""
    return Replace(record) if record.version else Insert(record)


def account_of(
    registration: Registration, names: Sequence[Name], profile: Profile, now: datetime, options: Options
) -> Account:
    """Return the account that a registration makes, with the link that proves its email, where that is awaited.

    Who proved who it is at a door that converges has signed in by it, when the attempt began.
    """
    values = dict(names)
    signed_in = registration.proved and registration.door in DOORS_THAT_CONVERGE
    account = Account(
        id=registration.account_id,
        email=profile.email,
        email_canonical=values.get("email"),
        username=profile.username,
        username_canonical=values.get("username"),
        full_name=profile.full_name,
        role=profile.role,
        roles=profile.roles,
        is_active=not profile.inactive,
        attributes=profile.attributes,
        created_at=now,
        updated_at=now,
        last_sign_in_at=registration.created_at if signed_in else None,
        identifiers=tuple(names),
        registration=registration.id,
        email_verified_at=now if registration.proved and names[0].kind == "email" else None,
    )
    sets_password = profile.sets_password
    return linking.with_first_link(account, registration.door, sets_password=sets_password, proving=options.proving)


def birth(account: Account, options: Options) -> list[Write]:
    """Return the writes that make an account, whichever door makes it."""
    writes: list[Write] = [Insert(account), telling.event("account.created", account, account.created_at, options)]
    link = linking.first_link(account, options.proving) if options.proving is not None else None
    if link is not None:
        writes += [Insert(link), telling.link_mail(link, link.created_at, options)]
    return writes


def _completed(registration: Registration, now: datetime, options: Options) -> Registration:
    return registration.but(
        state=RegistrationState.COMPLETED,
        completed_at=now,
        owner=None,
        lease_until=None,
        identifiers=(),
        profile=None,
        due_at=now + timedelta(seconds=options.completed_kept),
    )


def whole(  # noqa: PLR0913, PLR0917 - plain values; a record of them would be used here alone
    ask: Ask,
    identity: Identity,
    before: Registration | None,
    now: datetime,
    options: Options,
    takes: Takes = NOTHING,
) -> tuple[Account, list[Write]]:
    """The only commit of the embedded provider: the account, and everything at once.

    ``identity`` has its credential.
    """
    attempt = _attempt(ask, identity.id, now, RegistrationState.PENDING)
    account = account_of(attempt, ask.names, ask.profile, now, options)
    if ask.ban_seconds is not None:
        account = account.but(banned_until=now + timedelta(seconds=ask.ban_seconds))
    registration = _completed(attempt, now, options)
    owned = _claim(ask, identity.id, identity.id, takes.ousted)
    writes = [
        _put_registration(registration, before),
        *map(_put, owned),
        Insert(identity.but(state=IdentityState.OWNED)),
    ]
    writes += ousting(ask, takes, now, options, embedded=True)
    if takes.invitation is not None:
        writes += _accepting(inviting.processing(takes.invitation, ask.registration), account, options)
    return account, writes + birth(account, options)


def ousting(ask: Ask, takes: Takes, now: datetime, options: Options, *, embedded: bool = False) -> list[Write]:
    """Return the writes that end the account whose identifier the registration takes, but for what it takes."""
    if takes.ousted is None:
        return []
    return account_end(takes.ousted, now, options, embedded=embedded, taken=ask.names, stays=takes.stays)


def _accepting(invitation: Invitation, account: Account, options: Options) -> list[Write]:
    """Return the writes that say whose the invitation became."""
    accepted = inviting.accepted(invitation, account.id, account.created_at, options)
    told = telling.happened("invitation.accepted", account.id, account.created_at, options, invitation.id)
    return [Replace(accepted), told]


def completion(held: Held, provider_id: str | None, now: datetime, options: Options) -> tuple[Account, list[Write]]:
    """Commit 2: the account, and everything held becomes owned. ``held`` is whole."""
    registration = held.registration
    profile = registration.profile or Profile()
    account = account_of(registration, registration.identifiers, profile, now, options)
    writes: list[Write] = [Replace(_completed(registration, now, options))]
    if held.identity is not None:
        owned = held.identity.but(state=IdentityState.OWNED, registration=None, provider_id=provider_id)
        writes.append(Replace(wished(owned, now, options, disabled=True) if profile.inactive else owned))
    writes += [Replace(identifier.but(account_id=account.id)) for identifier in held.identifiers]
    if held.invitation is not None:
        writes += _accepting(held.invitation, account, options)
    return account, writes + birth(account, options)


def failed(registration: Registration, failure: str, now: datetime, options: Options) -> Registration:
    """Return the registration as failed: it holds nothing and keeps no personal value."""
    return registration.but(
        state=RegistrationState.FAILED,
        failure=failure,
        owner=None,
        lease_until=None,
        identifiers=(),
        profile=None,
        due_at=now + timedelta(seconds=options.failed_kept),
    )


def wished(  # noqa: PLR0913 - plain values, each a wish
    identity: Identity,
    now: datetime,
    options: Options,
    *,
    email: str | None = None,
    confirmed: bool | None = None,
    disabled: bool | None = None,
) -> Identity:
    """Return the identity with what a remote provider must come to say of it, due at once; ``None`` leaves as it is.

    Upkeep repeats it until no request of before, which may say otherwise, can still land.
    """
    wants = {"wanted_email": email, "wanted_confirmed": confirmed, "wanted_disabled": disabled}
    until = now + timedelta(seconds=options.removal_horizon)
    given = {name: value for name, value in wants.items() if value is not None}
    return identity.but(**given, wanted_until=until, due_at=now, tries=0)


def fulfilled(identity: Identity) -> Identity:
    """Return the identity with nothing wished."""
    nothing = identity.but(wanted_email=None, wanted_disabled=None, wanted_confirmed=None, wanted_until=None)
    return nothing.but(due_at=None, tries=0)


def condemned(identity: Identity, now: datetime, options: Options) -> Identity:
    """Return the identity as a removal, due at once; what was wished of it is over."""
    horizon = now + timedelta(seconds=options.removal_horizon)
    state = IdentityState.CONDEMNED
    removal = fulfilled(identity).but(state=state, registration=None)
    return removal.but(due_at=now, condemned_at=now, look_until=horizon)


def planted(found: Found, registration: str, now: datetime, options: Options) -> Identity:
    """Return the removal of an identity that is none of ours: its record is inserted, so that nobody adopts it."""
    fresh = Identity(id=found.identity_id, state=IdentityState.CONDEMNED, provider_id=found.provider_id)
    return condemned(fresh, now, options).but(registration=registration)


def is_planted(identity: Identity) -> bool:
    """Tell whether a removal is of an identity that is none of ours. Only who has proved its email may delete it."""
    return identity.state is IdentityState.CONDEMNED and identity.registration is not None


def watched_on(identity: Identity, now: datetime, options: Options) -> Identity:
    """Return the removal as it must stand before its identity is deleted at the provider.

    Somebody may have signed in with that identity a moment ago, and give it an account as soon as its record is gone.
    So the record stays for a whole horizon from here, and, being another version, no look of before can forget it.
    """
    horizon = now + timedelta(seconds=options.removal_horizon)
    return identity.but(look_until=max(identity.look_until or horizon, horizon))


def failing(held: Held, failure: str, now: datetime, options: Options) -> list[Write]:
    """The failing commit. The identity is condemned: a create was sent, or may have been."""
    registration = failed(held.registration, failure, now, options)
    writes: list[Write] = [Replace(registration), *(Delete(identifier) for identifier in held.identifiers)]
    if held.identity is not None:
        writes.append(Replace(condemned(held.identity, now, options)))
    if held.invitation is not None:
        writes.append(Replace(inviting.reopened(held.invitation)))
    return writes


def refused_after_doubt(  # noqa: PLR0913, PLR0917 - plain values; a record of them would be used here alone
    ask: Ask, account_id: str, before: Registration | None, failure: str, now: datetime, options: Options
) -> Write:
    """Return the write that fences a commit of ours which may still land: it moves the record which that one needs."""
    fence = failed(_attempt(ask, account_id, now, RegistrationState.PENDING), failure, now, options)
    return _put_registration(fence, before)


def sent_nothing(failed: Registration) -> bool:
    """Tell whether a failed registration was refused by its first commit, so that no identity of it was ever sent.

    With a remote provider that commit is refused for a taken identifier alone, and no later step is.
    """
    return failed.failure == UserAlreadyExists.code


def account_end(  # noqa: PLR0913 - plain values; a record of them would be used here alone
    owned: Owned,
    now: datetime,
    options: Options,
    *,
    embedded: bool,
    taken: Collection[Name] = (),
    stays: bool = False,
) -> list[Write]:
    """The commit that ends an account: all that it owns goes with it, and its key answers 410 from now on.

    ``taken`` are identifiers that the same commit gives to somebody else. ``stays``: the account's row is left,
    switched off and with no name to it, because the application's own rows refer to it.
    """
    account = owned.account
    released = [one for one in owned.identifiers if one.name not in taken]
    writes: list[Write] = [Delete(record) for record in (*released, *owned.sessions, *owned.links)]
    if owned.invitation is not None:
        writes.append(Replace(inviting.forgotten(owned.invitation)))
    if owned.invited is not None:
        writes.append(Delete(owned.invited))
    writes += _identity_end(owned, now, options, embedded=embedded, stays=stays)
    if stays:
        writes += [Replace(_nameless(account, now)), telling.event("account.updated", account, now, options)]
    else:
        writes += [Delete(account), telling.event("account.deleted", account, now, options)]
    if owned.registration is not None:
        kept = now + timedelta(seconds=options.completed_kept)
        writes.append(Replace(owned.registration.but(state=RegistrationState.WITHDRAWN, due_at=kept)))
    return writes


def _identity_end(owned: Owned, now: datetime, options: Options, *, embedded: bool, stays: bool) -> list[Write]:
    """Return what becomes of the identity of an account that ends; where the row stays, nobody signs in with it."""
    if not embedded:
        identity = owned.identity or Identity(id=owned.account.id, state=IdentityState.OWNED)
        return [_put(condemned(identity, now, options))]
    if owned.identity is None:
        return []
    return [Replace(owned.identity.but(credential=None, details=None)) if stays else Delete(owned.identity)]


def _nameless(account: Account, now: datetime) -> Account:
    """Return what stays of an account that has ended."""
    gone = account.but(email=None, email_canonical=None, pending_email=None, username=None, username_canonical=None)
    switched_off = gone.but(is_active=False, epoch=account.epoch + 1, updated_at=now, due_at=None)
    return switched_off.but(full_name=None, attributes="{}", identifiers=(), sessions=(), links=())
