"""Changing an account's email, once the new one is proved: with the embedded provider in one commit.

At a remote one the commit of the click takes the new identifier and writes the durable wish; then the provider is
asked; then a commit owns the new one and releases the old. Whoever asks the provider, the request or upkeep, ends it.
"""

from __future__ import annotations

import msgspec

from semel.canonical import VERSION
from semel.errors import NotFound, ProviderRefused, UserAlreadyExists
from semel.model import Account, Identifier, Identity, Link, Name
from semel.ports import Absent, Delete, Done, Exists, Insert, Ref, Rejected, Replace, Unknown, Write
from semel.protocol import commits, telling
from semel.protocol.commits import Owned, account_end
from semel.protocol.engine import Engine
from semel.protocol.owning import everything
from semel.registrar import TAKEN
from semel.states import IdentityState

__all__ = ["Claim", "claimed", "finish_change", "moved", "pended"]


class Claim(msgspec.Struct, frozen=True):
    """What a proved email takes: its identifier, and the account that had it without ever having proved it."""

    identifier: Identifier
    ousted: Owned | None = None

    def writes(self, engine: Engine, *, stays: bool) -> list[Write]:
        """Return what the commit writes that takes it."""
        put: Write = Replace(self.identifier) if self.identifier.version else Insert(self.identifier)
        if self.ousted is None:
            return [put]
        embedded, taken = engine.embedded is not None, (self.identifier.name,)
        now, options = engine.clock.now(), engine.options
        return [put, *account_end(self.ousted, now, options, embedded=embedded, taken=taken, stays=stays)]


async def claimed(engine: Engine, account: Account, name: Name) -> Claim | str | None:
    """Return what an account takes with an email that it has proved.

    A string: the registration that holds it, to be waited for. ``None``: look again. Raises ``UserAlreadyExists`` where
    another account has proved it.
    """
    found = await engine.store.get(Identifier, name)
    mine = Identifier(
        kind=name.kind,
        value=name.value,
        account_id=account.id,
        attempt_id=account.id,
        registration=account.registration,
        proved=True,
        canonical_version=VERSION,
        version=found.version if found is not None else 0,
    )
    if found is None or found.account_id == account.id:
        return Claim(mine)
    if not found.owned:
        return found.registration
    if found.proved:
        raise UserAlreadyExists(errors=(TAKEN[name.kind],))
    try:
        ousted = await everything(engine, found.account_id or "")
    except NotFound:
        return None
    return Claim(mine, ousted) if ousted is not None else None


def moved(account: Account, name: Name, shown: str) -> Account:
    """Return the account with another email, in the place of the one before."""
    old = Name("email", account.email_canonical or "")
    others = tuple(name if one == old else one for one in account.identifiers if one != name)
    names = others if name in others else (name, *others)
    return account.but(email=shown, email_canonical=name.value, identifiers=names, pending_email=None)


def pended(account: Account, identity: Identity, name: Name, shown: str, engine: Engine) -> tuple[Account, Identity]:
    """Return account and identity as the click leaves them at a remote provider: the wish is durable."""
    listed = account.but(pending_email=shown, identifiers=(*account.identifiers, name))
    return listed, _wishing(identity, name.value, engine)


def _wishing(identity: Identity, email: str, engine: Engine, *, confirmed: bool | None = None) -> Identity:
    # Confirmed only once the change has ended: it may be given up, and no provider need take a confirmation back.
    return commits.wished(identity, engine.clock.now(), engine.options, email=email, confirmed=confirmed)


async def finish_change(
    engine: Engine, account: Account, identity: Identity, said: Done | Absent | Exists | Rejected | Unknown
) -> Account | None:
    """End a change of the email by what the provider said to the wish; ``None`` where it is not ended yet.

    ``account`` and ``identity`` are as they were before the provider was asked. Raises ``UserAlreadyExists`` or
    ``ProviderRefused`` once the old email is wished again.
    """
    if isinstance(said, Unknown) or account.pending_email is None or identity.wanted_email is None:
        return None
    if isinstance(said, Exists | Rejected):
        await _give_up(engine, account, identity, said)
        return None
    return await _owns(engine, account, identity, identity.wanted_email)


async def _owns(engine: Engine, account: Account, identity: Identity, email: str) -> Account | None:
    now, options = engine.clock.now(), engine.options
    name, old = Name("email", email), Name("email", account.email_canonical or "")
    after = moved(account, name, account.pending_email or "")
    after = after.but(email_verified_at=now, due_at=None, epoch=account.epoch + 1, sessions=(), updated_at=now)
    before, *links = await engine.store.get_many([Ref(Identifier, old), *(Ref(Link, (one,)) for one in account.links)])
    writes: list[Write] = [Replace(after), Replace(_wishing(identity, email, engine, confirmed=True))]
    writes += [Delete(before)] if isinstance(before, Identifier) and before.account_id == account.id else []
    writes.append(telling.updated(account.id, engine.ids.uuid(), now, options))
    opened = [one for one in links if isinstance(one, Link) and one.former is not None and one.email == email]
    # The last one: those of earlier changes to the same email are still there, and have had their mail.
    last = sorted(opened, key=lambda one: one.used_at or one.created_at)[-1:]
    writes += [telling.former_mail(one, now, options) for one in last]
    put = await engine.put(writes)
    if not put.done:
        return None
    engine.events.emit("account.email_changed", {"account": account.id})
    return after.but(version=put.token)


async def _give_up(engine: Engine, account: Account, identity: Identity, said: Exists | Rejected) -> None:
    """Release the new email and wish the old one again; unless what is in the way is going to be removed."""
    email = identity.wanted_email or ""
    if isinstance(said, Exists) and await _passes(engine, email, identity):
        return
    name = Name("email", email)
    after = account.but(pending_email=None, identifiers=tuple(one for one in account.identifiers if one != name))
    new = await engine.store.get(Identifier, name)
    writes: list[Write] = [Replace(after), Replace(_wishing(identity, account.email_canonical or "", engine))]
    writes += [Delete(new)] if new is not None and new.account_id == account.id else []
    if not (await engine.put(writes)).done:
        return
    engine.events.emit("account.email_refused", {"account": account.id})
    if isinstance(said, Exists):
        raise UserAlreadyExists(errors=(TAKEN["email"],))
    raise ProviderRefused(said.message)


async def _passes(engine: Engine, email: str, identity: Identity) -> bool:
    """Whether what has the email at the provider goes.

    It is condemned, and deleted at once, as upkeep does; or it is one of ours that is to have another. That nobody is
    to be found who has it is believed until the wish is over.
    """
    if engine.remote is None:
        return False
    there = await engine.remote.find_by_email(email)
    if isinstance(there, Unknown):
        return True
    if isinstance(there, Absent):
        return identity.wanted_until is not None and identity.wanted_until > engine.clock.now()
    record = await engine.store.get(Identity, (there.identity_id,))
    if record is not None and record.wanted_email not in {None, email}:
        return True
    if record is None or record.state is not IdentityState.CONDEMNED or commits.is_planted(record):
        return False
    watched = commits.watched_on(record, engine.clock.now(), engine.options)
    if (await engine.put([Replace(watched)])).done:
        await engine.remote.delete(there.provider_id)
    return True
