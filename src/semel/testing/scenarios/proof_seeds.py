"""The worlds around the proof of an email: accounts that await theirs, or have it, and the links that lead on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from semel.intents import Intent
from semel.model import Account, Identity, Invited, Link, OutboxEvent, Record
from semel.protocol import commits
from semel.protocol.linking import link_for
from semel.states import IdentityState, LinkPurpose
from semel.testing.clock import START
from semel.testing.fake_provider import FakeProvider, State, Variant
from semel.testing.scenarios.parties import Setting
from semel.testing.scenarios.proof_parties import PROVING
from semel.testing.scenarios.seeds import (
    ACCOUNT,
    ANN,
    INVITATION,
    KEY,
    P0,
    P3,
    World,
    at_provider,
    hashed,
    prepared,
    written,
)

__all__ = ["BOB", "CAROL", "CHANGE", "PROOF_WORLDS", "RECOVERY", "SQUATTER", "first_link", "registration"]

BOB: Final = "bob@example.org"
CAROL: Final = "carol@example.org"
SQUATTER: Final = "the account of a squatter"
CHANGE: Final = "00000000-0000-7000-8000-00000000000c"
RECOVERY: Final = "00000000-0000-7000-8000-00000000000d"
_VERSION: Final = 7
_AN_HOUR: Final = timedelta(hours=1)


def registration(setting: Setting, key: str = KEY) -> str:
    """Return the id of the registration of a key."""
    return prepared(setting, Intent(email=ANN, password=P0, idempotency_key=key)).registration


def first_link(setting: Setting, variant: Variant, account_id: str = ACCOUNT) -> str:
    """Return the id of the link that proves an account's email for the first time."""
    records, _ = _made(setting, variant, account_id=account_id)
    return next(one.id for one in records if isinstance(one, Link))


def _made(  # noqa: PLR0913 - what differs
    setting: Setting,
    variant: Variant,
    *,
    email: str = ANN,
    account_id: str = ACCOUNT,
    proved: bool = False,
    before: State | None = None,
) -> tuple[tuple[Record, ...], State]:
    """An account that the engine made an hour ago; its mails are sent."""
    mine = account_id == ACCOUNT
    key, password = (KEY, P0) if mine else ("the key of a squatter", P3)
    ask = prepared(setting, Intent(email=email, password=password, idempotency_key=key, proved=proved))
    identity = Identity(
        id=account_id, state=IdentityState.HELD, credential=hashed(password) if setting.embedded else None
    )
    _, writes = commits.whole(ask, identity, None, START - _AN_HOUR, setting.options)
    records = tuple(one for one in written(writes) if not (isinstance(one, OutboxEvent) and one.is_mail))
    state = before or State()
    if not setting.embedded:
        state = at_provider(variant, account_id, password, email, state, confirmed=proved)
        known = state.identities[-1].provider_id
        records = tuple(one.but(provider_id=known) if isinstance(one, Identity) else one for one in records)
    return records, state


def _unproved(setting: Setting, variant: Variant) -> World:
    """An account that awaits the proof of its email, and its link."""
    return *_made(setting, variant), frozenset()


def _overdue(setting: Setting, variant: Variant) -> World:
    """The same, and its time is over; its link was sent again, and is good."""
    (records, state), nobody = _made(setting, variant), frozenset[str]()
    return tuple(one.but(due_at=START) if isinstance(one, Account) else one for one in records), state, nobody


def _recovering(setting: Setting, variant: Variant) -> World:
    """The same account, and a link that leads to a new password."""
    records, state = _made(setting, variant)
    return _with_link(records, LinkPurpose.RECOVER, RECOVERY, ANN), state, frozenset()


def _recovering_proved(setting: Setting, variant: Variant) -> World:
    """An account whose email is proved, and a link that leads to a new password."""
    records, state = _made(setting, variant, proved=True)
    return _with_link(records, LinkPurpose.RECOVER, RECOVERY, ANN), state, frozenset()


def _unproved_invited(setting: Setting, variant: Variant) -> World:
    """The same account; its email was invited as well."""
    records, state = _made(setting, variant)
    return (*records, *_invitation(ANN)), state, frozenset()


def _proved(setting: Setting, variant: Variant) -> World:
    """An account whose email is proved."""
    return *_made(setting, variant, proved=True), frozenset()


def _changing(setting: Setting, variant: Variant) -> World:
    """The same, and a link that gives it bob's email."""
    records, state = _made(setting, variant, proved=True)
    return _with_link(records, LinkPurpose.CHANGE_EMAIL, CHANGE, BOB), state, frozenset()


def _changing_squatted(setting: Setting, variant: Variant) -> World:
    """The same, and somebody has signed up with bob's email, and not proved it yet."""
    records, state, nobody = _changing(setting, variant)
    squatter, state = _made(setting, variant, email=BOB, account_id=SQUATTER, before=state)
    return (*records, *squatter), state, nobody


def _changing_invited(setting: Setting, variant: Variant) -> World:
    """The same, and bob's email was invited."""
    records, state, nobody = _changing(setting, variant)
    return (*records, *_invitation(BOB)), state, nobody


def _changing_foreign(setting: Setting, variant: Variant) -> World:
    """The same, and somebody's identity at the provider has bob's email."""
    records, state, _ = _changing(setting, variant)
    provider = FakeProvider(variant)
    provider.state = state
    somebody = provider.plant(BOB, P3)
    return records, provider.state, frozenset({somebody})


def _held_invited(setting: Setting, variant: Variant) -> World:
    """A worker that signed ann up died and holds her email; she proved nothing, and was invited."""
    before = START - _AN_HOUR
    ask = prepared(setting, Intent(email=ANN, password=P0, idempotency_key=KEY))
    held = commits.held_by(ask, ACCOUNT, "dead", before, setting.options)
    return (*written(commits.opening(held, None)), *_invitation(ANN)), at_provider(variant, ACCOUNT, P0), frozenset()


PROOF_WORLDS: Final[Mapping[str, Callable[[Setting, Variant], World]]] = {
    "unproved": _unproved,
    "overdue": _overdue,
    "recovering": _recovering,
    "recovering-proved": _recovering_proved,
    "unproved-invited": _unproved_invited,
    "proved": _proved,
    "changing": _changing,
    "changing-squatted": _changing_squatted,
    "changing-invited": _changing_invited,
    "changing-foreign": _changing_foreign,
    "held-invited": _held_invited,
}


def _with_link(records: Sequence[Record], purpose: LinkPurpose, link_id: str, email: str) -> tuple[Record, ...]:
    """Return an account's records, with one link more."""
    account = next(one for one in records if isinstance(one, Account))
    link = link_for(account, purpose, link_id, (email, email), START, PROVING).but(version=_VERSION)
    listed = account.but(links=(*account.links, link.id))
    return (*(listed if one is account else one for one in records), link)


def _invitation(email: str) -> tuple[Record, ...]:
    invitation = replace(INVITATION, email=email, email_canonical=email)
    return invitation, Invited(email=email, invitation=invitation.id, version=_VERSION)
