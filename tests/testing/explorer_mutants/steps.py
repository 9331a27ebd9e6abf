"""Steps of the protocol that are wrong in one respect each. They stand in the place of the shipped ones."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from typing_extensions import override

from semel.deletion import delete_account
from semel.errors import IdempotencyKeyReused, OutcomeUnknown, SemelError, StoreUnavailable
from semel.healing import SignInDoor
from semel.model import Account, Identifier, Identity, Name, Profile, Registration, Secret
from semel.ports import Absent, Delete, Found, RemoteProvider, Replace, Unknown, Write
from semel.protocol import commits
from semel.protocol.commits import Ask, Held, Owned, account_end
from semel.protocol.ending import FINAL, complete, fail, finish, held, take_lease
from semel.protocol.engine import Engine, Registered
from semel.protocol.options import Options
from semel.protocol.outside import Outside, _Whose
from semel.protocol.replay import same_answer, same_intent
from semel.registrar import _Work
from semel.states import DOORS_THAT_CONVERGE, Door, IdentityState, RegistrationState
from semel.testing.clock import START
from semel.upkeep.removal import _look


async def replays_unverified(engine: Engine, registration: Registration, password: Secret | None) -> Registered | None:
    """Who has the key has the account: the password is not verified on a replay."""
    del password
    return await same_answer(engine, registration, None)


async def converges_unverified(
    engine: Engine, ask: Ask, taken: Identifier, password: Secret | None
) -> Registered | None:
    """The same payload without a key is the same intent, whatever the password."""
    del password
    return await same_intent(engine, ask, taken, None)


async def sets_the_credential_again(
    engine: Engine, registration: Registration, password: Secret | None
) -> Registered | None:
    """A replay with another password sets it."""
    try:
        return await same_answer(engine, registration, password)
    except IdempotencyKeyReused:
        identity = await engine.store.get(Identity, (registration.account_id,))
        if identity is None or engine.embedded is None or password is None:
            return None
        await engine.put([Replace(await engine.embedded.enrol(identity, password))])
        return await same_answer(engine, registration, password)


async def completes_unasked(engine: Engine, registration: Registration) -> None:
    """Rescue goes forward without asking the provider whether the identity is there."""
    mine = await take_lease(engine, registration, engine.ids.uuid())
    if mine is not None:
        await complete(engine, await held(engine, mine), mine.account_id)


async def forgets_the_pending(engine: Engine, registration: Registration) -> None:
    """Retention takes whatever is due, a registration still pending as well."""
    await engine.put([Delete(registration)])


async def asks_nobody(engine: Engine, identity: Identity) -> Absent:
    """A removal whose horizon is over is forgotten unseen."""
    del engine, identity
    return Absent()


async def takes_silence_for_absence(engine: Engine, identity: Identity) -> Found | Absent | Unknown:
    """A look at a removal that has no answer has found nothing."""
    said = await _look(engine, identity)
    return Absent() if isinstance(said, Unknown) else said


async def takes_a_delete_for_absence(engine: Engine, identity: Identity) -> Found | Absent | Unknown:
    """What a look at a removal finds and deletes was not there."""
    said = await _look(engine, identity)
    if isinstance(said, Found) and engine.remote is not None:
        await engine.remote.delete(said.provider_id)
        return Absent()
    return said


def watches_on_for_nobody(identity: Identity, now: datetime, options: Options) -> Identity:
    """A removal stays no longer than it would have, whenever its identity is deleted: who just signed in is missed."""
    del now, options
    return identity


def releases_the_first(owned: Owned, now: datetime, options: Options, *, embedded: bool) -> list[Write]:
    """An account's end releases the first of its identifiers."""
    kept = list(owned.identifiers)[1:]
    writes = account_end(owned, now, options, embedded=embedded)
    return [write for write in writes if write.record not in kept]


def withdraws_by_key(registration: Registration, account_id: str) -> bool:
    """An account's end withdraws whatever registration has its key by now."""
    del account_id
    return registration.state is RegistrationState.COMPLETED


async def gives_up_nothing(engine: Engine, holding: Held, provider_id: str | None) -> str | None:
    """Rescue leaves a registration pending whose second commit is refused for good."""
    try:
        return "completed" if await complete(engine, holding, provider_id) else None
    except FINAL:
        return None


async def takes_any_payload(engine: Engine, ask: Ask, taken: Identifier, password: Secret | None) -> Registered | None:
    """Without a key any payload with the same identifier and password is the same intent."""
    first = await engine.store.get(Registration, (taken.registration,))
    same = ask if first is None else msgspec.structs.replace(ask, fingerprint=first.fingerprint)
    return await same_intent(engine, same, taken, password)


async def removes_before_failing(engine: Engine, holding: Held, failure: str) -> bool:
    """The identity is deleted first, and the registration fails afterwards."""
    if engine.remote is not None:
        found = await engine.remote.find(holding.registration.account_id)
        if isinstance(found, Found):
            await engine.remote.delete(found.provider_id)
    return await fail(engine, holding, failure)


async def removes_before_deleting(engine: Engine, account_id: str) -> None:
    """The identity is deleted first, and the account afterwards."""
    if engine.remote is not None:
        await engine.remote.delete(account_id)
    await delete_account(engine, account_id)


class TrustsItsId(Outside):
    """Our own id at the provider is our own create: the password is not verified."""

    @override
    async def _complete(self, provider_id: str | None, *, ours: bool) -> Registered | None:
        return await super()._complete(provider_id, ours=True)


class AnswersEarly(Outside):
    """The success is told as soon as the identity is there; commit 2 is left to upkeep."""

    @override
    async def _complete(self, provider_id: str | None, *, ours: bool) -> Registered | None:
        engine = self._engine
        account, _ = commits.completion(self.held, provider_id, engine.clock.now(), engine.options)
        return Registered(account, replayed=False)


class AdoptsByEmail(Outside):
    """The identity with the email of the registration is taken for its own."""

    @override
    async def _whose_other(self, other: Found) -> tuple[_Whose, str | None]:
        return _Whose.OURS, other.provider_id


class RemovesWhatIsInTheWay(Outside):
    """An identity with the email of the registration is deleted, whosever it is."""

    @override
    async def _whose_other(self, other: Found) -> tuple[_Whose, str | None]:
        await self._remote.delete(other.provider_id)
        return _Whose.OPEN, None


class RemovesWhatHasARecord(Outside):
    """An identity with the email of the registration is deleted if it is ours, though an account owns it."""

    @override
    async def _whose_other(self, other: Found) -> tuple[_Whose, str | None]:
        record = await self._engine.store.get(Identity, (other.identity_id,))
        if record is None:
            return _Whose.SOMEBODYS, None
        await self._remote.delete(other.provider_id)
        return _Whose.OPEN, None


class CondemnsForAnybody(Outside):
    """What looks planted is removed for whoever wants the email, proved or not."""

    @override
    def _planted(self, other: Found) -> bool:
        self._ask = msgspec.structs.replace(self._ask, proved=True)
        return super()._planted(other)


class CondemnsTheYoung(Outside):
    """What looks planted is removed however young it is: its owner may be reading the mail that confirms it."""

    @override
    def _planted(self, other: Found) -> bool:
        return super()._planted(msgspec.structs.replace(other, created_at=START - timedelta(days=1)))


class DeletesUnseen(Outside):
    """What looked planted is deleted without another look, now that it is condemned."""

    @override
    async def _spared(self, other: Found) -> _Whose | None:
        return None


class DeletesUnannounced(Outside):
    """What is planted is deleted without a record that says so."""

    @override
    async def _condemn(self, other: Found) -> _Whose:
        return await self._spared(other) or await self._delete(other)


def spares_nobody(identity: Identity, said: Found | Absent | Unknown) -> bool:
    """Upkeep deletes whatever is condemned, confirmed meanwhile or not."""
    del identity, said
    return False


def spares_what_is_confirmed(identity: Identity, said: Found | Absent | Unknown) -> bool:
    """Upkeep deletes what was planted unless it is confirmed, though it may have been given another email since."""
    return commits.is_planted(identity) and isinstance(said, Found) and (said.confirmed or said.disabled)


async def takes_back_early(engine: Engine, identity: Identity) -> Found | Absent | Unknown:
    """What was planted and is confirmed by now is taken back at once, though a delete of it may still land."""
    said = await _look(engine, identity)
    if commits.is_planted(identity) and isinstance(said, Found) and said.confirmed:
        await engine.put([Delete(identity)])
    return said


class ConvergesUnproved(_Work):
    """A door that converges does so for those, too, who have proved nothing."""

    @override
    async def _same(self, owned: list[Identifier]) -> Registered | None:
        self.ask = msgspec.structs.replace(self.ask, proved=True)
        return await super()._same(owned)


class ConvergesOnAnyName(_Work):
    """A door that converges does so on any identifier that is taken, not on the deciding one alone."""

    @override
    async def _same(self, owned: list[Identifier]) -> Registered | None:
        if self.ask.door not in DOORS_THAT_CONVERGE:
            return await super()._same(owned)
        owner = await self._engine.store.get(Account, (owned[0].account_id or "",))
        return Registered(owner, replayed=True) if owner else None


class NeverRunsAgain(_Work):
    """A registration that has failed stays failed: its key is spent."""

    @override
    async def _step(self, registration: Registration | None) -> Registered | None:
        if registration is not None and registration.state is RegistrationState.FAILED:
            raise OutcomeUnknown
        return await super()._step(registration)


class SaysThatNothingChanged(_Work):
    """After a doubt, a store that does not answer is called unavailable: as if nothing could come of it any more."""

    @override
    async def run(self) -> Registered:
        try:
            return await super().run()
        except OutcomeUnknown as error:
            if isinstance(error.__cause__, StoreUnavailable):
                raise error.__cause__ from None
            raise


class RefusesInDoubt(_Work):
    """A refusal is answered at once, though a commit of ours without an answer may still land."""

    @override
    async def _refuse(self, error: SemelError) -> None:
        raise error


class HealsByALook(SignInDoor):
    """Sign-in looks whether the identity is condemned, and writes its record after the account, not with it."""

    @override
    async def _account(self, identity: Found, deadline: datetime) -> Account | None:
        record = await self._engine.store.get(Identity, (identity.identity_id,))
        if record is None or record.state is not IdentityState.HELD or identity.email is None:
            return await super()._account(identity, deadline)
        name = Name("email", identity.email)
        ask = Ask(record.id, True, Door.SIGN_IN, "", (name,), False, Profile(email=identity.email))  # noqa: FBT003
        account, writes = commits.whole(ask, record, None, self._engine.clock.now(), self._engine.options)
        put = await self._engine.put([write for write in writes if not isinstance(write.record, Identity)])
        if not put.done:
            return None
        record = await self._engine.store.get(Identity, record.key) or record
        await self._engine.put([Replace(record.but(state=IdentityState.OWNED, registration=None))])
        return account.but(version=put.token)


class ReusesTheId(_Work):
    """A new attempt has the id of the failed one, whose removal may still be on."""

    @override
    async def _open_held(self, remote: RemoteProvider, before: Registration | None) -> Registered | None:
        if before is None:
            return await super()._open_held(remote, before)
        engine = self._engine
        opened = commits.held_by(self.ask, before.account_id, self._worker, engine.clock.now(), engine.options)
        record = await engine.store.get(Identity, (before.account_id,))
        opened = opened if record is None else Held(opened.registration, None, opened.identifiers)
        put = await engine.put(commits.opening(opened, before))
        if put.done:
            return await Outside(engine, remote, self.ask, opened.at(put.token), self._password).run()
        return await self._not_done(put)


async def fails_first(engine: Engine, registration: Registration) -> None:
    """Rescue fails what it finds dead, whether or not the identity is there."""
    mine = await take_lease(engine, registration, engine.ids.uuid())
    if mine is not None:
        await fail(engine, await held(engine, mine), "abandoned")


async def takes_no_lease(engine: Engine, registration: Registration, worker: str) -> Registration | None:
    """Whoever ends a dead registration goes ahead without a lease of its own."""
    del engine
    return registration.but(owner=worker)


class FailsInDoubt(Outside):
    """A registration whose create has no answer fails at once, instead of staying pending."""

    @override
    async def _unknown(self, answer: Unknown) -> OutcomeUnknown:
        await fail(self._engine, self.held, "no answer")
        return OutcomeUnknown()


class SendsNothingAgain(_Work):
    """The retry of a dead registration ends it as anybody would, instead of sending the same create again."""

    @override
    async def _go_on(self, registration: Registration) -> Registered | None:
        if registration.owner == self._worker:
            return await super()._go_on(registration)
        await finish(self._engine, registration)
        return None
