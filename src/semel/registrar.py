"""The registrar: every door's way to an account. One function a step; see ``docs/guarantees.md`` for the protocol."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

from msgspec.structs import replace

from semel.errors import (
    ApplicationRefused,
    FieldError,
    IdempotencyKeyReused,
    IdentityAlreadyExists,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    ProviderRefused,
    RegistrationWithdrawn,
    SemelError,
    StoreError,
    StoreInconsistent,
    StoreRejected,
    StoreUnavailable,
    UserAlreadyExists,
)
from semel.intents import Intent, Policy, prepare
from semel.model import Account, Identifier, Identity, Invitation, Registration, Secret
from semel.ports import Ref, RemoteProvider, Replace
from semel.protocol import commits, inviting
from semel.protocol.commits import Ask, Takes
from semel.protocol.ending import fail, held, past, take_lease
from semel.protocol.engine import Engine, Outcome, Put, Registered
from semel.protocol.flights import Flight, Flights
from semel.protocol.outside import Outside
from semel.protocol.owning import everything
from semel.protocol.replay import same_answer, same_intent
from semel.protocol.turns import Turns
from semel.states import DOORS_THAT_CONVERGE, DOORS_THAT_OUST, IdentityState, InvitationState, RegistrationState

__all__ = ["LOOKS_AGAIN", "TAKEN", "Registrar"]

LOOKS_AGAIN: Final = "registration.looks_again"
"""The event at which a registration's work says all that it remembers: the explorer merges what meets there."""

_OF_A_REGISTRATION = (StoreError, ApplicationRefused, ProviderRefused, IdentityAlreadyExists, OutcomeUnknown)
"""Errors that name the caller's registration, so that an operator can look it up."""

TAKEN: Final = {
    "email": FieldError("email", "already_registered", "Email is already registered"),
    "username": FieldError("username", "already_taken", "Username is already taken"),
    "phone": FieldError("phone", "already_registered", "Phone number is already registered"),
    "federated": FieldError("federated", "already_registered", "This sign-in already has an account"),
    "id": FieldError("id", "already_taken", "An account with this id is there already"),
}
"""What is told of an identifier that is somebody's."""


class Registrar:
    """Makes accounts once, whole, or not at all. Safe with any number of registrars over one store."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self._engine = engine
        self._policy = policy
        self._working: dict[asyncio.Task[Registered], _Work] = {}
        self._turns = Turns()
        self._flights = Flights(engine.clock, engine.options.wait)

    async def register(self, intent: Intent) -> Registered:
        """Create the account the intent asks for, or meet the request that did.

        All successes under one key name one account, and a failed registration leaves nothing behind. At a door that
        converges, whoever proves who it is has signed in as well, and the account says when; one that is not active is
        answered as it is. The work goes on in a task of its own: a caller that is cancelled only stops waiting. Raises
        ``InvalidInput``, ``UserAlreadyExists``, ``IdempotencyKeyReused``, ``RegistrationInFlight``,
        ``RegistrationWithdrawn``, ``IdentityAlreadyExists``, ``ProviderRefused``, ``ApplicationRefused``,
        ``Overloaded``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        try:
            ask = prepare(self._engine, self._policy, intent)
        except InvalidInput as error:
            self._engine.events.emit("registration.ended", {"door": intent.door, "outcome": error.code})
            raise
        work = _Work(self._engine, ask, intent.password, self._turns)
        task = asyncio.create_task(self._noted(work))
        self._working[task] = work
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise OutcomeUnknown("The server stopped", registration_id=ask.registration) from None
            raise

    def _ended(self, task: asyncio.Task[Registered]) -> None:
        del self._working[task]
        if not task.cancelled():
            task.exception()  # its caller may have gone; it is no longer news to anybody

    async def _noted(self, work: _Work) -> Registered:
        """Run the work and take note of its outcome."""
        outcome = "interrupted"
        try:
            async with AsyncExitStack() as flying:
                if work.ask.keyed:
                    flight = self._flights.join(work.ask.registration, work.since)
                    work.follow(await flying.enter_async_context(flight))
                registered = await work.run()
            outcome = "replayed" if registered.replayed else "created"
        except SemelError as error:
            outcome = error.code
            raise
        finally:
            fields = {"door": work.ask.door, "outcome": outcome, "registration": work.ask.registration}
            self._engine.events.emit("registration.ended", fields)
        return registered

    async def drain(self, seconds: float) -> None:
        """Let the registrations in flight end, for at most so long; then stop the rest and give their leases up."""
        if not self._working:
            return
        works = dict(self._working)
        _, left = await asyncio.wait(works, timeout=seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for task in left:
            try:
                await works[task].give_up()
            except StoreError as error:  # its lease will run out by itself
                self._engine.events.emit(
                    "lease.kept", {"registration": works[task].ask.registration, "code": error.code}
                )


class _Work:
    """One request's work on its registration."""

    def __init__(self, engine: Engine, ask: Ask, password: Secret | None, turns: Turns) -> None:
        self.ask = ask
        self._engine = engine
        self._password = password
        self._turns = turns
        self._in_turn = False
        self._worker = engine.ids.uuid()
        self.since = engine.clock.now()
        self._deadline = engine.later(engine.options.wait)
        self._followed = False
        self._enrolled: Identity | None = None
        self._takes = commits.NOTHING
        self._doubt = False
        self._begun = False
        self._unexplained = 0

    def follow(self, flight: Flight | None) -> None:
        """Take note of the flight that this request is part of and has waited for; its sign-in is this one's too."""
        if flight is not None:
            self._followed, self.since = True, flight.since

    async def run(self) -> Registered:
        """Return the success, or raise what the caller is told; where a registration is meant, with its id."""
        try:
            return await self._until_answered()
        except StoreUnavailable as error:
            if self._doubt or self._begun:  # "nothing was changed" would not be true
                retry = self._engine.options.wait
                raise OutcomeUnknown(retry_after=retry, registration_id=self.ask.registration) from error
            raise
        except SemelError as error:
            if isinstance(error, _OF_A_REGISTRATION):
                error.registration_id = self.ask.registration
            raise
        finally:
            if self._in_turn:
                self._turns.end(self.ask.names)

    async def _until_answered(self) -> Registered:
        """Look at the registration, take the step it calls for, and look again, until there is an answer."""
        found = await self._look()
        for turn in range(self._engine.options.rounds):
            answer = found if isinstance(found, Registered) else await self._step(found)
            answer = await self._signed_in(answer) if answer and self._converges else answer
            if answer is not None:
                return answer
            self._engine.events.emit(LOOKS_AGAIN, self._memory(turn))
            found = await self._registration()
        if self._unexplained >= self._engine.options.rounds:
            raise StoreInconsistent
        raise OutcomeUnknown(retry_after=self._engine.options.wait)

    def _memory(self, turn: int) -> dict[str, str | int | Sequence[str]]:
        """Return all that a look again starts from; whatever else the work has seen no longer matters."""
        return {
            "registration": self.ask.registration,
            "worker": self._worker,
            "turn": turn,
            "since": self.since.isoformat(),
            "doubt": self._doubt,
            "begun": self._begun,
            "unexplained": self._unexplained,
            "takes": self._takes.versions,
            "deadline": self._deadline.isoformat(),
        }

    @property
    def _converges(self) -> bool:
        return self.ask.door in DOORS_THAT_CONVERGE and self.ask.proved

    async def _signed_in(self, answer: Registered) -> Registered | None:
        """Write the time of the sign-in, unless the account says one of since this began.

        ``None``: somebody else has written the account, look again.
        """
        account, now = answer.account, self._engine.clock.now()
        if not account.lets_in(now) or (account.last_sign_in_at and account.last_sign_in_at >= self.since):
            return answer
        seen = account.but(last_sign_in_at=now)
        put = await self._engine.put([Replace(seen)])
        self._begun |= put.outcome is Outcome.UNKNOWN
        return Registered(seen.but(version=put.token), answer.replayed) if put.done else None

    async def _look(self) -> Registration | Registered | None:
        """Spare a commit where another of the key went before, and the hash of a request that will be refused.

        A look never decides for the account. Who finds nothing takes the turn, so that others who want the same look
        again before they hash.
        """
        embedded = self._engine.embedded
        if self._engine.options.always_hash:
            return await self._registration() if self.ask.keyed else None
        if embedded is None or not embedded.slow:
            return await self._registration() if self._followed else None
        while not self._in_turn and self._engine.clock.now() < self._deadline:
            await self._turns.others(self.ask.names)
            registration, *in_the_way = await self._engine.store.get_many(self._rivals())
            if isinstance(registration, Registration):
                return registration
            if any(in_the_way):
                return await self._refused()
            self._in_turn = self._turns.take(self.ask.names)
        return None

    def _rivals(self) -> list[Ref]:
        """Return what may stand in the way: the registration itself, the identifiers, and who has the chosen id."""
        chosen = [Ref(Identity, (self.ask.account_id,))] if self.ask.account_id is not None else []
        names = [Ref(Identifier, name) for name in self.ask.names]
        invited = [Ref(Invitation, (self.ask.invitation,))] if self.ask.invitation is not None else []
        return [Ref(Registration, (self.ask.registration,)), *names, *chosen, *invited]

    async def _step(self, registration: Registration | None) -> Registered | None:
        """Take one step. ``None``: look again."""
        engine = self._engine
        if registration is None or registration.state is RegistrationState.FAILED:
            if self.ask.invitation is not None and self._takes.invitation is None:
                return await self._refused()  # only for now: it reads what commit 1 will write over
            return await (
                self._open(registration) if engine.remote is None else self._open_held(engine.remote, registration)
            )
        if registration.state is RegistrationState.WITHDRAWN:
            await self._hash_all_the_same()
            raise RegistrationWithdrawn(registration_id=registration.id)
        if not hmac.compare_digest(registration.fingerprint, self.ask.fingerprint):
            await self._hash_all_the_same()
            raise IdempotencyKeyReused
        if registration.state is RegistrationState.COMPLETED:
            return await same_answer(engine, registration, self._password)
        if registration.owner != self._worker and engine.alive(registration):
            await past(engine, registration.id, self._deadline)
            return None
        return await self._go_on(registration)

    async def _hash_all_the_same(self) -> None:
        """Take as long as with a hash, where no time may tell what the key has met."""
        embedded = self._engine.embedded
        if self._engine.options.always_hash and embedded is not None and self._password is not None:
            await embedded.verify(None, self._password)

    async def _go_on(self, registration: Registration) -> Registered | None:
        """Go on from a pending registration, ours after a doubt or a dead worker's: the same create, the same id."""
        self._begun = True
        mine: Registration | None = registration
        if registration.owner != self._worker:
            mine = await take_lease(self._engine, registration, self._worker)
        if mine is None:
            return None
        holding = await held(self._engine, mine)
        if self._engine.remote is None or not holding.whole:
            await fail(self._engine, holding, "abandoned")
            return None
        going = Outside(self._engine, self._engine.remote, self.ask, holding, self._password)
        return await going.run(resumed=True)

    async def _open(self, before: Registration | None) -> Registered | None:
        """The only commit of the embedded provider."""
        engine = self._engine
        account_id = self.ask.account_id or engine.ids.uuid()
        identity = await self._enrol(Identity(id=account_id, state=IdentityState.HELD, details=self.ask.details))
        now, takes = engine.clock.now(), self._takes
        account, writes = commits.whole(self.ask, identity, before, now, engine.options, takes)
        try:
            put = await engine.put(writes)
        except (ApplicationRefused, StoreRejected) as refused:
            if not self._spares_row(refused):
                await self._refuse(refused)
            return None
        if put.done:
            self._note_ousted(takes)
            return Registered(account.but(version=put.token), replayed=False)
        return await self._not_done(put)

    async def _open_held(self, remote: RemoteProvider, before: Registration | None) -> Registered | None:
        """Commit 1, and on from there."""
        engine = self._engine
        now, takes = engine.clock.now(), self._takes
        opened = commits.held_by(self.ask, engine.ids.uuid(), self._worker, now, engine.options, takes)
        try:
            ousting = commits.ousting(self.ask, takes, now, engine.options)
            put = await engine.put(commits.opening(opened, before, ousting))
        except StoreRejected as refused:
            if not self._spares_row(refused):
                raise
            return None
        if put.done:
            self._begun = True
            self._note_ousted(takes)
            return await Outside(engine, remote, self.ask, opened.at(put.token), self._password).run()
        return await self._not_done(put)

    def _spares_row(self, refused: SemelError) -> bool:
        """Whether the refusal is met by leaving the ousted account's row: the application's own may refer to it."""
        first = isinstance(refused, StoreRejected) and self._takes.ousted is not None and not self._takes.stays
        if first:
            self._takes = replace(self._takes, stays=True)
        return first

    def _note_ousted(self, takes: Takes) -> None:
        if takes.ousted is not None:
            noted = {"account": takes.ousted.account.id, "registration": self.ask.registration}
            self._engine.events.emit("account.ousted", noted)

    async def _not_done(self, put: Put) -> Registered | None:
        if put.outcome is Outcome.UNKNOWN:
            self._doubt = True
            return None
        return await self._refused()

    async def _enrol(self, identity: Identity) -> Identity:
        """Give the identity its credential; the password is hashed once for a request."""
        if self.ask.credential is not None:
            return identity.but(credential=self.ask.credential.reveal())
        if self._password is None or self._engine.embedded is None:
            return identity
        if self._enrolled is None:
            self._enrolled = await self._engine.embedded.enrol(identity, self._password)
        return identity.but(credential=self._enrolled.credential)

    async def _refused(self) -> Registered | None:
        """An identifier, the chosen id or the invitation refused us: see who has it.

        The owner's intent may be ours; a registration in flight is waited for.
        """
        registration, *found = await self._engine.store.get_many(self._rivals())
        if isinstance(registration, Registration) and registration.state is not RegistrationState.FAILED:
            return None  # the key has an answer of its own, whoever has the identifiers
        others = [
            one
            for one in found
            if isinstance(one, Identifier) and (one.owned or one.registration != self.ask.registration)
        ]
        before = self._takes
        if self.ask.invitation is not None:
            invitation = next((one for one in found if isinstance(one, Invitation)), None)
            if not inviting.can_be_accepted(invitation, self._engine.clock.now()):
                return await self._not_invited(invitation, others)
            self._takes = replace(before, invitation=invitation)
        waiting = next((one for one in others if not one.owned), None)
        if waiting is not None:
            self._unexplained += not await past(self._engine, waiting.registration, self._deadline)
            return None
        others = await self._ousting(others)
        chosen = any(isinstance(one, Identity) for one in found)
        if not others and not chosen:
            self._unexplained += self._takes == before
            return None
        return await self._taken(others, chosen=chosen)

    async def _taken(self, others: list[Identifier], *, chosen: bool) -> Registered | None:
        """Answer that accounts own what we want; unless the key's own commit came between the reads."""
        mine = any(one.registration == self.ask.registration for one in others)
        if (mine and await self._registration()) or (chosen and await self._answered()):
            return None
        same = await self._same(others) if others else None
        if same is None:
            await self._refuse(self._conflict([*(one.kind for one in others), *(["id"] if chosen else [])]))
        return same

    async def _not_invited(self, invitation: Invitation | None, others: list[Identifier]) -> Registered | None:
        """The invitation cannot be accepted now: wait for whoever accepts it, or say why not."""
        accepting = invitation.registration if invitation is not None else None
        if invitation is not None and invitation.state is InvitationState.PROCESSING:
            if accepting is not None and accepting != self.ask.registration:
                self._unexplained += not await past(self._engine, accepting, self._deadline)
            return None
        if accepting == self.ask.registration and await self._answered():
            return None
        same = await self._same(others) if others and others[0].owned else None
        if same is None:
            await self._refuse(inviting.refusal(invitation))
        return same

    async def _ousting(self, others: list[Identifier]) -> list[Identifier]:
        """Return who stands in the way but for an account that never proved what we have proved: it will end."""
        first, ousted = next((one for one in others if one.name == self.ask.names[0]), None), None
        if self.ask.door in DOORS_THAT_OUST and self.ask.proved and first is not None and not first.proved:
            with suppress(NotFound):
                ousted = await everything(self._engine, first.account_id or "")
        fresh = next((one for one in ousted.identifiers if one.name == self.ask.names[0]), None) if ousted else None
        if fresh is None or fresh.proved:  # read after the first: its owner may have proved it, or given it up, since
            ousted, others = None, [fresh if fresh is not None and one is first else one for one in others]
        self._takes = replace(self._takes, ousted=ousted)
        return [one for one in others if ousted is None or one.account_id != ousted.account.id]

    async def _same(self, owned: list[Identifier]) -> Registered | None:
        """The owner is the answer where the door converges on a proved deciding identifier, or the intent is one."""
        first = owned[0]
        if self._converges and first.proved and first.name == self.ask.names[0]:
            owner = await self._engine.store.get(Account, (first.account_id or "",))
            return Registered(owner, replayed=True) if owner else None
        return await same_intent(self._engine, self.ask, first, self._password)

    def _conflict(self, fields: list[str]) -> UserAlreadyExists:
        noted = {"door": self.ask.door, "fields": fields, "registration": self.ask.registration}
        self._engine.events.emit("registration.conflict", noted)
        return UserAlreadyExists(errors=tuple(TAKEN[field] for field in fields))

    async def _refuse(self, error: SemelError) -> None:
        """Raise the refusal; but after a doubt only once no commit of ours can land any more."""
        if not self._doubt:
            raise error
        before = await self._registration()
        if before is not None and before.state is not RegistrationState.FAILED:
            return
        engine = self._engine
        fence = commits.refused_after_doubt(
            self.ask, engine.ids.uuid(), before, error.code, engine.clock.now(), engine.options
        )
        if (await engine.put([fence])).done:
            raise error

    async def _answered(self) -> bool:
        found = await self._registration()
        return found is not None and found.state is not RegistrationState.FAILED

    async def _registration(self) -> Registration | None:
        return await self._engine.store.get(Registration, (self.ask.registration,))

    async def give_up(self) -> None:
        """Give the lease up at shutdown, so that whoever comes next need not wait for its end."""
        found = await self._registration()
        if found and found.state is RegistrationState.PENDING and found.owner == self._worker:
            now = self._engine.clock.now()
            await self._engine.put([Replace(found.but(lease_until=now, due_at=now))])
