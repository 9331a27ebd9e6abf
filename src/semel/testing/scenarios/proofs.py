"""Scenarios around the proof of an email: it meets sign-ups, acceptances, expiry, deletion, and its like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from semel.intents import Intent
from semel.invitations import acceptance
from semel.model import Secret
from semel.registrar import LOOKS_AGAIN
from semel.states import LinkPurpose
from semel.stores.memory import MemoryStore
from semel.testing.explorer.doubles import ProviderService, StoreService
from semel.testing.explorer.runs import Make
from semel.testing.explorer.scenarios import Rest, Scenario
from semel.testing.fake_provider import Variant
from semel.testing.scenarios.doubles import ReferringStore
from semel.testing.scenarios.judge import ProofJudge
from semel.testing.scenarios.parties import Setting, caller, deleting, signing_in
from semel.testing.scenarios.proof_parties import (
    PROVING,
    all_upkeep,
    asking,
    changing,
    changing_again,
    entering,
    expiring,
    new_password,
    opening,
    switching,
    taking_over,
    trying,
)
from semel.testing.scenarios.proof_seeds import (
    BOB,
    CAROL,
    CHANGE,
    PROOF_WORLDS,
    RECOVERY,
    SQUATTER,
    first_link,
    registration,
)
from semel.testing.scenarios.seeds import ACCOUNT, ANN, INVITATION, P0, P1, P2, P3

__all__ = ["proof_scenarios"]

_AFTER_REST: Final = timedelta(seconds=40)
_PAST_HORIZON: Final = timedelta(seconds=1000)
_WAIT: Final = 0.001
"""Long enough that a request looks a second time."""

Person = Callable[[Setting, Variant], Make]


def _form(email: str, password: Secret) -> Intent:
    return Intent(email=email, password=password, idempotency_key=f"the key of a form of {email}")


def _accepting(email: str) -> Person:
    invitation = msgspec.structs.replace(INVITATION, email=email, email_canonical=email)
    intent = acceptance(invitation, Intent(password=P1, idempotency_key="the key of an acceptance"))
    return lambda to, _: caller(to, intent)


_PEOPLE: Final[Mapping[str, Person]] = {
    "proves": lambda to, how: opening(to, first_link(to, how), signed_up=(registration(to), P0)),
    "proves-too": lambda to, how: opening(to, first_link(to, how), signed_up=(registration(to), P0)),
    "proves-new": lambda to, how: opening(to, first_link(to, how), password=P2),
    "proves-newer": lambda to, how: opening(to, first_link(to, how), password=P3),
    "squatter-proves": lambda to, how: opening(to, first_link(to, how, SQUATTER), password=P2),
    "recovers": lambda to, _: opening(to, RECOVERY, password=P2),
    "recovers-too": lambda to, _: opening(to, RECOVERY, password=P3),
    "recovers-again": lambda to, _: trying(opening(to, RECOVERY, password=P2), opening(to, RECOVERY, password=P3)),
    "resends": lambda to, _: asking(to, ACCOUNT, LinkPurpose.VERIFY),
    "changes": lambda to, _: changing(to, ACCOUNT, CHANGE, (BOB,)),
    "changes-too": lambda to, _: changing(to, ACCOUNT, CHANGE, (BOB,)),
    "changes-first": lambda to, _: changing(to, ACCOUNT, CHANGE, (BOB,), last=False),
    "changes-then": lambda to, _: changing_again(to, ACCOUNT, CAROL),
    "changes-twice": lambda to, _: changing(to, ACCOUNT, CHANGE, (BOB, CAROL)),
    "to-and-fro": lambda to, _: changing(to, ACCOUNT, CHANGE, (BOB, ANN, BOB)),
    "asks": lambda to, _: asking(to, ACCOUNT, LinkPurpose.CHANGE_EMAIL, CAROL),
    "key": lambda to, _: caller(to, _form(ANN, P1)),
    "key-of-bob": lambda to, _: caller(to, _form(BOB, P1)),
    "accepts": _accepting(ANN),
    "accepts-as-bob": _accepting(BOB),
    "delete": lambda to, _: deleting(to, ACCOUNT),
    "new-password": lambda to, _: new_password(to, ANN, P0, P2),
    "new-password-too": lambda to, _: new_password(to, ANN, P0, P3),
    "sign-in-0": lambda to, _: signing_in(to, ANN, P0, stays=False),
    "enters-0": lambda to, _: entering(to, ANN, P0),
    "takes-over-0": lambda to, _: taking_over(to, ANN, P0, CAROL),
    "deactivates": lambda to, _: switching(to, ACCOUNT, "off"),
    "activates": lambda to, _: switching(to, ACCOUNT, "on"),
    "switches": lambda to, _: switching(to, ACCOUNT, "off", "on"),
    "expiry": lambda to, _: expiring(to),
    "upkeep": lambda to, _: all_upkeep(to),
}

_ABOUT: Final = {
    "unproved": "an account awaits the proof of its email",
    "overdue": "an account has awaited the proof of its email for too long",
    "referred": "an account has awaited its proof for too long, and the application's rows refer to it",
    "recovering": "an account that never proved its email has a link to a new password",
    "unproved-invited": "an account awaits the proof of its email, which was invited",
    "recovering-proved": "an account that has proved its email has a link to a new password",
    "proved": "an account has proved its email",
    "changing": "an account has a link to another email",
    "changing-squatted": "an account has a link to an email that somebody has signed up with",
    "changing-invited": "an account has a link to an email that was invited",
    "changing-foreign": "an account has a link to an email that somebody has at the provider",
    "held-invited": "a sign-up that died holds an email, which was invited",
}

_EITHER: Final = (
    ("unproved", ("proves", "proves proves-too", "proves-new proves-newer", "proves proves-new", "proves key")),
    ("unproved", ("proves delete", "proves-new delete", "proves resends")),
    ("unproved-invited", ("proves accepts", "proves-new accepts")),
    ("overdue", ("expiry", "proves expiry", "proves-new expiry", "expiry key")),
    ("referred", ("expiry", "proves expiry", "expiry key")),
    ("recovering", ("recovers", "recovers recovers-too", "recovers delete", "recovers proves-new")),
    ("recovering-proved", ("recovers new-password",)),
    ("changing", ("changes", "changes changes-too", "changes key-of-bob", "changes delete", "changes asks")),
    ("changing", ("changes key", "changes-twice", "to-and-fro", "changes new-password", "changes-first changes-then")),
    ("changing-squatted", ("changes", "changes squatter-proves")),
    ("changing-invited", ("changes accepts-as-bob",)),
    ("proved", ("new-password", "new-password new-password-too", "new-password delete")),
)
_REMOTE: Final = (
    ("unproved", ("proves-new sign-in-0", "proves-new upkeep")),
    ("overdue", ("expiry sign-in-0", "expiry sign-in-0 upkeep")),
    ("recovering", ("recovers sign-in-0", "recovers-again", "recovers-again upkeep")),
    ("recovering-proved", ("recovers-again", "recovers deactivates")),
    ("changing", ("changes upkeep", "changes-twice upkeep", "changes-twice key", "changes sign-in-0")),
    ("changing", ("changes deactivates", "changes switches", "changes delete upkeep")),
    ("changing-squatted", ("changes upkeep",)),
    ("changing-foreign", ("changes", "changes key", "changes upkeep", "changes sign-in-0", "changes deactivates")),
    ("proved", ("switches", "switches upkeep", "deactivates sign-in-0", "deactivates activates")),
    ("proved", ("deactivates delete",)),
    ("held-invited", ("accepts", "accepts upkeep")),
)
_APART: Final = (
    ("unproved", ("proves-new enters-0", "proves-new takes-over-0")),
    ("recovering", ("recovers enters-0", "recovers takes-over-0")),
)
"""Over a store that reads several records each at a moment of its own."""
_NAMED: Final = (
    ("recovering", ("recovers", "recovers delete")),
    ("changing", ("changes upkeep", "to-and-fro")),
    ("changing-squatted", ("changes",)),
    ("changing-foreign", ("changes deactivates",)),
    ("overdue", ("proves expiry",)),
)
"""At a provider that has ids of its own."""
_REGISTERS: Final = frozenset({"key", "key-of-bob", "accepts", "accepts-as-bob"})


_WHERE: Final = {Variant.OWN: "proof", Variant.NAMED: "proof-named"}


def proof_scenarios(setting: Setting) -> Iterator[Scenario]:
    """Yield them, over this setting's engine."""
    options = msgspec.structs.replace(setting.options, proving=PROVING, wait=_WAIT)
    remote = msgspec.structs.replace(setting, embedded=False, options=options)
    embedded = msgspec.structs.replace(remote, embedded=True)
    for each, meetings in ((embedded, _EITHER), (remote, (*_EITHER, *_REMOTE))):
        for world, all_names in meetings:
            yield from (_scenario(each, world, names) for names in all_names)
    for world, all_names in _APART:
        yield from (_scenario(embedded, world, names, apart=True) for names in all_names)
    for world, all_names in _NAMED:
        yield from (_scenario(remote, world, names, Variant.NAMED) for names in all_names)


def _scenario(
    setting: Setting, world: str, names: str, variant: Variant = Variant.OWN, *, apart: bool = False
) -> Scenario:
    people = names.split()
    records, state, foreign = PROOF_WORLDS["overdue" if world == "referred" else world](setting, variant)
    store = StoreService(records, ReferringStore if world == "referred" else MemoryStore, apart=apart)
    where = "proof-apart" if apart else "proof-embedded" if setting.embedded else _WHERE[variant]
    registers = bool(_REGISTERS & {*people})
    return Scenario(
        name=f"{where}/{world}/{'+'.join(people)}",
        about=f"{_ABOUT[world]}; {', '.join(people)} meet",
        parties={name: _PEOPLE[name](setting, variant) for name in people},
        services={"store": store}
        if setting.embedded
        else {"store": store, "provider": ProviderService(state, variant)},
        judge=_judge(None if setting.embedded else variant, world, {*people}, foreign),
        rest=Rest(
            upkeep=all_upkeep(setting),
            near=(_AFTER_REST, _AFTER_REST),
            far=(_PAST_HORIZON, _PAST_HORIZON, _PAST_HORIZON, timedelta()),
            afterwards=caller(setting, _form(ANN, P1)),
        ),
        jump=_AFTER_REST,
        jumps=1 if registers and not setting.embedded else 0,
        memories=frozenset({LOOKS_AGAIN}),
    )


_NEVER_PROVED: Final = frozenset({"unproved", "overdue", "referred", "recovering", "unproved-invited"})


def _judge(variant: Variant | None, world: str, people: set[str], foreign: frozenset[str]) -> ProofJudge:
    judge: dict[str, Any] = {
        "variant": variant,
        "foreign": foreign,
        "secrets": tuple(one.reveal() for one in (P0, P1, P2, P3)),
        "mortal": "delete" in people,
    }
    strange = world in _NEVER_PROVED and not people & {"proves", "proves-too"}
    return ProofJudge(judge, P0 if strange else None)
