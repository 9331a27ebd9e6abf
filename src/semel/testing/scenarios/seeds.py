"""The worlds in which scenarios begin: records as the engine itself would have left them, and what the provider has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from semel.intents import Intent, Policy, federated_intent, prepare
from semel.invitations import acceptance
from semel.model import Identity, Invitation, Invited, Record, Registration, Secret
from semel.ports import Delete, NewIdentity, Replace, Write
from semel.protocol import commits
from semel.protocol.commits import Ask, Takes
from semel.states import IdentityState, InvitationState
from semel.stores.memory import MemoryStore
from semel.testing.clock import START, SequentialIds, VirtualClock
from semel.testing.explorer.runs import Ports
from semel.testing.fake_provider import FakeProvider, State, Variant
from semel.testing.hashers import CheapHasher
from semel.testing.scenarios.parties import Setting, finished

__all__ = [
    "ACCOUNT",
    "ANN",
    "FEDERATED",
    "INVITATION",
    "KEY",
    "P0",
    "P1",
    "P2",
    "P3",
    "SOMEBODY",
    "WORLDS",
    "World",
    "at_provider",
    "hashed",
    "prepared",
    "written",
]

ANN: Final = "ann@example.org"
P0, P1, P2, P3 = (Secret(f"correct horse {n}") for n in range(4))
KEY: Final = "the key that made ann's account"
ACCOUNT: Final = "the account of the seed"
SOMEBODY: Final = "somebody-1"
"""The provider's id of the first identity that somebody has planted."""
FEDERATED: Final = federated_intent("https://issuer.example.org", "ann", email=ANN)
_TOKEN: Final = 7
INVITATION: Final = Invitation(
    id="the invitation of ann",
    state=InvitationState.PENDING,
    email=ANN,
    email_canonical=ANN,
    role="Editor",
    token_hash="",
    invited_by="the administrator",
    created_at=START - timedelta(days=1),
    expires_at=START + timedelta(seconds=30),
    due_at=START + timedelta(seconds=30),
    version=_TOKEN,
)
"""Its time is over before a lease is."""

World = tuple[tuple[Record, ...], State, frozenset[str]]
"""Records, the provider's state, and the provider's ids of what is somebody's."""


def _nobody(setting: Setting, variant: Variant) -> World:
    del setting, variant
    return (), State(), frozenset()


def _owned(
    setting: Setting, variant: Variant, email: str = ANN, username: str | None = None, account_id: str = ACCOUNT
) -> World:
    """An account that the engine made a moment ago, of an email alone."""
    ask, options = _ask(setting, KEY, P0, email, username), setting.options
    credential = hashed(P0) if setting.embedded else None
    identity = Identity(id=account_id, state=IdentityState.HELD, credential=credential)
    _, writes = commits.whole(ask, identity, None, START, options)
    there = State() if setting.embedded else at_provider(variant, account_id, P0, email)
    return written(writes), there, frozenset()


def _visited(setting: Setting, variant: Variant) -> World:
    """An account that a federated sign-in of ann made an hour ago. For the embedded provider."""
    del variant
    ask = prepared(setting, FEDERATED)
    identity = Identity(id=ACCOUNT, state=IdentityState.HELD)
    _, writes = commits.whole(ask, identity, None, START - timedelta(hours=1), setting.options)
    return written(writes), State(), frozenset()


def _owned_twice_named(setting: Setting, variant: Variant) -> World:
    """An account of an email and a username."""
    return _owned(setting, variant, username="ulysses")


def _astray(setting: Setting, variant: Variant) -> World:
    """An account of bob's, whose identity somebody gave ann's email at the provider."""
    records, _, _ = _owned(setting, variant, email="bob@example.org")
    return records, at_provider(variant, ACCOUNT, P0), frozenset()


def _reused(setting: Setting, variant: Variant) -> World:
    """An account so old that its registration is forgotten; its key has made another account since, of bob's."""
    del variant
    old, _, _ = _owned(setting, Variant.OWN)
    new, _, _ = _owned(setting, Variant.OWN, email="bob@example.org", account_id=f"{ACCOUNT}, later")
    return (*(one for one in old if not isinstance(one, Registration)), *new), State(), frozenset()


def _foreign(setting: Setting, variant: Variant) -> World:
    del setting
    provider = FakeProvider(variant)
    somebody = provider.plant(ANN, P0)
    return (), provider.state, frozenset({somebody})


def _planted(setting: Setting, variant: Variant, age: timedelta = timedelta(days=1)) -> World:
    """Somebody signed up past us with ann's email, which was never confirmed."""
    del setting
    provider = FakeProvider(variant)
    somebody = provider.plant(ANN, P0, confirmed=False, created_at=START - age)
    return (), provider.state, frozenset({somebody})


def _young(setting: Setting, variant: Variant) -> World:
    """The same, a moment ago."""
    return _planted(setting, variant, timedelta(minutes=1))


def _forged(setting: Setting, variant: Variant) -> World:
    """Somebody copied the marker of an identity of ours, made for another email, on to theirs."""
    del setting
    made = at_provider(variant, ACCOUNT, P0, "bob@example.org").identities[0]
    provider = FakeProvider(variant)
    somebody = provider.plant(ANN, P0, label=made.label)
    return (), provider.state, frozenset({somebody})


def _dead(setting: Setting, variant: Variant) -> World:
    """The worker of ``key`` died between its create and commit 2; its lease has run out."""
    before = START - timedelta(hours=1)
    held = commits.held_by(_ask(setting, "the key of ann's form", P1), ACCOUNT, "dead", before, setting.options)
    return written(commits.opening(held, None)), at_provider(variant, ACCOUNT, P1), frozenset()


def _removal(setting: Setting, variant: Variant) -> World:
    """A registration under another key failed; its identity, with ann's email, is still at the provider."""
    ask = _ask(setting, KEY, P0)
    held = commits.held_by(ask, ACCOUNT, "dead", START, setting.options).at(_TOKEN)
    left = [write for write in commits.failing(held, "abandoned", START, setting.options) if isinstance(write, Replace)]
    return written(left), at_provider(variant, ACCOUNT, P0), frozenset()


def _removal_due(setting: Setting, variant: Variant) -> World:
    """The same, and its horizon is over: the next look that finds nothing forgets it."""
    (registration, identity), state, foreign = _removal(setting, variant)
    return (registration, identity.but(look_until=START)), state, foreign


def _invited(setting: Setting, variant: Variant) -> World:
    """Ann was invited; nobody has her email."""
    del setting, variant
    return (INVITATION, Invited(email=ANN, invitation=INVITATION.id, version=_TOKEN)), State(), frozenset()


def _invited_owned(setting: Setting, variant: Variant) -> World:
    """Ann was invited; somebody has signed up with her email, and proved nothing."""
    records, state, foreign = _owned(setting, variant)
    invited, _, _ = _invited(setting, variant)
    return (*records, *invited), state, foreign


def _invited_dead(setting: Setting, variant: Variant) -> World:
    """A worker that accepted ann's invitation died between its create and commit 2; its lease has run out."""
    before = START - timedelta(hours=1)
    ask = prepared(setting, acceptance(INVITATION, Intent(password=P1, idempotency_key="the key of ann's form")))
    held = commits.held_by(ask, ACCOUNT, "dead", before, setting.options, Takes(INVITATION))
    (_, invited), _, _ = _invited(setting, variant)
    return (*written(commits.opening(held, None)), invited), at_provider(variant, ACCOUNT, P1), frozenset()


def _retained(setting: Setting, variant: Variant) -> World:
    """``key`` failed long ago; its registration is remembered until now, and its removal is over."""
    del variant
    ask = _ask(setting, "the key of ann's form", P1)
    fence = commits.refused_after_doubt(ask, ACCOUNT, None, "abandoned", START, setting.options)
    record = fence.record.but(due_at=START)
    return (record.but(version=_TOKEN),), State(), frozenset()


WORLDS: Final[Mapping[str, Callable[[Setting, Variant], World]]] = {
    "fresh": _nobody,
    "refusing": _nobody,
    "rejecting": _nobody,
    "owned": _owned,
    "foreign": _foreign,
    "forged": _forged,
    "planted": _planted,
    "young": _young,
    "dead": _dead,
    "removal": _removal,
    "removal-due": _removal_due,
    "visited": _visited,
    "two-names": _owned_twice_named,
    "astray": _astray,
    "reused": _reused,
    "retained": _retained,
    "invited": _invited,
    "invited-owned": _invited_owned,
    "invited-dead": _invited_dead,
}


def _ask(setting: Setting, key: str, password: Secret, email: str = ANN, username: str | None = None) -> Ask:
    return prepared(setting, Intent(email=email, username=username, password=password, idempotency_key=key))


def prepared(setting: Setting, intent: Intent) -> Ask:
    """Return what a caller's own engine makes of an intent."""
    nobody = Ports(
        "seed", VirtualClock(), SequentialIds("seed"), _Nobody(), {"store": MemoryStore(), "provider": FakeProvider()}
    )
    return prepare(setting.engine_over(nobody), Policy(), intent)


class _Nobody:
    """Listens to no event."""

    def emit(self, name: str, fields: object) -> None:
        """See ``Events.emit``."""


def written(writes: Sequence[Write]) -> tuple[Record, ...]:
    """Return what a commit leaves."""
    return tuple(write.record.but(version=_TOKEN) for write in writes if not isinstance(write, Delete))


def at_provider(  # noqa: PLR0913 - what is so of an identity
    variant: Variant,
    account_id: str,
    password: Secret,
    email: str = ANN,
    before: State | None = None,
    *,
    confirmed: bool = False,
) -> State:
    """Return the provider with an identity of ours, and what it had before."""
    provider = FakeProvider(variant)
    provider.state = before or State()
    finished(provider.create(NewIdentity(account_id, email, password, confirmed=confirmed)))
    return provider.state


def hashed(password: Secret) -> str:
    """Return a password's credential, with the embedded provider."""
    return str(finished(CheapHasher().hash(password)))
