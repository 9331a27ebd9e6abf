"""Proofs, changes and wishes that are wrong in one respect each. They stand in the place of the shipped ones."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import override

from semel.credentials import as_proved, proved_identifier
from semel.email_changes import Claim, claimed, pended
from semel.errors import LinkUsed, SemelError, UserAlreadyExists
from semel.healing import SignInDoor
from semel.links import refusal
from semel.model import Account, Identifier, Identity, Link, Name, Record
from semel.patience import Patience
from semel.ports import Ref, Replace, Write
from semel.protocol import commits
from semel.protocol.commits import Owned, account_end
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.protocol.owning import everything
from semel.proving import _Opening, _Step
from semel.registrar import _Work
from semel.sessions import Person, person_by_email

_wished = commits.wished


class LeavesTheAccount(_Opening):
    """A proof writes the link and the identifier, and not the account's record."""

    @override
    async def _put(self, step: _Step, patience: Patience, ours: dict[int, _Step]) -> _Step | None:
        writes = [write for write in step.writes if not isinstance(write.record, Account)]
        return await super()._put(_Step(step.after, writes, step.marked), patience, ours)


class ProvesTooEarly(_Opening):
    """At a remote provider an account counts as proved before the provider has taken the new password."""

    @override
    async def _put(self, step: _Step, patience: Patience, ours: dict[int, _Step]) -> _Step | None:
        after = as_proved(step.after, self._engine.clock.now())
        writes = [Replace(after) if isinstance(write.record, Account) else write for write in step.writes]
        writes += await proved_identifier(self._engine, after)
        return await super()._put(_Step(after, writes, step.marked), patience, ours)


class ReleasesTheOldAtOnce(_Opening):
    """At a remote provider the old email is released before the provider has taken the new one."""

    @override
    async def _pending(self, link: Link, account: Account, claim: Claim) -> _Step:
        step = await self._moved(link, account, claim)
        _, wishing = pended(account, await self._identity(account), claim.identifier.name, link.shown, self._engine)
        return _Step(step.after, [*step.writes, Replace(wishing)], wishing)


def opens_what_was_used(link: Link, account: Account, engine: Engine) -> SemelError | None:
    """A link is good as long as nobody else says otherwise: that it was opened is no hindrance."""
    refused = refusal(link.but(epoch=account.epoch), account, engine)
    return None if isinstance(refused, LinkUsed) else refused


def wishes_nothing(
    account: Account, identity: Identity, name: Name, shown: str, engine: Engine
) -> tuple[Account, Identity]:
    """What a remote provider is asked for is written down nowhere."""
    return pended(account, identity, name, shown, engine)[0], identity


def wishes_once(identity: Identity, now: datetime, options: Options, **wishes: bool) -> Identity:
    """A wish is forgotten with its first answer, though a request of before may still land."""
    return _wished(identity, now, options, **wishes).but(wanted_until=now)  # type: ignore[arg-type]


def marks_over_a_mark(engine: Engine, identity: Identity) -> Identity:
    """A password is sent though another one may still land."""
    return identity.but(secret_until=engine.later(engine.options.removal_horizon))


def leaves_the_identity(owned: Owned, now: datetime, options: Options, **how: object) -> list[Write]:
    """Who is ousted by a change of an email keeps the identity."""
    writes = account_end(owned, now, options, **how)  # type: ignore[arg-type]
    return [write for write in writes if not isinstance(write.record, Identity)]


def leaves_its_links(owned: Owned, now: datetime, options: Options, **how: object) -> list[Write]:
    """An account's end leaves its links."""
    writes = account_end(owned, now, options, **how)  # type: ignore[arg-type]
    return [write for write in writes if not isinstance(write.record, Link)]


async def takes_what_is_proved(engine: Engine, account: Account, name: Name) -> Claim | str | None:
    """A proved email is taken from whoever had it, who may have proved it as well."""
    try:
        return await claimed(engine, account, name)
    except UserAlreadyExists:
        found = await engine.store.get(Identifier, name)
        if found is None:
            return None
        mine = found.but(account_id=account.id, attempt_id=account.id, registration=account.registration)
        return Claim(mine, await everything(engine, found.account_id or ""))


async def expires_what_is_proved(engine: Engine, record: Record) -> bool:
    """Who awaited a proof for too long ends, though the proof came a moment ago."""
    owned = await everything(engine, record.key[0])
    if owned is None:
        return False
    end = commits.account_end(owned, engine.clock.now(), engine.options, embedded=engine.embedded is not None)
    return (await engine.put(end)).done


class BelievesAnOldPassword(SignInDoor):
    """A password that was right a moment before the proof set another lets a stranger in."""

    @override
    def _proved_since(self, account: Account, began: datetime) -> bool:
        return False


class OustsTheProved(_Work):
    """What a look at an identifier said is believed, though its owner may have proved it since."""

    @override
    async def _ousting(self, others: list[Identifier]) -> list[Identifier]:
        first = next((one for one in others if one.name == self.ask.names[0]), None)
        left = await super()._ousting(others)
        if first is None or first.proved or self._takes.ousted is not None:
            return left
        ousted = await everything(self._engine, first.account_id or "")
        self._takes = commits.Takes(self._takes.invitation, ousted, self._takes.stays)
        return [] if ousted is not None else left


async def reads_together(engine: Engine, email: str) -> Person | None:
    """Account and credential are read beside each other: the one may be of after a proof, the other of before it."""
    person = await person_by_email(engine, email)
    if person is None:
        return None
    identity, account = await engine.store.get_many(
        [Ref(Identity, person.account.key), Ref(Account, person.account.key)]
    )
    return Person(account, identity) if isinstance(account, Account) and isinstance(identity, Identity) else None
