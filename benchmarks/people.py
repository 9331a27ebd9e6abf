"""New people: what they ask for, and the very records that their sign-ups commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semel.face import Semel
from semel.intents import Intent, Policy, prepare
from semel.model import Identity, Secret
from semel.ports import Clock, EmbeddedProvider, Ids, RemoteProvider, Store, Write, in_order
from semel.protocol import commits
from semel.protocol.commits import Ask
from semel.protocol.engine import Engine, Registered
from semel.protocol.options import Options
from semel.providers.embedded import EmbeddedPasswords
from semel.registrar import Registrar
from semel.states import IdentityState
from semel.stores.memory import MemoryStore
from semel.system import SystemClock, SystemIds
from semel.testing.hashers import CheapHasher

__all__ = ["CLOCK", "IDS", "PASSWORD", "intent", "prepared", "register", "registrar", "sign_up"]

CLOCK: Clock = SystemClock()
IDS: Ids = SystemIds()
PASSWORD = "nanoseconds-of-wire"  # noqa: S105 - opens nothing

_HALF = 2**63 - 1


class _Unheard:
    """``ports.Events`` without anybody who listens."""

    def emit(self, name: str, fields: Mapping[str, str | int | float | Sequence[str]]) -> None:
        """See ``Events.emit``."""


def engine(store: Store, provider: EmbeddedProvider | RemoteProvider) -> Engine:
    """Return an engine over these, which nobody observes."""
    return Engine(
        store, provider, clock=CLOCK, ids=IDS, events=_Unheard(), fingerprint_key=bytes(32), options=Options()
    )


def registrar(store: Store, provider: EmbeddedProvider | RemoteProvider | None = None) -> Registrar:
    """Return a registrar over the store; without a provider, the embedded one with a hash that costs nothing."""
    return Registrar(engine(store, provider or EmbeddedPasswords(CheapHasher())), Policy())


def intent() -> Intent:
    """Return what a new person asks for; names are evenly spread, as those of people are."""
    name = f"{IDS.token() & _HALF:016x}"
    return Intent(
        email=f"{name}@example.org",
        password=Secret(PASSWORD),
        username=f"user-{name}",
        full_name="Ada Lovelace",
        role="Creator",
        idempotency_key=IDS.uuid(),
    )


def prepared(asked: Intent) -> Ask:
    """Return an intent canonicalised, checked and fingerprinted."""
    return prepare(_ENGINE, Policy(), asked)


_ENGINE = engine(MemoryStore(CLOCK.now), EmbeddedPasswords(CheapHasher()))


def sign_up(given: Intent | None = None) -> list[Write]:
    """Return the one commit of a new person's sign-up with the embedded provider, its writes in order."""
    ask = prepared(given or intent())
    identity = Identity(id=IDS.uuid(), state=IdentityState.HELD, credential=IDS.secret())
    _, writes = commits.whole(ask, identity, None, CLOCK.now(), _ENGINE.options)
    return [writes[position] for position in in_order(writes)]


async def register(semel: Semel, asked: Intent) -> Registered:
    """Ask as an application does."""
    return await semel.register(
        email=asked.email,
        password=asked.password,
        username=asked.username,
        full_name=asked.full_name,
        role=asked.role,
        idempotency_key=asked.idempotency_key,
    )
