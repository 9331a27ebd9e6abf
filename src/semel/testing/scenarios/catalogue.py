"""The list of scenarios. Each name says who meets: see ``PEOPLE`` for what each does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from semel.intents import Intent, federated_intent
from semel.invitations import acceptance
from semel.model import Secret
from semel.registrar import LOOKS_AGAIN
from semel.stores.memory import MemoryStore
from semel.testing.explorer.doubles import ProviderService, StoreService
from semel.testing.explorer.runs import Make
from semel.testing.explorer.scenarios import Rest, Scenario
from semel.testing.fake_provider import FakeProvider, Variant
from semel.testing.scenarios import seeds
from semel.testing.scenarios.doubles import RefusingStore, RejectingProvider
from semel.testing.scenarios.judge import EngineJudge
from semel.testing.scenarios.outbox import outbox_scenarios
from semel.testing.scenarios.parties import (
    EXPIRY,
    Setting,
    again,
    caller,
    confirming,
    correcting,
    deleting,
    revoking,
    several,
    signing_in,
    stopping,
    upkeep,
)
from semel.testing.scenarios.proofs import proof_scenarios
from semel.testing.scenarios.seeds import ANN, FEDERATED, P0, P1, P2, P3
from semel.upkeep import BUILT_IN

__all__ = ["PEOPLE", "built_in", "scenario"]

_KEY: Final = "the key of ann's form"
_SECOND: Final = timedelta(seconds=1)
_PAST_LEASE: Final = 40 * _SECOND
_PAST_HORIZON: Final = 1000 * _SECOND

Person = Callable[[Setting], Make]
_Meetings = tuple[str, ...]


def _form(key: str | None, password: Secret = P1, email: str = ANN, username: str | None = None) -> Intent:
    return Intent(email=email, password=password, username=username, idempotency_key=key)


def _federated(**changes: object) -> Intent:
    """Return ann's federated sign-in, with something changed."""
    return msgspec.structs.replace(FEDERATED, **changes)


def _accepts(key: str | None, password: Secret = P1, username: str | None = None) -> Intent:
    """Return what accepting ann's invitation asks for."""
    return acceptance(seeds.INVITATION, Intent(password=password, username=username, idempotency_key=key))


PEOPLE: Final[Mapping[str, Person]] = {
    "key": lambda to: caller(to, _form(_KEY)),
    "same": lambda to: caller(to, _form(_KEY)),
    "other-password": lambda to: caller(to, _form(_KEY, P2)),
    "other-payload": lambda to: caller(to, _form(_KEY, email="hal@example.org")),
    "again": lambda to: again(to, _form(_KEY, P2)),
    "retry": lambda to: caller(to, _form(_KEY), tries=2),
    "proved": lambda to: caller(to, msgspec.structs.replace(_form("the key of a proof", P3), proved=True)),
    "confirms": lambda _: confirming(ANN),
    "corrects": lambda _: correcting(seeds.SOMEBODY, "cora@example.org"),
    "rival": lambda to: caller(to, _form("the key of a rival", P3)),
    "no-key": lambda to: caller(to, _form(None)),
    "no-key-twin": lambda to: caller(to, _form(None)),
    "no-key-other-password": lambda to: caller(to, _form(None, P2)),
    "no-key-u": lambda to: caller(to, _form(None, username="ulysses")),
    "two-in-one": lambda to: several(to, _form(_KEY), _form("the key of a rival", P3)),
    "twice-in-one": lambda to: several(to, _form(_KEY), _form(_KEY)),
    "stopping": lambda to: stopping(to, _form(_KEY)),
    "both": lambda to: caller(to, _form("the key of ann and u", username="ulysses")),
    "both-rival": lambda to: caller(to, _form("another key of ann and u", P3, username="ulysses")),
    "ann-and-u": lambda to: caller(to, _form("the key of ann and u", email=ANN, username="ulysses")),
    "bob-and-u": lambda to: caller(to, _form("the key of bob and u", email="bob@example.org", username="ulysses")),
    "phone-and-ann": lambda to: caller(
        to, Intent(email=ANN, phone="+493012345678", password=P3, idempotency_key="the key of a phone")
    ),
    "phone-and-bob": lambda to: caller(
        to,
        Intent(email="bob@example.org", phone="+493012345678", password=P3, idempotency_key="the key of bob's phone"),
    ),
    "federated": lambda to: caller(to, FEDERATED),
    "federated-twin": lambda to: caller(to, FEDERATED),
    "federated-renamed": lambda to: caller(to, _federated(full_name="Ann of another name")),
    "federated-tabs": lambda to: several(to, FEDERATED, FEDERATED),
    "federated-tab": lambda to: caller(to, _federated(idempotency_key="federated sign-in of ann in another tab")),
    "federated-no-key": lambda to: caller(to, _federated(idempotency_key=None)),
    "federated-unproved": lambda to: caller(
        to, _federated(idempotency_key="a federated sign-in that proves nothing", proved=False)
    ),
    "federated-u": lambda to: caller(to, _federated(username="ulysses")),
    "federated-rival": lambda to: caller(
        to,
        msgspec.structs.replace(federated_intent("https://issuer.example.org", "another"), username="ulysses"),
    ),
    "accepts": lambda to: caller(to, _accepts("the key of an acceptance")),
    "accepts-twin": lambda to: caller(to, _accepts("the key of an acceptance")),
    "accepts-rival": lambda to: caller(to, _accepts("the key of another acceptance", P3)),
    "accepts-u": lambda to: caller(to, _accepts("the key of an acceptance", username="ulysses")),
    "revokes": lambda to: revoking(to, seeds.INVITATION.id),
    "expiry": lambda to: upkeep(to, (EXPIRY,)),
    "sign-in": lambda to: signing_in(to, ANN, P1),
    "sign-in-0": lambda to: signing_in(to, ANN, P0),
    "upkeep": upkeep,
    "upkeep-2": upkeep,
    "rescue": lambda to: upkeep(to, BUILT_IN[:1]),
    "removal": lambda to: upkeep(to, BUILT_IN[1:2]),
    "removal-2": lambda to: upkeep(to, BUILT_IN[1:2]),
    "replay": lambda to: caller(to, _form(seeds.KEY, P0)),
    "replay-other-password": lambda to: caller(to, _form(seeds.KEY, P2)),
    "delete": lambda to: deleting(to, seeds.ACCOUNT),
    "delete-2": lambda to: deleting(to, seeds.ACCOUNT),
}
"""Who may meet. All want the email ``ann@example.org``, but where their names say otherwise."""

_ABOUT: Final = {
    "fresh": "nobody has the email",
    "owned": "an account owns the email",
    "foreign": "somebody's identity at the provider has the email, and no account",
    "forged": "somebody's identity at the provider bears a forged marker",
    "planted": "somebody planted an identity with the email a day ago, and it was never confirmed",
    "young": "somebody made an identity with the email a moment ago, and it is not confirmed yet",
    "dead": "a registration of a worker that died holds the email",
    "removal": "a registration failed, and its identity is still at the provider",
    "removal-due": "a registration failed so long ago that its removal is about to be forgotten; the identity is there",
    "retained": "a registration failed long ago and is about to be forgotten",
    "visited": "a federated sign-in made the person an account some time ago",
    "two-names": "an account owns the email and a username",
    "astray": "an account of somebody else's has an identity that was given the email at the provider",
    "reused": "an account owns the email, and the key that made it has made another since",
    "refusing": "nobody has the email, and the application refuses every account",
    "rejecting": "nobody has the email, and the provider takes nobody",
    "invited": "nobody has the email, which was invited",
    "invited-owned": "an account owns the email and never proved it; the email was invited",
    "invited-dead": "a worker that accepted the invitation of the email died",
}

_REFUSES: Final = {
    "foreign": "identity_already_exists",
    "forged": "identity_already_exists",
    "planted": "identity_already_exists",
    "young": "identity_already_exists",
    "astray": "identity_already_exists",
    "refusing": "application_refused",
    "rejecting": "provider_refused",
}
"""With what a world may refuse whoever wants the email."""

_FRESH: Final[_Meetings] = (
    "key",
    "key same",
    "key other-password",
    "key other-payload",
    "key again",
    "key rival",
    "key no-key",
    "no-key no-key-twin",
    "no-key no-key-other-password",
    "ann-and-u bob-and-u",
    "ann-and-u phone-and-ann",
    "phone-and-ann phone-and-bob",
    "retry other-password",
    "retry rival",
    "both both-rival",
    "no-key no-key-u",
    "federated federated-twin",
    "federated federated-tab",
    "federated federated-no-key",
    "federated federated-unproved",
    "federated-u federated-rival",
    "federated key",
)
_OWNED: Final[_Meetings] = (
    "replay",
    "replay-other-password",
    "replay replay-other-password",
    "delete replay",
    "delete key",
    "delete delete-2",
)
_INVITED: Final[tuple[tuple[str, _Meetings], ...]] = (
    (
        "invited",
        (
            "accepts",
            "accepts accepts-twin",
            "accepts accepts-rival",
            "accepts revokes",
            "accepts expiry",
            "accepts key",
            "accepts-u no-key-u",
        ),
    ),
    ("invited-owned", ("accepts", "accepts replay", "accepts delete", "accepts accepts-rival")),
)
_INVITED_REMOTE: Final[tuple[tuple[str, _Meetings], ...]] = (
    ("invited", ("accepts upkeep", "accepts sign-in")),
    ("invited-owned", ("accepts sign-in-0", "accepts upkeep")),
    ("invited-dead", ("rescue accepts-rival", "rescue revokes", "accepts-rival")),
)
_REMOTE: Final[tuple[tuple[str, _Meetings], ...]] = (
    ("fresh", (*_FRESH, "key upkeep", "retry upkeep", "key sign-in", "stopping")),
    ("fresh", ("key rival removal", "key rival rescue", "key same rescue", "key sign-in upkeep")),
    ("refusing", ("key", "key same", "key upkeep", "retry")),
    ("rejecting", ("key", "key same")),
    ("two-names", ("delete", "delete both")),
    ("owned", (*_OWNED, "delete sign-in-0", "delete replay upkeep", "delete key removal")),
    ("astray", ("key", "key upkeep")),
    (
        "foreign",
        ("key", "key rival", "key other-payload", "key upkeep", "key sign-in-0", "sign-in-0", "sign-in-0 upkeep"),
    ),
    ("dead", ("upkeep upkeep-2", "upkeep same", "upkeep rival", "rival same")),
    ("removal", ("upkeep key", "upkeep replay", "upkeep sign-in-0", "key sign-in-0", "upkeep upkeep-2")),
    ("removal-due", ("upkeep", "upkeep upkeep-2", "upkeep sign-in-0", "upkeep key", "key sign-in-0")),
    ("removal-due", ("removal removal-2 sign-in-0", "removal key sign-in-0")),
    ("retained", ("key same", "key upkeep")),
)
_EMBEDDED: Final[tuple[tuple[str, _Meetings], ...]] = (
    ("fresh", (*_FRESH, "two-in-one", "twice-in-one", "stopping same", "federated federated-renamed")),
    ("visited", ("federated federated-tab", "federated-tabs", "delete federated")),
    ("owned", _OWNED),
    ("refusing", ("key", "key same", "retry")),
    ("two-names", ("delete", "delete both")),
    ("reused", ("delete",)),
)
_SLOW: Final = ("key rival", "key same", "key other-password", "no-key no-key-twin", "two-in-one", "twice-in-one")
_FORGETFUL: Final = frozenset({"two-in-one", "twice-in-one", "federated-tabs", "stopping"})
"""Parties that remember more than the engine says."""
_NAMED: Final = ("key rival", "key other-password", "key upkeep")
_PLANTED: Final[tuple[tuple[str, _Meetings], ...]] = (
    (
        "planted",
        ("key", "proved", "proved sign-in-0", "proved upkeep", "proved confirms", "proved key", "confirms upkeep"),
    ),
    ("planted", ("proved corrects",)),
    ("young", ("proved", "proved upkeep")),
)
_PLANTED_AFTER: Final = timedelta(hours=1).total_seconds()
_FORGED: Final = ("key", "key upkeep")

_LIVELY: Final = frozenset(
    {
        "key",
        "same",
        "other-password",
        "rival",
        "no-key",
        "no-key-twin",
        "no-key-other-password",
        "ann-and-u",
        "bob-and-u",
        "retry",
        "federated",
    }
)
"""Of these, where nothing goes wrong and nobody has the email, somebody gets in."""


def built_in(setting: Setting | None = None) -> Iterator[Scenario]:
    """Yield every built-in scenario, over this setting's engine (the shipped one by default)."""
    remote = setting or Setting()
    embedded = msgspec.structs.replace(remote, embedded=True)
    # Nobody looks first whose time to wait is over.
    slow = msgspec.structs.replace(embedded, slow=True, options=msgspec.structs.replace(remote.options, wait=1.0))
    for world, meetings in (*_REMOTE, *_INVITED, *_INVITED_REMOTE):
        yield from (scenario(remote, world, names) for names in meetings)
    yield from (scenario(remote, "forged", names, Variant.MARKER) for names in _FORGED)
    yield from (scenario(remote, "fresh", names, Variant.NAMED) for names in _NAMED)
    planting = msgspec.structs.replace(
        remote, options=msgspec.structs.replace(remote.options, planted_after=_PLANTED_AFTER)
    )
    for world, meetings in _PLANTED:
        yield from (scenario(planting, world, names) for names in meetings)
    for world, meetings in (*_EMBEDDED, *_INVITED):
        yield from (scenario(embedded, world, names) for names in meetings)
    yield from (scenario(slow, "fresh", names) for names in _SLOW)
    yield from outbox_scenarios(embedded)
    yield from proof_scenarios(remote)


def scenario(setting: Setting, world: str, names: str, variant: Variant = Variant.OWN) -> Scenario:
    """Return the scenario in which these people meet in this world; ``names`` are parted by spaces."""
    people = names.split()
    records, state, foreign = seeds.WORLDS[world](setting, variant)
    where = str(variant) if not setting.embedded else "slow" if setting.slow else "embedded"
    store = StoreService(records, RefusingStore if world == "refusing" else MemoryStore)
    provider = ProviderService(state, variant, RejectingProvider if world == "rejecting" else FakeProvider)
    return Scenario(
        name=f"{where}/{world}/{'+'.join(people)}",
        about=f"{_ABOUT[world]}; {', '.join(people)} meet",
        parties={name: PEOPLE[name](setting) for name in people},
        services={"store": store} if setting.embedded else {"store": store, "provider": provider},
        judge=_judge(None if setting.embedded else variant, world, people, foreign),
        rest=_rest(setting),
        jump=_PAST_LEASE,
        jumps=0 if setting.embedded else 1,
        long=timedelta(seconds=setting.options.failed_kept) + _PAST_HORIZON,
        longs=1 if world == "retained" else 0,
        hang_up=True,
        memories=frozenset() if _FORGETFUL & set(people) else frozenset({LOOKS_AGAIN}),
    )


def _judge(variant: Variant | None, world: str, people: Sequence[str], foreign: frozenset[str]) -> EngineJudge:
    return EngineJudge(
        variant,
        foreign,
        tuple(one.reveal() for one in (P0, P1, P2, P3)),
        lively=world == "fresh" and set(people) <= _LIVELY,
        refuses=frozenset({_REFUSES[world]} if world in _REFUSES else ()),
        astray=frozenset({seeds.ACCOUNT} if world == "astray" else ()),
        may_go=foreign if world == "planted" and "proved" in people else frozenset(),
    )


def _rest(setting: Setting) -> Rest:
    return Rest(
        upkeep=upkeep(setting),
        near=(_PAST_LEASE, _PAST_LEASE),
        far=(_PAST_HORIZON, _PAST_HORIZON, _PAST_HORIZON, 0 * _SECOND),
        afterwards=caller(setting, _form(_KEY)),
    )
