"""Changing an account and its identity with the embedded provider, by one conditional commit that is tried again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from semel import canonical
from semel.canonical import Canonical
from semel.details import Details, details_of, details_text
from semel.errors import ConfigurationInvalid, FieldError, NotFound, UserAlreadyExists
from semel.model import Account, Identifier, Identity, Name, Secret, SessionFamily
from semel.patience import Patience
from semel.ports import Delete, EmbeddedProvider, Insert, Ref, Replace, Write
from semel.protocol.engine import Engine
from semel.sessions import Person, without_sessions
from semel.states import IdentityState

__all__ = ["Change", "merged", "person", "update_identity"]

_TAKEN = FieldError("email", "already_registered", "Email is already registered")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; whatever is not given stays as it is."""

    allowed: Callable[[Account], None] | None = None
    """Raises where the account, as it is at a try, may not be changed so: what was seen before may be over by now."""
    email: Canonical | None = None
    password: Secret | None = None
    keeps: Collection[str] = ()
    """With a password: the sessions that go on. All others end by the same commit."""
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

    A password is hashed once. Raises ``NotFound``, ``UserAlreadyExists`` for a taken email, ``InvalidInput`` where the
    attributes grow too large, ``Overloaded``, ``OutcomeUnknown`` or a ``StoreError``.
    """
    update = _Update(engine, account_id, change)
    await update.prepare()
    with Patience(engine) as patience:
        while (changed := await update.tried(patience)) is None:
            await patience.pause()
        return changed


class _Update:
    """One change, and the hash that is made for it once."""

    def __init__(self, engine: Engine, account_id: str, change: Change) -> None:
        if engine.embedded is None:
            raise ConfigurationInvalid("identities are changed here with the embedded provider only")
        self._engine = engine
        self._provider: EmbeddedProvider = engine.embedded
        self._account_id = account_id
        self._change = change
        self._credential: str | None = None

    async def prepare(self) -> None:
        """Hash a new password. Raises ``NotFound`` where nobody is there to get it."""
        if self._change.password is None:
            return
        found = await person(self._engine, self._account_id)
        if found is None:
            raise NotFound
        self._credential = (await self._provider.enrol(found.identity, self._change.password)).credential

    async def tried(self, patience: Patience) -> Person | None:
        """Return the account and identity as changed; ``None`` where somebody else came between."""
        found = await person(self._engine, self._account_id)
        if found is None:
            raise NotFound
        if self._change.allowed is not None:
            self._change.allowed(found.account)
        account, identity = self._changed_account(found.account), self._changed_identity(found.identity)
        writes = await self._moving_email(found.account)
        if writes is None:
            await self._refuse(found.account, patience)
            return None
        if self._change.password is not None:
            ended = [one for one in account.sessions if one not in self._change.keeps]
            families = await self._engine.store.get_many([Ref(SessionFamily, (one,)) for one in ended])
            account = without_sessions(account, ended)
            writes += [Delete(one) for one in families if one is not None]
        if identity != found.identity:
            writes.append(Replace(identity))
        if not writes and account == found.account:
            return found
        account = account.but(updated_at=self._engine.clock.now())
        put = await patience.put([Replace(account), *writes])
        if not put.done:
            return None
        self._engine.events.emit("account.changed", {"account": account.id})
        changed = identity.but(version=put.token) if identity != found.identity else identity
        return Person(account.but(version=put.token), changed)

    def _changed_account(self, account: Account) -> Account:
        change = self._change
        if change.attributes:
            values = merged(msgspec.json.decode(account.attributes), change.attributes)
            account = account.but(attributes=canonical.attributes(values, max_bytes=change.attributes_max_bytes))
        if change.banned_until is not msgspec.UNSET:
            account = account.but(banned_until=change.banned_until)
        if change.email is None:
            return account
        old, new = Name("email", account.email_canonical or ""), change.email.name
        others = tuple(new if one == old else one for one in account.identifiers)
        names = others if new in others else (*others, new)
        return account.but(email=change.email.shown, email_canonical=new.value, identifiers=names)

    def _changed_identity(self, identity: Identity) -> Identity:
        if self._credential is not None:
            identity = identity.but(credential=self._credential)
        if self._change.details is None:
            return identity
        before = details_of(identity)
        after = self._change.details(before)
        return identity if after == before else identity.but(details=details_text(after))

    async def _moving_email(self, account: Account) -> list[Write] | None:
        """Return the writes that give the old email up and take the new one; ``None`` where somebody has that."""
        if self._change.email is None or self._change.email.name.value == account.email_canonical:
            return []
        old, new = Name("email", account.email_canonical or ""), self._change.email.name
        before, taken = await self._engine.store.get_many([Ref(Identifier, old), Ref(Identifier, new)])
        if taken is not None:
            return None
        mine = Identifier(
            kind=new.kind,
            value=new.value,
            account_id=account.id,
            attempt_id=account.id,
            registration=account.registration,
            canonical_version=canonical.VERSION,
        )
        gives_up = isinstance(before, Identifier) and before.account_id == account.id
        return [Insert(mine), *([Delete(before)] if before is not None and gives_up else [])]

    async def _refuse(self, account: Account, patience: Patience) -> None:
        """Say that the email is taken; but after a doubt only once no commit of ours can land any more."""
        if not patience.doubt or (await patience.put([Replace(account)])).done:
            raise UserAlreadyExists(errors=(_TAKEN,))
