"""Sessions under every interleaving, crash, lost answer and late commit: nobody is signed out who should not be."""

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest
from typing_extensions import override

from semel.deletion import delete_account
from semel.errors import InvalidToken, SemelError
from semel.intents import Intent, Policy
from semel.keys import Keys, Purpose
from semel.model import Account, Secret, SessionFamily
from semel.protocol.engine import Engine
from semel.protocol.options import Options
from semel.providers.embedded import EmbeddedPasswords
from semel.registrar import Registrar
from semel.sessions import SessionKeeper, SessionOptions
from semel.stores.memory import MemoryStore, Table
from semel.testing import CheapHasher, SequentialIds, VirtualClock
from semel.testing.explorer import Ending, How, Judge, Make, Ports, Scenario, StoreService, explore
from semel.tokens import RefreshTokens, leaves_of, leaves_text
from semel.upkeep.sessions import expire
from tests.protocol.worlds import EMAIL, PASSWORD, Noted

OPTIONS = Options(wait=0.002, poll_first=1e-9)
"""Time for three tries."""

ENDED: Final = "ended"
"""What a party says that has ended the session, or found it at its end."""


def engine_over(ports: Ports) -> Engine:
    return Engine(
        ports.store,
        EmbeddedPasswords(CheapHasher()),
        clock=ports.clock,
        ids=ports.ids,
        events=ports.events,
        fingerprint_key=b"of these tests",
        options=OPTIONS,
    )


class Seed:
    """A store with one account and one session of it, whose first refresh token was spent long ago."""

    def __init__(self) -> None:
        asyncio.run(self._make())

    async def _make(self) -> None:
        clock = VirtualClock()
        store = MemoryStore(clock.now)
        ports = Ports("seed", clock, SequentialIds("seed"), Noted(), {"store": store})
        self.keys = await Keys.open(store, clock, ports.ids)
        await Registrar(engine_over(ports), Policy()).register(Intent(email=EMAIL, password=PASSWORD))
        keeper = self.keeper(ports)
        _, first = await keeper.sign_in(EMAIL, PASSWORD)
        _, second = await keeper.refresh(Secret(first.refresh_token))
        self.stale, self.token = Secret(first.refresh_token), Secret(second.refresh_token)
        self.access = Secret(second.access_token)
        records = tuple(store.table.values())
        (self.family,) = (one for one in records if isinstance(one, SessionFamily))
        live = leaves_text([leaf for leaf in leaves_of(self.family) if leaf.spent_at is None])
        self.records = tuple(one.but(leaves=live) if isinstance(one, SessionFamily) else one for one in records)

    def keeper(self, ports: Ports) -> SessionKeeper:
        return SessionKeeper(engine_over(ports), self.keys, SessionOptions(per_account=3))

    def is_live(self, token: str, table: Table) -> bool:
        """Tell whether a refresh token would be taken."""
        ticket = RefreshTokens(self.keys.secret(Purpose.REFRESH)).read(Secret(token))
        family = table.get((SessionFamily.TYPE, (ticket.family_id,)))
        live = (
            [leaf.hash for leaf in leaves_of(family) if leaf.spent_at is None]
            if isinstance(family, SessionFamily)
            else []
        )
        return ticket.hash in live


SEED: Final = Seed()


def refreshing(token: Secret, tries: int = 1) -> Make:
    """Somebody who refreshes, and asks again with the same token where no answer comes."""

    async def party(ports: Ports) -> str:
        for _ in range(tries):
            try:
                return (await SEED.keeper(ports).refresh(token))[1].refresh_token
            except InvalidToken:
                return ENDED
            except SemelError:
                continue
        return "no answer"

    return party


async def signing_in(ports: Ports) -> str:
    try:
        return (await SEED.keeper(ports).sign_in(EMAIL, PASSWORD))[1].refresh_token
    except SemelError as error:
        return error.code


async def signing_out(ports: Ports) -> str:
    try:
        await SEED.keeper(ports).sign_out(SEED.access)
    except SemelError as error:
        return error.code
    return ENDED


async def deleting(ports: Ports) -> str:
    try:
        await delete_account(engine_over(ports), SEED.family.account_id)
    except SemelError as error:
        return error.code
    return ENDED


async def expiring(ports: Ports) -> str:
    """Upkeep that found the session due."""
    try:
        found = await ports.store.get(SessionFamily, SEED.family.key)
        done = found is None or await expire(engine_over(ports), found)
    except SemelError as error:
        return error.code
    return ENDED if done else "not yet"


class Sessions(Judge):
    """What holds in the end, whoever met: an account lists its sessions, and no session is without its account."""

    @override
    def ended(self, ending: Ending) -> Sequence[str]:
        table: Table = ending.states["store"]
        kept = {one.id for one in table.values() if isinstance(one, SessionFamily)}
        listed = {name for one in table.values() if isinstance(one, Account) for name in one.sessions}
        wrong = [] if kept == listed else [f"sessions {kept}, listed {listed}"]
        told = {name: one.value for name, one in ending.outcomes.items() if one.how is How.RETURNED}
        return wrong + [said for name, value in told.items() if (said := self.heard(name, value, table))]

    def heard(self, name: str, value: str, table: Table) -> str | None:
        """Judge what a party was told."""
        if value == ENDED and (SessionFamily.TYPE, SEED.family.key) in table:
            return f"{name} ended a session that is there"
        return None


class NobodyIsSignedOut(Sessions):
    """Besides: whoever was given a token can use it, and nobody was told that the session has ended."""

    @override
    def heard(self, name: str, value: str, table: Table) -> str | None:
        if value == ENDED or (value.count(".") == 2 and not SEED.is_live(value, table)):
            return f"{name} is signed out"
        return None


class WhoInsistsIsAnswered(NobodyIsSignedOut):
    """Besides: who asks again has tokens in the end."""

    @override
    def heard(self, name: str, value: str, table: Table) -> str | None:
        unheard = name == "insistent" and value == "no answer"
        return f"{name} has no answer" if unheard else super().heard(name, value, table)


def meeting(judge: Judge, **parties: Make) -> Scenario:
    return Scenario(
        name="sessions",
        about="Some who share a session meet.",
        parties=parties,
        services={"store": StoreService(SEED.records)},
        judge=judge,
        hang_up=True,
    )


@pytest.mark.parametrize("faults", [0, 1, 2])
def test_two_tabs_that_refresh_one_token(faults: int) -> None:
    """Both go on, whatever is lost or late."""
    tab = refreshing(SEED.token)
    report = explore(meeting(NobodyIsSignedOut(), one=tab, other=tab), faults)
    assert report.exhausted, report.story


def test_three_tabs_that_refresh_one_token() -> None:
    """All three go on."""
    tab = refreshing(SEED.token)
    report = explore(meeting(NobodyIsSignedOut(), one=tab, other=tab, third=tab), 1)
    assert report.exhausted, report.story


def test_a_client_that_asks_again() -> None:
    """One that heard nothing offers the same token again, and is answered, also beside another tab."""
    insistent, tab = refreshing(SEED.token, tries=3), refreshing(SEED.token)
    report = explore(meeting(WhoInsistsIsAnswered(), insistent=insistent, tab=tab), 2)
    assert report.exhausted, report.story


@pytest.mark.parametrize("ending", [signing_out, deleting, expiring, refreshing(SEED.stale)])
@pytest.mark.parametrize("other", [refreshing(SEED.token), signing_in, signing_out])
def test_a_session_that_ends_while_others_use_it(ending: Make, other: Make) -> None:
    """By sign-out, deletion, expiry or a token that was used before: whoever is told that it ended can rely on it."""
    report = explore(meeting(Sessions(), ending=ending, other=other), 2)
    assert report.exhausted, report.story


def test_two_sign_ins_at_once() -> None:
    """Both stay signed in, also where one of them had to sign in twice and the oldest session made room."""
    report = explore(meeting(NobodyIsSignedOut(), one=signing_in, other=signing_in), 1)
    assert report.exhausted, report.story
