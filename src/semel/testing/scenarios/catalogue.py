"""The list of scenarios. Each name says who meets: see ``PEOPLE`` for what each does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from semel.intents import Intent
from semel.model import Record, Secret
from semel.registrar import LOOKS_AGAIN
from semel.states import Door
from semel.testing.explorer.doubles import ProviderService, StoreService
from semel.testing.explorer.runs import Make
from semel.testing.explorer.scenarios import Rest, Scenario
from semel.testing.fake_provider import State, Variant
from semel.testing.scenarios import seeds
from semel.testing.scenarios.judge import EngineJudge
from semel.testing.scenarios.parties import Setting, again, caller, deleting, signing_in, upkeep
from semel.testing.scenarios.seeds import ANN, P0, P1, P2, P3
from semel.upkeep import BUILT_IN

__all__ = ["PEOPLE", "built_in", "scenario"]

_KEY: Final = "the key of ann's form"
_SECOND: Final = timedelta(seconds=1)
_PAST_LEASE: Final = 40 * _SECOND
_PAST_HORIZON: Final = 1000 * _SECOND

Person = Callable[[Setting], Make]


def _form(key: str | None, password: Secret = P1, email: str = ANN, username: str | None = None) -> Intent:
    return Intent(email=email, password=password, username=username, idempotency_key=key)


def _federated() -> Intent:
    issuer = ("https://issuer.example.org", "ann")
    return Intent(
        door=Door.FEDERATED, email=ANN, federated=issuer, idempotency_key="federated sign-in of ann", proved=True
    )


PEOPLE: Final[Mapping[str, Person]] = {
    "key": lambda to: caller(to, _form(_KEY)),
    "same": lambda to: caller(to, _form(_KEY)),
    "other-password": lambda to: caller(to, _form(_KEY, P2)),
    "other-payload": lambda to: caller(to, _form(_KEY, email="hal@example.org")),
    "again": lambda to: again(to, _form(_KEY, P2)),
    "retry": lambda to: caller(to, _form(_KEY), tries=2),
    "rival": lambda to: caller(to, _form("the key of a rival", P3)),
    "no-key": lambda to: caller(to, _form(None)),
    "no-key-twin": lambda to: caller(to, _form(None)),
    "no-key-other-password": lambda to: caller(to, _form(None, P2)),
    "ann-and-u": lambda to: caller(to, _form("the key of ann and u", email=ANN, username="ulysses")),
    "bob-and-u": lambda to: caller(to, _form("the key of bob and u", email="bob@example.org", username="ulysses")),
    "phone-and-ann": lambda to: caller(
        to, Intent(email=ANN, phone="+493012345678", password=P3, idempotency_key="the key of a phone")
    ),
    "phone-and-bob": lambda to: caller(
        to,
        Intent(email="bob@example.org", phone="+493012345678", password=P3, idempotency_key="the key of bob's phone"),
    ),
    "federated": lambda to: caller(to, _federated()),
    "federated-twin": lambda to: caller(to, _federated()),
    "sign-in": lambda to: signing_in(to, ANN, P1),
    "sign-in-0": lambda to: signing_in(to, ANN, P0),
    "upkeep": upkeep,
    "upkeep-2": upkeep,
    "rescue": lambda to: upkeep(to, BUILT_IN[:1]),
    "removal": lambda to: upkeep(to, BUILT_IN[1:2]),
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
    "dead": "a registration of a worker that died holds the email",
    "removal": "a registration failed, and its identity is still at the provider",
    "retained": "a registration failed long ago and is about to be forgotten",
}

_FRESH: Final = (
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
    "federated federated-twin",
    "federated key",
)
_OWNED: Final = (
    "replay",
    "replay-other-password",
    "replay replay-other-password",
    "delete replay",
    "delete key",
    "delete delete-2",
)
_REMOTE: Final = (
    ("fresh", (*_FRESH, "key upkeep", "retry upkeep", "key sign-in")),
    ("fresh", ("key rival removal", "key same rescue", "key sign-in upkeep")),
    ("owned", (*_OWNED, "delete sign-in-0", "delete replay upkeep", "delete key upkeep")),
    ("foreign", ("key", "key rival", "key upkeep", "key sign-in-0", "sign-in-0", "sign-in-0 upkeep")),
    ("dead", ("upkeep upkeep-2", "upkeep same", "upkeep rival", "rival same")),
    ("removal", ("upkeep key", "upkeep replay", "upkeep sign-in-0", "key sign-in-0", "upkeep upkeep-2")),
    ("retained", ("key same", "key upkeep")),
)
_NAMED: Final = ("key rival", "key other-password", "key upkeep")
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
    embedded = _embedded(remote)
    for world, meetings in _REMOTE:
        yield from (scenario(remote, world, names) for names in meetings)
    yield from (scenario(remote, "forged", names, Variant.MARKER) for names in _FORGED)
    yield from (scenario(remote, "fresh", names, Variant.NAMED) for names in _NAMED)
    yield from (scenario(embedded, "fresh", names) for names in _FRESH)
    yield from (scenario(embedded, "owned", names) for names in _OWNED)


def _embedded(setting: Setting) -> Setting:
    return Setting(embedded=True, options=setting.options, engine=setting.engine, registrar=setting.registrar)


def scenario(setting: Setting, world: str, names: str, variant: Variant = Variant.OWN) -> Scenario:
    """Return the scenario in which these people meet in this world; ``names`` are parted by spaces."""
    people = names.split()
    records, state, foreign = _world(setting, world, variant)
    where = "embedded" if setting.embedded else str(variant)
    lively = world == "fresh" and set(people) <= _LIVELY
    services = {"store": StoreService(records)}
    return Scenario(
        name=f"{where}/{world}/{'+'.join(people)}",
        about=f"{_ABOUT[world]}; {', '.join(people)} meet",
        parties={name: PEOPLE[name](setting) for name in people},
        services=services if setting.embedded else {**services, "provider": ProviderService(state, variant)},
        judge=EngineJudge(
            None if setting.embedded else variant,
            foreign,
            tuple(one.reveal() for one in (P0, P1, P2, P3)),
            lively=lively,
        ),
        rest=Rest(
            upkeep=upkeep(setting),
            near=(_PAST_LEASE, _PAST_LEASE),
            far=(_PAST_HORIZON, _PAST_HORIZON, _PAST_HORIZON, 0 * _SECOND),
        ),
        jump=_PAST_LEASE,
        jumps=0 if setting.embedded else 1,
        long=timedelta(seconds=setting.options.failed_kept) + _PAST_HORIZON,
        longs=1 if world == "retained" else 0,
        hang_up=True,
        memories=frozenset({LOOKS_AGAIN}),
    )


def _world(setting: Setting, world: str, variant: Variant) -> tuple[tuple[Record, ...], State, frozenset[str]]:
    return seeds.WORLDS[world](setting, variant)
