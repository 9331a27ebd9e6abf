"""Changing an account and its identity, by one conditional commit that is tried again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from semel import canonical
from semel.canonical import Canonical
from semel.details import Details, details_of, details_text
from semel.errors import (
    ConfigurationInvalid,
    FieldError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    UserAlreadyExists,
)
from semel.links import without_open_links
from semel.model import Account, Identifier, Identity, Name, Secret, SessionFamily
from semel.patience import Patience
from semel.ports import Delete, Insert, Ref, Replace, Write
from semel.protocol import commits, telling
from semel.protocol.engine import Engine
from semel.registrar import TAKEN
from semel.sessions import Person, without_sessions
from semel.states import IdentityState
from semel.upkeep.wishes import send

__all__ = ["Change", "merged", "person", "update_identity"]

_LEFT_NAMELESS: Final = FieldError("username", "required", "The account has nothing else by which it is known")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; whatever is not given stays as it is."""

    allowed: Callable[[Account], None] | None = None
    """Raises where the account, as it is at a try, may not be changed so: what was seen before may be over by now."""
    version: int | None = None
    """The version that the account must have, else nothing is changed."""
    email: Canonical | None = None
    """With the embedded provider only, as is the password."""
    username: Canonical | msgspec.UnsetType | None = msgspec.UNSET
    """``None`` takes it away."""
    fields: Mapping[str, Any] = {}
    """What else of the account's own is to be other: full_name, role, roles, onboarding_completed."""
    is_active: bool | msgspec.UnsetType = msgspec.UNSET
    """``False`` ends all sessions, and has a remote provider keep the person out."""
    password: Secret | None = None
    keeps: Collection[str] = ()
    """With a password: the sessions that go on. All others end by the same commit, and so do links in mails."""
    attributes: Mapping[str, Any] = {}
    """Merged into the account's at the first level; ``None`` removes."""
    attributes_max_bytes: int = 16_384
    details: Callable[[Details], Details] | None = None
    """Makes the new details of the present ones; called at each try."""
    banned_until: datetime | msgspec.UnsetType | None = msgspec.UNSET
    """``None`` takes a ban back."""


async def person(engine: Engine, account_id: str) -> Person | None:
    """Return an account and its identity, or ``None`` where there is no such account. Raises a ``StoreError``."""
    account, identity = await engine.store.get_many([Ref(Account, (account_id,)), Ref(Identity, (account_id,))])
    if not isinstance(account, Account) or not isinstance(identity, Identity):
        return None
    return Person(account, identity) if identity.state is IdentityState.OWNED else None


def merged(present: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with a change merged in at the first level; ``None`` removes."""
    return {name: value for name, value in {**present, **change}.items() if value is not None}


async def update_identity(engine: Engine, account_id: str, change: Change) -> Person:
    """Change an account and its identity: all of it or nothing. Whoever else changes it meanwhile is changed upon.

    A password is hashed once. Raises ``NotFound``, ``UserAlreadyExists`` that names the taken email and username,
    ``PreconditionFailed``, ``InvalidInput`` where the attributes grow too large or the last identifier would go,
    ``Overloaded``, ``OutcomeUnknown`` or a ``StoreError``.
    """
    update = _Update(engine, account_id, change)
    await update.prepare()
    with Patience(engine) as patience:
        while (changed := await update.tried(patience)) is None:
            await patience.pause()
    if update.wishes:
        await send(engine, changed.identity)  # whatever it answers, the durable wish asks again
    return changed


class _Written(NamedTuple):
    """An account as a commit was to write it, and whether it did."""

    account: Account
    token: int
    done: bool


class _Update:
    """One change, and the hash that is made for it once."""

    def __init__(self, engine: Engine, account_id: str, change: Change) -> None:
        if engine.embedded is None and (change.email, change.password, change.details) != (None, None, None):
            raise ConfigurationInvalid("emails and passwords are changed here with the embedded provider only")
        self._engine = engine
        self._account_id = account_id
        self._change = change
        self._credential: str | None = None
        self._tokens: set[int] = set()
        """Of our commits: an account that has one of them as its version is as we wrote it."""
        self.wishes = False
        """Whether the provider is to be asked for something."""

    async def prepare(self) -> None:
        """Hash a new password. Raises ``NotFound`` where nobody is there to get it."""
        if self._change.password is None or self._engine.embedded is None:
            return
        found = await person(self._engine, self._account_id)
        if found is None:
            raise NotFound
        self._credential = (await self._engine.embedded.enrol(found.identity, self._change.password)).credential

    async def tried(self, patience: Patience) -> Person | None:
        """Return the account and identity as changed; ``None`` where somebody else came between."""
        found = await person(self._engine, self._account_id)
        if found is None or found.account.released:  # one that has ended, whose row is left, is switched on by nobody
            raise NotFound
        if found.account.version in self._tokens:
            return found
        self._check(found.account, patience)
        account = self._changed_account(found.account)
        identity = self._changed_identity(found.identity, account, found.account)
        writes, taken = await self._moves(found.account, account)
        if taken:
            await self._refuse(found.account, taken, patience)
            return None
        if account.email_canonical != found.account.email_canonical:
            account, dead = await without_open_links(self._engine, account)
            writes += map(Delete, dead)
        account, sessions = await self._sessions(found.account, account)
        writes += sessions
        if identity != found.identity:
            writes.append(Replace(identity))
        if not writes and account == found.account:
            return found
        put = await self._put(account, writes, patience)
        if not put.done:
            return None
        changed = identity.but(version=put.token) if identity != found.identity else identity
        return Person(put.account.but(version=put.token), changed)

    async def _put(self, account: Account, writes: list[Write], patience: Patience) -> _Written:
        now = self._engine.clock.now()
        account = account.but(updated_at=now)
        told = telling.updated(account.id, self._engine.ids.uuid(), now, self._engine.options)
        put = await patience.put([Replace(account), *writes, told])
        self._tokens.add(put.token)
        if put.done:
            self._engine.events.emit("account.changed", {"account": account.id})
        return _Written(account, put.token, put.done)

    def _check(self, account: Account, patience: Patience) -> None:
        """Raise where the account, as it is now, is not to be changed so."""
        if self._change.version is not None and account.version != self._change.version:
            if patience.doubt:  # it may have been us, and somebody else since
                raise OutcomeUnknown
            raise PreconditionFailed
        if self._change.allowed is not None:
            self._change.allowed(account)

    def _changed_account(self, account: Account) -> Account:
        change = self._change
        if change.attributes:
            values = merged(msgspec.json.decode(account.attributes), change.attributes)
            account = account.but(attributes=canonical.attributes(values, max_bytes=change.attributes_max_bytes))
        if change.banned_until is not msgspec.UNSET:
            account = account.but(banned_until=change.banned_until)
        if change.is_active is not msgspec.UNSET and change.is_active is not account.is_active:
            ends = account.is_active
            account = account.but(is_active=change.is_active, epoch=account.epoch + ends)
        if self._credential is not None:
            account = account.but(epoch=account.epoch + 1)
        account = account.but(**change.fields)
        if change.email is not None:
            names = _renamed(account, "email", account.email_canonical, change.email)
            named = change.email
            proved = account.email_verified_at if named.name.value == account.email_canonical else None
            account = account.but(email=named.shown, email_canonical=named.name.value, identifiers=names)
            account = account.but(email_verified_at=proved)
        if change.username is msgspec.UNSET:
            return account
        names = _renamed(account, "username", account.username_canonical, change.username)
        if change.username is None:
            return account.but(username=None, username_canonical=None, identifiers=names)
        named = change.username
        return account.but(username=named.shown, username_canonical=named.name.value, identifiers=names)

    def _changed_identity(self, identity: Identity, after: Account, before: Account) -> Identity:
        if self._credential is not None:
            identity = identity.but(credential=self._credential)
        self.wishes = self._engine.remote is not None and after.is_active is not before.is_active
        if self.wishes:
            now, options = self._engine.clock.now(), self._engine.options
            identity = commits.wished(identity, now, options, disabled=not after.is_active)
        if self._change.details is None:
            return identity
        stood = details_of(identity)
        stands = self._change.details(stood)
        return identity if stands == stood else identity.but(details=details_text(stands))

    async def _moves(self, before: Account, after: Account) -> tuple[list[Write], list[Identifier]]:
        """Return the writes that give old identifiers up and take new ones, and those of them that somebody has."""
        old = [name for name in before.identifiers if name not in after.identifiers]
        new = [name for name in after.identifiers if name not in before.identifiers]
        if not old and not new:
            return [], []
        found = await self._engine.store.get_many([Ref(Identifier, name) for name in (*old, *new)])
        ours = [one for one in found[: len(old)] if isinstance(one, Identifier) and one.account_id == before.id]
        taken = [one for one in found[len(old) :] if isinstance(one, Identifier)]
        mine = [
            Identifier(
                kind=name.kind,
                value=name.value,
                account_id=before.id,
                attempt_id=before.id,
                registration=before.registration,
                canonical_version=canonical.VERSION,
            )
            for name in new
        ]
        return [*map(Insert, mine), *map(Delete, ours)], taken

    async def _sessions(self, before: Account, after: Account) -> tuple[Account, list[Write]]:
        """Return the account without the sessions that a new epoch ends, and what is written for that.

        All end where nobody is let in any more. With a new password those that are kept go on in the new epoch.
        """
        if after.epoch == before.epoch:
            return after, []
        keeps = self._change.keeps if after.is_active else ()
        ended = [one for one in before.sessions if one not in keeps]
        found = await self._engine.store.get_many([Ref(SessionFamily, (one,)) for one in before.sessions])
        families = [one for one in found if isinstance(one, SessionFamily)]
        gone: list[Write] = [Delete(one) for one in families if one.id in ended]
        kept = [Replace(one.but(epoch=after.epoch)) for one in families if one.id not in ended]
        return without_sessions(after, ended), [*gone, *kept]

    async def _refuse(self, account: Account, taken: list[Identifier], patience: Patience) -> None:
        """Say what is taken; but after a doubt only once no commit of ours can land any more."""
        if not patience.doubt or (await patience.put([Replace(account)])).done:
            raise UserAlreadyExists(errors=tuple(TAKEN[one.kind] for one in taken))


def _renamed(account: Account, kind: str, before: str | None, after: Canonical | None) -> tuple[Name, ...]:
    """Return the account's identifiers with one in the place of another, or without it.

    Raises ``InvalidInput`` where none would be left.
    """
    old = Name(kind, before or "")
    if after is None:
        kept = tuple(one for one in account.identifiers if one != old)
        if not kept:
            raise InvalidInput(errors=(_LEFT_NAMELESS,))
        return kept
    others = tuple(after.name if one == old else one for one in account.identifiers)
    return others if after.name in others else (*others, after.name)
