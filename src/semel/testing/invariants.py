"""The invariants of ``docs/guarantees.md``, asserted on a neutral snapshot: one checker for all kinds of tests.

``at_rest`` judges what is left when nothing is in flight and upkeep has nothing to do. ``on_commit`` and ``on_delete``
judge single effects, where somebody watches them. Each returns sentences, of which the first word names the invariant.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from semel.model import (
    RECORD_TYPES,
    Account,
    Identifier,
    Identity,
    Invitation,
    Invited,
    Link,
    Name,
    OutboxEvent,
    Record,
    Registration,
    SessionFamily,
)
from semel.ports import Found, Store
from semel.protocol.telling import life
from semel.states import EventState, IdentityState, InvitationState, RegistrationState, allowed
from semel.stores.memory import Table

__all__ = ["Snapshot", "Told", "at_rest", "on_commit", "on_delete", "records_of"]

R = TypeVar("R", bound=Record)

_PAGE = 500
_STATEFUL = Registration | Identity | Invitation | OutboxEvent
_OPEN = frozenset({None, "outcome_unknown", "registration_in_flight", "idempotency_key_reused"})
"""Codes that do not say that there is no account: the caller is to come back, or another one's password made it."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller was told of its registration."""

    who: str
    """For people."""
    registration: str | None = None
    """The id of the registration, where the caller gave an idempotency key."""
    account_id: str | None = None
    """The account of a success."""
    code: str | None = None
    """The error's code of a refusal."""
    asked: tuple[Name, ...] = ()
    """The identifiers that the caller asked for."""
    converges: bool = False
    """Whether its door gives the owner of a proved identifier as the answer, and it proved the deciding one."""
    opens: bool | None = None
    """Whether, at rest, the password of the success signs in to its account; ``None`` where nobody tried."""
    drew: frozenset[str] = frozenset()
    """The ids that its worker drew, where they are known: an account with one of them is its work."""
    proved: bool = False
    """Whether it proved the email that it asked for."""
    link: str | None = None
    """The id of the link that it opened, where it opened one."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A store and a provider while nobody works on them."""

    records: tuple[Record, ...]
    identities: tuple[Found, ...] | None = None
    """What the provider has; ``None`` where identities are in the store."""
    foreign: frozenset[str] = frozenset()
    """The provider's ids of what is somebody's. One of them may have healed into an account; none must be missing."""
    astray: frozenset[str] = frozenset()
    """Accounts whose identity has another email than they have, because somebody changed it at the provider."""
    secrets: tuple[str, ...] = ()
    """Passwords that were used: none of them may stand in a record."""
    mortal: bool = True
    """Whether somebody may have deleted an account whose email was proved."""
    mails: bool = True
    """Whether somebody here sends mails."""

    def all(self, kind: type[R]) -> list[R]:
        """Return the records of a type."""
        return [record for record in self.records if isinstance(record, kind)]


async def records_of(store: Store) -> tuple[Record, ...]:
    """Read every record of a store."""
    return tuple([record for kind in RECORD_TYPES async for record in _pages(store, kind)])


async def _pages(store: Store, kind: type[Record]) -> AsyncIterator[Record]:
    cursor: str | None = None
    while True:
        page = await store.page(kind, cursor, _PAGE)
        for record in page.records:
            yield record
        cursor = page.cursor
        if cursor is None:
            return


def at_rest(snapshot: Snapshot, told: Sequence[Told] = ()) -> list[str]:
    """Return a sentence for each invariant that does not hold."""
    return [
        *_unique(snapshot),
        *_whole(snapshot),
        *_left_behind(snapshot),
        *_proved(snapshot),
        *_released(snapshot),
        *_invitations(snapshot),
        *_events(snapshot),
        *_kept_words(snapshot, told),
        *_proofs(snapshot, told),
        *_secrets(snapshot),
    ]


def _unique(snapshot: Snapshot) -> Iterator[str]:
    listed = [(name, account.id) for account in snapshot.all(Account) for name in account.identifiers]
    for name, owners in Counter(name for name, _ in listed).items():
        if owners > 1:
            yield f"U: {owners} accounts own the {name.kind}"
    made = {account.id: account.registration for account in snapshot.all(Account)}
    for one in snapshot.all(Identifier):
        if one.owned and (one.attempt_id, one.registration) != (one.account_id, made.get(one.account_id or "")):
            yield f"U: the {one.kind} names another attempt, or another registration, than its owner's"
    owned = {(one.name, one.account_id) for one in snapshot.all(Identifier) if one.owned}
    yield from (f"U: an account and its {name.kind} do not agree" for name, _ in sorted(owned ^ set(listed), key=str))
    families = {(one.id, one.account_id) for one in snapshot.all(SessionFamily)}
    named = {(session, account.id) for account in snapshot.all(Account) for session in account.sessions}
    yield from (f"U: an account and its session {session} do not agree" for session, _ in sorted(families ^ named))


def _whole(snapshot: Snapshot) -> Iterator[str]:
    accounts = {one.id: one for one in snapshot.all(Account) if not one.released}
    released = {one.id for one in snapshot.all(Account) if one.released}
    records = {one.id for one in snapshot.all(Identity) if one.state is IdentityState.OWNED} - released
    yield from (f"W: account and identity's record do not agree: {one}" for one in sorted(records ^ set(accounts)))
    for one in snapshot.all(Registration):
        made = one.account_id in accounts and accounts[one.account_id].registration == one.id
        if (one.state is RegistrationState.COMPLETED) is not made:
            yield f"W: a registration is {one.state}, and its account does not agree: {one.account_id}"
    if snapshot.identities is not None:
        yield from _whole_outside(snapshot, snapshot.identities, accounts)
        yield from _linked(snapshot, snapshot.identities)


def _whole_outside(snapshot: Snapshot, identities: Sequence[Found], accounts: dict[str, Account]) -> Iterator[str]:
    there = {one.identity_id: one for one in identities}
    if len(there) < len(identities):
        yield "W: one id has two identities"
    ours = {name for name, one in there.items() if one.provider_id not in snapshot.foreign or name in accounts}
    yield from (f"W: account and identity do not agree: {one}" for one in sorted(ours ^ set(accounts)))
    for name in ours & set(accounts):
        if there[name].email != accounts[name].email_canonical and name not in snapshot.astray:
            yield f"W: the provider has another email for {name}"
        if there[name].disabled is accounts[name].is_active:
            yield f"W: account and identity do not agree whether {name} may sign in"
    missing = snapshot.foreign - {one.provider_id for one in identities}
    yield from (f"D: an identity of somebody else was deleted: {one}" for one in sorted(missing))


def _linked(snapshot: Snapshot, identities: Sequence[Found]) -> Iterator[str]:
    """Judge that our record of an account's identity leads to it at the provider."""
    there = {one.identity_id: one.provider_id for one in identities}
    for record in snapshot.all(Identity):
        if (record.provider_id or record.id) != there.get(record.id, record.provider_id or record.id):
            yield f"W: an identity's record leads to another at the provider: {record.id}"


def _left_behind(snapshot: Snapshot) -> Iterator[str]:
    for registration in snapshot.all(Registration):
        if registration.state is RegistrationState.PENDING:
            yield f"P: a registration never ended: {registration.id}"
        elif registration.identifiers or registration.profile or registration.owner:
            yield f"R: a registration that has ended still holds something: {registration.id}"
    yield from (f"R: a {one.kind} is still held" for one in snapshot.all(Identifier) if not one.owned)
    released = {one.id for one in snapshot.all(Account) if one.released}
    for identity in snapshot.all(Identity):
        dormant = identity.id in released and identity.due_at is None
        if identity.state is not IdentityState.OWNED and not dormant:
            yield f"R: an identity is still {identity.state}: {identity.id}"
        wishes = (identity.wanted_email, identity.wanted_confirmed, identity.wanted_disabled, identity.wanted_until)
        if any(wish is not None for wish in wishes):
            yield f"P: something is wished for ever of an identity: {identity.id}"


def _proved(snapshot: Snapshot) -> Iterator[str]:
    """Judge that links and accounts agree, that no change of an email is under way, and what is said to be proved."""
    links = {(one.id, one.account_id) for one in snapshot.all(Link)}
    listed = {(link, account.id) for account in snapshot.all(Account) for link in account.links}
    yield from (f"U: an account and its link {link} do not agree" for link, _ in sorted(links ^ listed))
    proved = {one.value for one in snapshot.all(Identifier) if one.kind == "email" and one.proved}
    for account in snapshot.all(Account):
        if account.pending_email is not None:
            yield f"P: a change of the email is under way for ever: {account.id}"
        said = account.email_verified_at is not None
        if account.email_canonical is not None and said is not (account.email_canonical in proved):
            yield f"U: an account and its email do not agree on whether it is proved: {account.id}"


def _released(snapshot: Snapshot) -> Iterator[str]:
    """Judge that what is left of an ended account lets nobody in, and names nobody."""
    released = {one.id: one for one in snapshot.all(Account) if one.released}
    for one in released.values():
        if one.is_active or any((one.email, one.email_canonical, one.username_canonical, one.full_name)):
            yield f"R: an account that has ended still lets somebody in, or names somebody: {one.id}"
    for identity in snapshot.all(Identity):
        owned = identity.state is IdentityState.OWNED
        if identity.id in released and (identity.credential is not None or (owned and snapshot.identities is not None)):
            yield f"R: an account that has ended can still be signed in to: {identity.id}"


def _invitations(snapshot: Snapshot) -> Iterator[str]:
    """Judge that an invitation was accepted by the one account that it names, or by nobody."""
    ended = {one.account_id for one in snapshot.all(OutboxEvent) if one.kind == "account.deleted"}
    there = {one.id for one in snapshot.all(Account)}
    for one in snapshot.all(Invitation):
        if one.state is InvitationState.PROCESSING:
            yield f"P: an invitation is in flight for ever: {one.id}"
        if one.state is InvitationState.ACCEPTED and one.account_id not in there | ended:
            yield f"I: an invitation was accepted by nobody: {one.id}"
        made = {by.account_id for by in snapshot.all(Registration) if by.invitation == one.id} & there
        others = made - {one.account_id} if one.state is InvitationState.ACCEPTED else made
        yield from (f"I: an invitation made another account: {each}" for each in sorted(others))
    named = Counter(one.invitation for one in snapshot.all(Invited))
    yield from (f"I: {times} emails have the invitation {one}" for one, times in named.items() if times > 1)


def _events(snapshot: Snapshot) -> Iterator[str]:
    """Judge what will be told; of an id that was chosen again each life is told by itself."""
    events = Counter(
        (one.account_id, one.id.removeprefix(f"{one.account_id}/{one.kind}/"), one.kind)
        for one in snapshot.all(OutboxEvent)
    )
    accounts = {(one.id, life(one)) for one in snapshot.all(Account)}
    created = {(one, which) for one, which, kind in events if kind == "account.created"}
    deleted = {(one, which) for one, which, kind in events if kind == "account.deleted"}
    waiting = [event for event in snapshot.all(OutboxEvent) if event.state is EventState.WAITING]
    lost = [event.id for event in waiting if snapshot.mails or not event.is_mail]
    yield from (f"P: an event waits for ever: {event}" for event in lost)
    for (one, _, kind), times in events.items():
        if times > 1:
            yield f"E: {kind} was told {times} times of {one}"
    yield from (f"E: nobody will hear of account {one}" for one, _ in sorted(accounts - created))
    gone = created - accounts - deleted
    yield from (f"E: an account was told of that is not there: {one}" for one, _ in sorted(gone))
    yield from (f"E: an account is there that was told to be deleted: {one}" for one, _ in sorted(accounts & deleted))


def _kept_words(snapshot: Snapshot, told: Sequence[Told]) -> Iterator[str]:
    accounts = {one.id: one for one in snapshot.all(Account)}
    ended = {one.account_id for one in snapshot.all(OutboxEvent) if one.kind == "account.deleted"}
    named: dict[str, set[str]] = defaultdict(set)
    for one in told:
        if one.account_id is not None:
            if one.account_id not in accounts.keys() | ended:
                yield f"A: {one.who} was told of a success that is undone"
            elif one.account_id in accounts and not {*one.asked} <= {*accounts[one.account_id].identifiers}:
                yield f"K: {one.who} was told of a success that is not what it asked for"
            if one.opens is False and one.account_id in accounts:
                yield f"K: {one.who} was told of a success, and its password does not sign in"
            if one.registration is not None:
                named[one.registration].add(one.account_id)
                owner = accounts.get(one.account_id)
                if owner is not None and owner.registration != one.registration and not one.converges:
                    yield f"K: {one.who} was told of an account that another's registration made"
        elif one.code not in _OPEN and one.drew & accounts.keys():
            yield f"R: {one.who} was refused, and yet made an account"
    yield from (f"K: a key names {len(ids)} accounts: {sorted(ids)}" for ids in named.values() if len(ids) > 1)


def _proofs(snapshot: Snapshot, told: Sequence[Told]) -> Iterator[str]:
    """Judge that who proved an email owns it, unless its own person gave it up, and that a link was opened once."""
    accounts = {one.id: one for one in snapshot.all(Account) if not one.released}
    for one in told:
        if not one.proved or one.account_id is None:
            continue
        owner = accounts.get(one.account_id)
        if owner is None and not snapshot.mortal:
            yield f"A: {one.who} proved an email, and its account has ended"
        elif owner is not None and owner.email_verified_at is None:
            yield f"A: {one.who} proved an email, and its account counts as unproved"
    opened = Counter(one.link for one in told if one.link is not None and one.account_id is not None)
    yield from (f"K: a link was opened {times} times: {link}" for link, times in opened.items() if times > 1)


def _secrets(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.secrets:
        for record in snapshot.records:
            text = msgspec.json.encode(record).decode()
            if any(secret in text for secret in snapshot.secrets):
                yield f"S: a password stands in a record of type {record.TYPE}"


def on_commit(before: Table, after: Table, now: datetime) -> list[str]:
    """Judge one commit: every step is an allowed transition, and nobody is robbed of a live lease or an identifier."""
    found = []
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        found += _step(old, new)
        if isinstance(old, Registration) and isinstance(new, Registration) and _robbed(old, new, now):
            found.append(f"D: {new.id} was taken from its live worker")
        if isinstance(old, Identifier) and _taken(old, new) and _has_it_still(old, before, after):
            found.append(f"D: the {old.kind} was taken from who {'owns' if old.owned else 'holds'} it")
    return found


def _step(old: Record | None, new: Record | None) -> list[str]:
    states = [one.state if isinstance(one, _STATEFUL) else None for one in (old, new)]
    if not isinstance(old or new, _STATEFUL) or allowed(*states):
        return []
    return [f"T: {(old or new).TYPE} goes from {states[0]} to {states[1]}"]  # type: ignore[union-attr]


def _robbed(old: Registration, new: Registration, now: datetime) -> bool:
    live = old.state is RegistrationState.PENDING and old.due_at is not None and old.due_at > now
    return live and new.owner is not None and new.owner != old.owner


def _taken(old: Identifier, new: Record | None) -> bool:
    return not isinstance(new, Identifier) or new.attempt_id != old.attempt_id


def _has_it_still(identifier: Identifier, before: Table, after: Table) -> bool:
    """Whether the account, or the pending registration, that has the identifier is left as it was."""
    owner, holder = (Account.TYPE, (identifier.account_id or "",)), (Registration.TYPE, (identifier.registration,))
    name = owner if identifier.owned else holder
    has = before.get(name)
    if isinstance(has, Registration) and has.state is not RegistrationState.PENDING:
        return False
    return has is not None and has == after.get(name)


def on_delete(identity: Found, table: Table, foreign: frozenset[str]) -> list[str]:
    """Judge the deletion of an identity at the provider: it must be condemned, or be nobody's that we know."""
    record = table.get((Identity.TYPE, (identity.identity_id,)))
    if isinstance(record, Identity) and record.state is IdentityState.CONDEMNED:
        return []
    whose = record.state if isinstance(record, Identity) else "none of ours"
    also = " (somebody's)" if identity.provider_id in foreign else ""
    return [f"D: an identity was deleted that is {whose}{also}"]
