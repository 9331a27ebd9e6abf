"""The face over a remote provider: the sessions are the provider's, the account and the gate are ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from typing_extensions import override

from semel import Account, Secret, Semel
from semel.errors import AccountInactive, ConfigurationInvalid, InvalidCredentials, InvalidToken, ProviderUnavailable
from semel.ports import Done, Exists, NewIdentity, Rejected, RemoteProvider, Replace, SignedIn, Unknown
from semel.stores.memory import MemoryStore
from semel.system import SystemIds
from semel.testing import PROVIDER_OPERATIONS, Fault, FaultPlan, VirtualClock
from semel.testing.fake_provider import FakeProvider
from semel.testing.fake_server import FakeProviderServer
from tests.face.conftest import EMAIL, PASSWORD, settings


class Site:
    """A store and a provider that a test can look into, and Semel over both."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(self.clock.now)
        self.plan = FaultPlan(PROVIDER_OPERATIONS)
        self.provider = FakeProvider(faults=self.plan, clock=self.clock)
        self.semel = Semel(settings(), store=self.store, provider=self.provider, clock=self.clock)

    async def sign_up(self) -> Account:
        return (await self.semel.register(email=EMAIL, password=PASSWORD)).account


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with site.semel:
        yield site


async def test_sessions_are_passed_through(site: Site) -> None:
    """The tokens are the provider's own, and come with the account; none of our keys is shown for them."""
    account = await site.sign_up()
    signed_in = await site.semel.sign_in(EMAIL, PASSWORD)
    fresh = await site.semel.refresh(signed_in.tokens.refresh_token)
    assert signed_in.account.id == fresh.account.id == account.id
    await site.semel.sign_out(fresh.tokens.access_token)
    with pytest.raises(InvalidToken):
        await site.semel.refresh(fresh.tokens.refresh_token)
    assert await site.semel.jwks() == {"keys": []}


async def test_a_wrong_password_is_refused(site: Site) -> None:
    """As the provider says."""
    await site.sign_up()
    with pytest.raises(InvalidCredentials):
        await site.semel.sign_in(EMAIL, "another password")


async def test_its_access_tokens_are_the_providers_to_judge(site: Site) -> None:
    """It says whose one is; the account's gate is ours."""
    account = await site.sign_up()
    tokens = (await site.semel.sign_in(EMAIL, PASSWORD)).tokens
    assert (await site.semel.current_account(tokens.access_token)).id == account.id
    with pytest.raises(InvalidToken):
        await site.semel.current_account("nobody's token")
    seen = await site.semel.account(account.id)
    await site.store.commit([Replace(seen.but(is_active=False))], SystemIds().token())
    with pytest.raises(InvalidToken):
        await site.semel.current_account(tokens.access_token)


async def test_a_token_of_an_identity_without_an_account_is_none(site: Site) -> None:
    """Its sign-in would make the account; a token alone does not."""
    site.provider.plant(EMAIL, Secret(PASSWORD))
    said = await site.provider.sign_in(EMAIL, Secret(PASSWORD))
    assert isinstance(said, SignedIn)
    with pytest.raises(InvalidToken):
        await site.semel.current_account(said.tokens.access_token)


async def test_a_provider_that_is_silent_is_no_reason_to_sign_out(site: Site) -> None:
    await site.sign_up()
    tokens = (await site.semel.sign_in(EMAIL, PASSWORD)).tokens
    site.plan.next("whose", Fault.DROP)
    with pytest.raises(ProviderUnavailable):
        await site.semel.current_account(tokens.access_token)


async def test_a_refresh_passes_the_gate(site: Site) -> None:
    """An account that is switched off, or gone, gets no fresh tokens, though the provider would give them."""
    account = await site.sign_up()
    tokens = (await site.semel.sign_in(EMAIL, PASSWORD)).tokens
    seen = await site.semel.account(account.id)
    await site.store.commit([Replace(seen.but(is_active=False))], SystemIds().token())
    with pytest.raises(AccountInactive):
        await site.semel.refresh(tokens.refresh_token)


async def test_an_identity_without_an_account_gets_no_fresh_tokens(site: Site) -> None:
    """Its sign-in would make the account; a refresh does not."""
    site.provider.plant(EMAIL, Secret(PASSWORD))
    signed_in = await site.provider.sign_in(EMAIL, Secret(PASSWORD))
    assert isinstance(signed_in, SignedIn)
    with pytest.raises(InvalidToken):
        await site.semel.refresh(signed_in.tokens.refresh_token)


@pytest.mark.parametrize("operation", ["sign_in", "refresh", "sign_out"])
async def test_a_provider_that_does_not_answer_is_unavailable(site: Site, operation: str) -> None:
    """With a time after which to come back."""
    await site.sign_up()
    tokens = (await site.semel.sign_in(EMAIL, PASSWORD)).tokens
    site.plan.next(operation, Fault.DOWN)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "sign_in": lambda: site.semel.sign_in(EMAIL, PASSWORD),
        "refresh": lambda: site.semel.refresh(tokens.refresh_token),
        "sign_out": lambda: site.semel.sign_out(tokens.access_token),
    }
    with pytest.raises(ProviderUnavailable) as refused:
        await calls[operation]()
    assert refused.value.retry_after == 1.0


class Locked:
    """A provider that makes identities, and signs nobody in."""

    def __init__(self, provider: RemoteProvider) -> None:
        self.timeout = provider.timeout
        self.create, self.find, self.find_by_email = provider.create, provider.find, provider.find_by_email
        self.update, self.delete, self.page = provider.update, provider.delete, provider.page
        self.verify_password, self.close = provider.verify_password, provider.close


async def test_a_provider_need_not_sign_people_in() -> None:
    """Accounts are made; who would sign in here is told where to go."""
    async with Semel(settings(), provider=Locked(FakeProvider())) as semel:
        assert (await semel.register(email=EMAIL, password=PASSWORD)).account.email == EMAIL
        with pytest.raises(ConfigurationInvalid, match="signs nobody in"):
            await semel.sign_in(EMAIL, PASSWORD)


async def test_closing_lets_registrations_end() -> None:
    """A registration that waits for the provider as Semel closes is ended before the store is."""
    site = Site()
    site.plan.next("create", Fault.SLOW)
    async with site.semel:
        registering = asyncio.create_task(site.sign_up())
        await asyncio.sleep(0)
    assert registering.done()
    assert [kind for kind, _ in site.store.table if kind == Account.TYPE] == [Account.TYPE]
    assert (await registering).email == EMAIL


async def test_removals_are_told_with_their_age(site: Site) -> None:
    """Identities that must not exist any more are listed, and counted for Prometheus with the age of the oldest."""
    first = await site.sign_up()
    second = (await site.semel.register(email="grace@gmail.com", password=PASSWORD)).account
    site.plan.always(Fault.DOWN)
    for account in (first, second):
        await site.semel.delete_account(account.id)
        site.clock.advance(30)
    assert {one.id for one in await site.semel.removals()} == {first.id, second.id}
    assert {b"semel_removals 2.0", b"semel_removal_age_seconds 60.0"} <= set(
        (await site.semel.metrics_text()).splitlines()
    )


async def test_the_fake_provider_has_an_address(sqlite_url: str) -> None:
    """For tests and development of whole processes: ``SEMEL_PROVIDER_URL=fake+tcp://…``."""
    async with FakeProviderServer() as fake, Semel(settings(sqlite_url, provider_url=fake.url)) as semel:
        account = (await semel.register(email=EMAIL, password=PASSWORD)).account
        assert (await semel.sign_in(EMAIL, PASSWORD)).account.id == account.id


class MeetingProvider(FakeProvider):
    """A provider in memory that answers no create before so many are under way."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self._meeting = asyncio.Barrier(together)

    @override
    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        await self._meeting.wait()
        return await super().create(identity)


async def test_no_connection_is_held_while_the_provider_is_asked(postgres_url: str) -> None:
    """With one connection to PostgreSQL, eight sign-ups are at the provider at once."""
    provider, url = MeetingProvider(8), f"{postgres_url}{'&' if '?' in postgres_url else '?'}pool_size=1"
    async with Semel(settings(url), provider=provider) as semel:
        signing_up = [semel.register(email=f"{n}.{EMAIL}", password=PASSWORD) for n in range(8)]
        made = await asyncio.gather(*signing_up)
    assert {one.account.id for one in made} == {one.identity_id for one in provider.everybody()}
