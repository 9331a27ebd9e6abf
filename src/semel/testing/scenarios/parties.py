"""Who meets: callers at the doors, people who sign in, somebody who deletes, upkeep; each over an engine of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from semel.deletion import delete_account
from semel.errors import NotFound, OutcomeUnknown, RegistrationInFlight, SemelError, StoreUnavailable
from semel.healing import SignInDoor
from semel.intents import Intent, Policy, prepare
from semel.invitations import InvitationBook, expire_invitation
from semel.model import Identity, Invitation, Name, Registration, Secret
from semel.ports import Delete, Done, EmbeddedProvider, Found, Ids, RemoteProvider
from semel.protocol.commits import Ask
from semel.protocol.ending import finish
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.providers.embedded import EmbeddedPasswords
from semel.registrar import LOOKS_AGAIN, Registrar
from semel.states import DOORS_THAT_CONVERGE, RegistrationState
from semel.testing.explorer.runs import Make, Ports
from semel.testing.hashers import CheapHasher
from semel.upkeep import BUILT_IN, Duty, Upkeep

__all__ = [
    "EXPIRY",
    "IN_TIME",
    "OPTIONS",
    "Answer",
    "Setting",
    "again",
    "caller",
    "confirming",
    "correcting",
    "deleting",
    "finished",
    "revoking",
    "several",
    "signing_in",
    "stopping",
    "upkeep",
]

EXPIRY: Final = Duty("expire_invitation", Invitation, expire_invitation)
"""The duty that ends invitations."""

IN_TIME: Final = "changed in time"
"""What a party did that confirmed an identity, or gave it another email, before anybody had condemned it."""

OPTIONS: Final = Options(wait=1e-9, poll_first=1e-9, rounds=3)
"""One wait of no time, since a schedule may let any time pass during it, and few rounds: more repeat the same."""

_COME_BACK: Final = (OutcomeUnknown, RegistrationInFlight)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a party tells the judge at its end."""

    account_id: str | None = None
    code: str | None = None
    registration: str | None = None
    """The registration's id, where the caller gave a key."""
    password: Secret | None = None
    """What the success was given for."""
    asked: tuple[Name, ...] = ()
    """The identifiers that the caller asked for."""
    converges: bool = False
    """Whether its door gives the owner of a proved identifier as the answer, and it proved the deciding one."""
    drew: frozenset[str] = frozenset()
    """The ids that the worker drew."""
    did: str | None = None
    """What a party that is no caller did."""
    proved: bool = False
    """Whether the success was given for the proof of the email that was asked for."""
    link: str | None = None
    """The id of the link that was opened."""


class Setting(msgspec.Struct, frozen=True):
    """How the parties of a scenario build their engines; mutants are settings with something broken in them."""

    embedded: bool = False
    slow: bool = False
    """Whether a hash is worth a look beforehand; it takes no time here."""
    options: Options = OPTIONS
    engine: Callable[..., Engine] = Engine
    registrar: Callable[[Engine, Policy], Registrar] = Registrar

    def engine_over(self, ports: Ports, noted: _Noted | None = None) -> Engine:
        """Return a worker's engine over its ports."""
        provider: EmbeddedProvider | RemoteProvider
        provider = EmbeddedPasswords(CheapHasher(slow=self.slow)) if self.embedded else ports.provider
        return self.engine(
            ports.store,
            provider,
            clock=ports.clock,
            ids=noted or ports.ids,
            events=noted or ports.events,
            fingerprint_key=b"of the explorer",
            options=self.options,
        )


class _Noted:
    """A caller's ids and events. It keeps what was drawn, as far as an account may come of it."""

    def __init__(self, ports: Ports) -> None:
        self._ids: Ids = ports.ids
        self._events = ports.events
        self.drew: list[str] = []
        self.tries = 0

    def emit(self, name: str, fields: Mapping[str, str | int | float | Sequence[str]]) -> None:
        """See ``Events.emit``. A memory is the engine's and the caller's own; what was refused can come to nothing."""
        if name == LOOKS_AGAIN:
            self.drew = self.drew if fields["doubt"] else []
            fields = {**fields, "tries": self.tries, "drew": self.drew}
        self._events.emit(name, fields)

    def uuid(self) -> str:
        """See ``Ids.uuid``."""
        self.drew.append(self._ids.uuid())
        return self.drew[-1]

    def token(self) -> int:
        """See ``Ids.token``."""
        return self._ids.token()

    def secret(self) -> str:
        """See ``Ids.secret``."""
        return self._ids.secret()

    def jitter(self) -> float:
        """See ``Ids.jitter``."""
        return self._ids.jitter()


def caller(setting: Setting, intent: Intent, tries: int = 1) -> Make:
    """A caller at a door, who comes back with the same key where it is told to, ``tries`` times in all."""

    async def party(ports: Ports) -> Answer:
        noted = _Noted(ports)
        engine = setting.engine_over(ports, noted)
        registrar = setting.registrar(engine, Policy())
        ask = prepare(engine, Policy(), intent)
        key = ask.registration if ask.keyed else None
        answer = Answer(registration=key)
        for noted.tries in range(tries):
            drawn = frozenset(noted.drew)
            try:
                done = await registrar.register(intent)
            except StoreUnavailable as error:  # speaks of this try alone
                answer = Answer(registration=key, code=error.code, drew=frozenset(noted.drew) - drawn)
            except _COME_BACK as error:
                answer = Answer(registration=key, code=error.code)
            except SemelError as error:
                return Answer(registration=key, code=error.code, asked=ask.names, drew=frozenset(noted.drew))
            else:
                return _success(ask, intent, done.account.id)
        return answer

    return party


def _success(ask: Ask, intent: Intent, account_id: str) -> Answer:
    return Answer(
        registration=ask.registration if ask.keyed else None,
        account_id=account_id,
        password=intent.password,
        asked=ask.names,
        converges=ask.door in DOORS_THAT_CONVERGE and ask.proved,
    )


def several(setting: Setting, *intents: Intent) -> Make:
    """Several callers at once of one process: what it keeps for itself, such as turns, is theirs together.

    An engine that says what it remembers says it of one caller, so a scenario with these has no memories.
    """

    async def party(ports: Ports) -> Answer:
        registrar = setting.registrar(setting.engine_over(ports), Policy())
        told = await asyncio.gather(*map(registrar.register, intents), return_exceptions=True)
        broken = [one for one in told if isinstance(one, BaseException) and not isinstance(one, SemelError)]
        if broken:
            raise broken[0]
        first = next((one for one in told if not isinstance(one, BaseException)), None)
        return Answer(account_id=first.account.id if first else None)

    return party


def stopping(setting: Setting, intent: Intent) -> Make:
    """A caller whose server is told to stop, with no time left for what is under way."""

    async def party(ports: Ports) -> Answer:
        registrar = setting.registrar(setting.engine_over(ports), Policy())
        registering = asyncio.create_task(registrar.register(intent))
        await ports.clock.sleep(0)
        await registrar.drain(0)
        try:
            done = await registering
        except SemelError as error:
            return Answer(code=error.code)
        return Answer(account_id=done.account.id, password=intent.password)

    return party


def again(setting: Setting, intent: Intent) -> Make:
    """The worst retention: ends the dead, forgets a failed registration at once, and registers under the same key."""

    async def party(ports: Ports) -> Answer:
        engine = setting.engine_over(ports)
        key = (prepare(engine, Policy(), intent).registration,)
        try:
            found = await engine.store.get(Registration, key)
            if found and found.state is RegistrationState.PENDING and not engine.alive(found):
                await finish(engine, found)
                found = await engine.store.get(Registration, key)
            if found and found.state is RegistrationState.FAILED:
                await engine.put([Delete(found)])
        except SemelError as error:
            return Answer(code=error.code)
        answer: Answer = await caller(setting, intent)(ports)
        return answer

    return party


def signing_in(setting: Setting, email: str, password: Secret, *, stays: bool = True) -> Make:
    """A person who signs in at the remote provider. ``stays``: nobody changes email or password afterwards."""

    async def party(ports: Ports) -> Answer:
        engine = setting.engine_over(ports)
        door = SignInDoor(engine, ports["provider"], allow_special_use=False)
        try:
            account, _ = await door.sign_in(email, password)
        except SemelError as error:
            return Answer(code=error.code)
        return Answer(account_id=account.id, password=password, asked=(Name("email", email),) if stays else ())

    return party


def deleting(setting: Setting, account_id: str) -> Make:
    """Somebody who deletes an account."""

    async def party(ports: Ports) -> Answer:
        try:
            await delete_account(setting.engine_over(ports), account_id)
        except NotFound:
            return Answer(did="found nothing")
        except SemelError as error:
            return Answer(code=error.code)
        return Answer(did="deleted")

    return party


def revoking(setting: Setting, invitation_id: str) -> Make:
    """Somebody who takes an invitation back."""

    async def party(ports: Ports) -> Answer:
        book = InvitationBook(setting.engine_over(ports), b"of the explorer", allow_special_use=False)
        try:
            await book.revoke(invitation_id)
        except SemelError as error:
            return Answer(code=error.code)
        return Answer(did="revoked")

    return party


def confirming(email: str) -> Make:
    """Somebody who has the email of an identity confirmed at the provider, and then sees what we think of it."""

    async def party(ports: Ports) -> Answer:
        return await _changed(ports, await ports["provider"].find_by_email(email), confirmed=True)

    return party


def correcting(identity_id: str, email: str) -> Make:
    """An administrator who gives an identity another email at the provider, and then sees what we think of it."""

    async def party(ports: Ports) -> Answer:
        return await _changed(ports, await ports["provider"].find(identity_id), email=email)

    return party


async def _changed(ports: Ports, found: object, **changes: object) -> Answer:
    if not isinstance(found, Found):
        return Answer(did="found nothing")
    if not isinstance(await ports["provider"].update(found.identity_id, **changes), Done):
        return Answer(did="changed nothing")
    try:
        record = await ports["store"].get(Identity, (found.identity_id,))
    except StoreUnavailable as error:
        return Answer(code=error.code)
    return Answer(did=IN_TIME if record is None else "changed too late")


def upkeep(setting: Setting, duties: tuple[Duty, ...] = (*BUILT_IN, EXPIRY)) -> Make:
    """One pass of upkeep, or of some of its duties."""

    async def party(ports: Ports) -> Answer:
        try:
            await Upkeep(setting.engine_over(ports), duties, width=1).once()
        except StoreUnavailable as error:
            return Answer(code=error.code)
        return Answer(did="passed")

    return party


def finished(coroutine: Any) -> Any:  # noqa: ANN401 - what a double answers
    """Run what asks doubles alone, which never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a double suspended")
