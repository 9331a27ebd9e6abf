"""Sign-in and sessions of the embedded provider: nobody is told who has an account, and what has ended has ended."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typing_extensions import override

from semel.errors import AccountInactive, InvalidCredentials, InvalidToken, OutcomeUnknown
from semel.keys import Keys
from semel.model import Account, Identity, Secret, SessionFamily
from semel.ports import Replace, Tokens
from semel.providers.embedded import EmbeddedPasswords
from semel.sessions import SessionKeeper, SessionOptions
from semel.testing import Fault, FaultyStore
from semel.testing.hashers import CheapHasher
from semel.upkeep import Duty, Upkeep
from semel.upkeep.sessions import expire
from tests.protocol.worlds import EMAIL, OTHER_PASSWORD, PASSWORD, Server, World

OPTIONS = SessionOptions(per_account=3)
UNHEARD = pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])


class Counting(CheapHasher):
    """A cheap hasher that counts what would take time."""

    worked = 0

    @override
    async def hash(self, password: Secret) -> str:
        self.worked += 1
        return await super().hash(password)

    @override
    async def verify(self, digest: str, password: Secret) -> bool:
        self.worked += 1
        return await super().verify(digest, password)


class Site:
    """A world with the embedded provider, one account in it, and a keeper of sessions at each server."""

    def __init__(self) -> None:
        self.world = World(None)
        self.world.store = FaultyStore(self.world.memory, self.world.network, self.world.clock, delay=0.005)
        self.hasher = Counting()
        self.world.embedded = EmbeddedPasswords(self.hasher)

    @property
    def account(self) -> Account:
        return self.world.one(Account)

    def families(self) -> list[SessionFamily]:
        return self.world.records(SessionFamily)

    def server(self, name: str = "A") -> Server:
        return self.world.server(name)

    async def keeper(self, name: str = "A", options: SessionOptions = OPTIONS) -> SessionKeeper:
        engine = self.server(name).engine
        return SessionKeeper(engine, await Keys.open(self.world.store, engine.clock, engine.ids), options)

    async def change(self, **changes: object) -> None:
        """Change the account, as another request would."""
        await self.world.memory.commit([Replace(self.account.but(**changes))], self.server("B").engine.ids.token())

    def changing(self, **changes: object) -> Callable[[], None]:
        """Return what changes the account at once, for ``Network.before``."""
        return lambda: self.world.edit(self.account.but(version=self.account.version + 1, **changes))


@pytest.fixture
async def site() -> Site:
    site = Site()
    await site.server().register()
    return site


def access(tokens: Tokens) -> Secret:
    return Secret(tokens.access_token)


def refresh(tokens: Tokens) -> Secret:
    return Secret(tokens.refresh_token)


async def is_refused(call: Awaitable[object]) -> bool:
    try:
        await call
    except InvalidToken:
        return True
    return False


# ── Signing in ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sign_in_opens_a_session(site: Site) -> None:
    """The tokens speak for the account, which knows its session and when it was opened; email in any spelling."""
    keeper = await site.keeper()
    account, tokens = await keeper.sign_in(EMAIL.upper(), PASSWORD)
    assert account == site.account == await keeper.authenticate(access(tokens))
    assert (account.last_sign_in_at, account.sessions) == (site.world.clock.now(), (site.families()[0].id,))
    assert (tokens.expires_in, tokens.token_type) == (900, "bearer")


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org", "no email at all", ""])
async def test_a_wrong_password_and_an_unknown_email_are_not_told_apart(site: Site, email: str) -> None:
    """The same error, after the same calls of the store and one hash; and nothing is written."""
    keeper, before = await site.keeper(), site.world.memory.table
    calls, hashes = site.world.network.calls.copy(), site.hasher.worked
    with pytest.raises(InvalidCredentials) as refused:
        await keeper.sign_in(email, OTHER_PASSWORD)
    assert (refused.value.detail, refused.value.errors) == (InvalidCredentials.title, ())
    assert site.world.network.calls - calls == {"get": 3}
    assert (site.hasher.worked - hashes, site.world.memory.table) == (1, before)


async def test_only_a_right_password_is_told_that_the_account_is_switched_off(site: Site) -> None:
    """To everybody else it looks like any other."""
    keeper = await site.keeper()
    await site.change(is_active=False)
    with pytest.raises(InvalidCredentials):
        await keeper.sign_in(EMAIL, OTHER_PASSWORD)
    with pytest.raises(AccountInactive):
        await keeper.sign_in(EMAIL, PASSWORD)
    assert not site.families()


async def test_an_outdated_credential_is_made_anew(site: Site) -> None:
    """At the sign-in after the profile of hashes has changed, by the same commit."""
    today = CheapHasher("2")
    site.world.embedded = EmbeddedPasswords(today)
    before, keeper = site.world.one(Identity), await site.keeper("B")
    await keeper.sign_in(EMAIL, PASSWORD)
    after = site.world.one(Identity)
    assert today.outdated(before.credential or "")
    assert not today.outdated(after.credential or "")
    await keeper.sign_in(EMAIL, PASSWORD)
    assert site.world.one(Identity) == after


async def test_a_sign_in_meets_a_change_of_the_account(site: Site) -> None:
    """It reads again and keeps what was changed; the password is not verified twice."""
    keeper, hashes = await site.keeper(), site.hasher.worked
    site.world.network.before("commit", site.changing(full_name="Ada Lovelace"))
    account, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    assert (account.full_name, site.hasher.worked - hashes) == ("Ada Lovelace", 1)
    assert await keeper.authenticate(access(tokens)) == site.account


async def test_a_sign_in_meets_a_change_of_the_password(site: Site) -> None:
    """The old password was right when it was verified, and opens nothing any more."""
    keeper, identity = await site.keeper(), site.world.one(Identity)
    changed = identity.but(version=7, credential=await CheapHasher().hash(OTHER_PASSWORD))
    account = site.account.but(version=7, epoch=1)
    site.world.network.before("commit", lambda: site.world.edit(changed, account))
    with pytest.raises(InvalidCredentials):
        await keeper.sign_in(EMAIL, PASSWORD)
    assert not site.families()


@UNHEARD
async def test_a_sign_in_whose_commit_is_not_answered(site: Site, fault: Fault) -> None:
    """It is read back, or tried again, and succeeds; what lands late opens no second session."""
    keeper = await site.keeper()
    site.world.network.next("commit", fault)
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    await site.world.store.land()
    assert len(site.families()) == 1
    assert await keeper.authenticate(access(tokens)) == site.account


async def test_a_sign_in_gives_up(site: Site) -> None:
    """Where no commit is answered for as long as a request waits, it says that the outcome is not known."""
    keeper = await site.keeper()
    site.world.network.always(Fault.DROP, "commit")
    with pytest.raises(OutcomeUnknown):
        await keeper.sign_in(EMAIL, PASSWORD)


async def test_an_account_has_a_bounded_number_of_sessions(site: Site) -> None:
    """One more ends the oldest: its tokens are dead, and nothing of it is left."""
    keeper = await site.keeper()
    opened = [(await keeper.sign_in(EMAIL, PASSWORD))[1] for _ in range(OPTIONS.per_account + 1)]
    assert [await is_refused(keeper.authenticate(access(one))) for one in opened] == [True, False, False, False]
    assert await is_refused(keeper.refresh(refresh(opened[0])))
    assert {family.id for family in site.families()} == set(site.account.sessions)


async def test_sign_ins_at_once_all_succeed(site: Site) -> None:
    """Ten at two servers, over a store that takes its time: each has a session, and none was lost."""
    site.world.network.always(Fault.SLOW)
    servers = [await site.keeper(name, SessionOptions(per_account=10)) for name in "AB"]
    signed_in = await asyncio.gather(*(servers[one % 2].sign_in(EMAIL, PASSWORD) for one in range(10)))
    for _, tokens in signed_in:
        assert await servers[0].authenticate(access(tokens)) == site.account
    assert len(site.account.sessions) == len(site.families()) == 10


# ── Refreshing ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refresh_rotates(site: Site) -> None:
    """New tokens of the same session, again and again."""
    keeper = await site.keeper()
    _, first = await keeper.sign_in(EMAIL, PASSWORD)
    account, second = await keeper.refresh(refresh(first))
    _, third = await keeper.refresh(refresh(second))
    assert account == site.account
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert await keeper.authenticate(access(third)) == site.account


async def test_a_spent_token_buys_a_sibling_within_the_interval(site: Site) -> None:
    """Whose answer was lost, or who shares the token with another tab, is not signed out; nor is the other."""
    keeper = await site.keeper()
    _, shared = await keeper.sign_in(EMAIL, PASSWORD)
    _, one = await keeper.refresh(refresh(shared))
    site.world.clock.advance(OPTIONS.reuse_interval)
    _, other = await keeper.refresh(refresh(shared))
    site.world.clock.advance(3600)
    for tokens in (one, other):
        _, fresh = await keeper.refresh(refresh(tokens))
        assert await keeper.authenticate(access(fresh)) == site.account


async def test_a_token_spent_earlier_ends_the_session(site: Site) -> None:
    """Two have it, and one of them is a thief: both must sign in again, at once; other sessions stay."""
    keeper = await site.keeper()
    _, elsewhere = await keeper.sign_in(EMAIL, PASSWORD)
    _, stolen = await keeper.sign_in(EMAIL, PASSWORD)
    _, rightful = await keeper.refresh(refresh(stolen))
    site.world.clock.advance(OPTIONS.reuse_interval + 1)
    assert await is_refused(keeper.refresh(refresh(stolen)))
    assert await is_refused(keeper.refresh(refresh(rightful)))
    assert await is_refused(keeper.authenticate(access(rightful)))
    assert len(site.families()) == len(site.account.sessions) == 1
    assert await keeper.authenticate(access(elsewhere)) == site.account
    assert len(site.server().events.named("session.reused")) == 1


async def test_a_made_up_token_ends_nothing(site: Site) -> None:
    """Who knows a session's id cannot end it with garbage."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    family, secret, seal = tokens.refresh_token.split(".")
    for forged in (f"{family}.{secret[::-1]}.{seal}", f"{family}.{secret}.{seal[::-1]}", family, f"{family}..", ""):
        assert await is_refused(keeper.refresh(Secret(forged)))
    assert await keeper.refresh(refresh(tokens))


@UNHEARD
async def test_a_refresh_whose_commit_is_not_answered(site: Site, fault: Fault) -> None:
    """The tokens it answers with work, also once the first commit has landed late."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    site.world.network.next("commit", fault)
    _, fresh = await keeper.refresh(refresh(tokens))
    await site.world.store.land()
    assert await keeper.refresh(refresh(fresh))


async def test_whoever_hears_no_answer_asks_again(site: Site) -> None:
    """The refresh happened and its caller never heard: the same token, offered again within the interval, works."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    await keeper.refresh(refresh(tokens))
    _, fresh = await keeper.refresh(refresh(tokens))
    assert await keeper.authenticate(access(fresh)) == site.account


@pytest.mark.parametrize("changes", [{"is_active": False}, {"epoch": 1}, {"sessions": ()}])
async def test_every_use_of_a_session_asks_the_account(site: Site, changes: dict[str, object]) -> None:
    """A switched-off account, a raised epoch, a session that is no longer listed: dead at once, for every token."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    await site.change(**changes)
    assert await is_refused(keeper.authenticate(access(tokens)))
    assert await is_refused(keeper.refresh(refresh(tokens)))


async def test_sessions_end_with_their_account(site: Site) -> None:
    """A deleted account leaves no session, and none of its tokens is good."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    await site.server().delete(site.account.id)
    assert not site.families()
    assert await is_refused(keeper.authenticate(access(tokens)))
    assert await is_refused(keeper.refresh(refresh(tokens)))


async def test_twenty_refreshes_of_one_token_at_once_sign_nobody_out(site: Site) -> None:
    """At two servers, over a store that takes its time: each of the twenty goes on, long after the interval."""
    servers = [await site.keeper(name) for name in "AB"]
    _, shared = await servers[0].sign_in(EMAIL, PASSWORD)
    site.world.network.always(Fault.SLOW)
    answers = await asyncio.gather(*(servers[one % 2].refresh(refresh(shared)) for one in range(20)))
    site.world.clock.advance(3600)
    for _, tokens in answers:
        await servers[0].refresh(refresh(tokens))
    assert len({tokens.refresh_token for _, tokens in answers}) == 20


# ── Ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sign_out_ends_one_session_at_once(site: Site) -> None:
    """No token of it is good any more; another session goes on; twice is as good as once."""
    keeper = await site.keeper()
    _, here = await keeper.sign_in(EMAIL, PASSWORD)
    _, there = await keeper.sign_in(EMAIL, PASSWORD)
    for _ in range(2):
        await keeper.sign_out(access(here))
    assert await is_refused(keeper.authenticate(access(here)))
    assert await is_refused(keeper.refresh(refresh(here)))
    assert await keeper.authenticate(access(there)) == site.account
    assert len(site.families()) == len(site.account.sessions) == 1


@UNHEARD
async def test_a_sign_out_whose_commit_is_not_answered(site: Site, fault: Fault) -> None:
    """It is not over before the session is."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    site.world.network.next("commit", fault)
    await keeper.sign_out(access(tokens))
    assert not site.families()
    assert not site.account.sessions


async def test_a_session_ends_with_its_time(site: Site) -> None:
    """Its last access token is good to the end and no longer, nor is a refresh; upkeep leaves nothing of it."""
    keeper = await site.keeper()
    _, tokens = await keeper.sign_in(EMAIL, PASSWORD)
    site.world.clock.advance(OPTIONS.lifetime - 60)
    _, last = await keeper.refresh(refresh(tokens))
    assert last.expires_in == 60
    site.world.clock.advance(61)
    assert await is_refused(keeper.refresh(refresh(last)))
    upkeep = Upkeep(site.server().engine, (Duty("expire_session", SessionFamily, expire),))
    assert await upkeep.once() == {"expire_session": 1}
    assert not site.families()
    assert not site.account.sessions


async def test_another_server_reads_the_same_tokens(site: Site) -> None:
    """Keys are the store's; sessions need no server in particular."""
    here, there = await site.keeper("A"), await site.keeper("B")
    _, tokens = await here.sign_in(EMAIL, PASSWORD)
    assert await there.authenticate(access(tokens)) == site.account
    assert await there.refresh(refresh(tokens))
    assert here.jwks() == there.jwks()


async def test_neither_records_nor_events_show_a_token(site: Site) -> None:
    """What is at rest are hashes; what is told are ids and reasons; nor does a token show in its own repr."""
    keeper = await site.keeper()
    _, first = await keeper.sign_in(EMAIL, PASSWORD)
    _, second = await keeper.refresh(refresh(first))
    kept = "".join(family.leaves for family in site.families())
    await keeper.sign_out(access(second))
    told = site.server().events.seen
    assert {name for name, _ in told} >= {"session.started", "session.refreshed", "session.ended"}
    for tokens in (first, second):
        for secret in (tokens.access_token, *tokens.refresh_token.split(".")[1:]):
            assert secret not in f"{kept}{told}{tokens}"
