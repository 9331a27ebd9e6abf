"""Proofs, recovery and changes of email and password at a real Keycloak."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from semel.credentials import Passwords
from semel.errors import EmailNotVerified, InvalidCredentials, LinkUsed, OutcomeUnknown
from semel.healing import SignInDoor
from semel.intents import Intent, Policy
from semel.links import LinkBook
from semel.model import Account, Identity, Link, Secret
from semel.ports import Found
from semel.protocol.engine import Engine
from semel.protocol.linking import Proving
from semel.protocol.options import Options
from semel.providers.keycloak import KeycloakProvider
from semel.proving import Proofs
from semel.registrar import Registrar
from semel.states import LinkPurpose
from semel.stores.memory import MemoryStore
from semel.system import SystemIds
from semel.testing import VirtualClock
from semel.upkeep import Upkeep
from tests.keycloak import Keycloak
from tests.protocol.worlds import Noted
from tests.providers.keycloak_parts import opened

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start

STRANGERS = Secret("a password of a stranger")
FIRST, SECOND = Secret("correct horse battery"), Secret("staple of another kind")


@dataclass
class Desk:
    """What one process works with at the realm, over a store of its own."""

    provider: KeycloakProvider

    def __post_init__(self) -> None:
        clock, proving = VirtualClock(), Proving(key=b"the key of the links", required=True)
        self.store = MemoryStore(clock.now)
        self.engine = Engine(
            self.store,
            self.provider,
            clock=clock,
            ids=SystemIds(),
            events=Noted(),
            fingerprint_key=b"key",
            options=Options(provider_timeout=30.0, lease=120.0, proving=proving),
        )
        self.book = LinkBook(self.engine, proving, allow_special_use=False)
        self.proofs = Proofs(self.engine, self.book)
        self.passwords = Passwords(self.engine)
        self.door = SignInDoor(self.engine, self.provider, allow_special_use=False)
        name = SystemIds().uuid()[-12:]
        self.email, self.other = f"{name}@example.org", f"{name}@example.net"

    async def sign_up(self, email: str, password: Secret) -> Account:
        asked = Intent(email=email, password=password, full_name="Ada Lovelace")
        return (await Registrar(self.engine, Policy()).register(asked)).account

    def token(self, purpose: LinkPurpose) -> Secret:
        links = [one for one in self.store.table.values() if isinstance(one, Link)]
        (link,) = [one for one in links if one.purpose is purpose and one.used_at is None]
        return self.book.token_of(link)

    async def let_in(self, email: str, password: Secret) -> str:
        account, tokens = await self.door.sign_in(email, password)
        await self.provider.sign_out(Secret(tokens.access_token))
        return account.id


@pytest.fixture
async def desk(keycloak: Keycloak) -> AsyncIterator[Desk]:
    async with opened(keycloak.options()) as provider:
        yield Desk(provider)


async def test_a_strangers_password_dies_with_the_first_proof(desk: Desk) -> None:
    """Until then nobody is let in; afterwards the realm says that the email is verified."""
    account = await desk.sign_up(desk.email, STRANGERS)
    with pytest.raises(EmailNotVerified):
        await desk.let_in(desk.email, STRANGERS)
    token = desk.token(LinkPurpose.VERIFY)
    await desk.proofs.open(token, FIRST)
    assert await desk.let_in(desk.email, FIRST) == account.id
    with pytest.raises(InvalidCredentials):
        await desk.let_in(desk.email, STRANGERS)
    with pytest.raises(LinkUsed):
        await desk.proofs.open(token, STRANGERS)
    found = await desk.provider.find(account.id)
    assert isinstance(found, Found)
    assert found.confirmed


async def test_email_and_password_change_there_as_well(desk: Desk) -> None:
    """By a proof of the new email; by the present password; and by recovery."""
    account = await desk.sign_up(desk.email, FIRST)
    signed_up = Secret(desk.book.sign_up_token(account.registration))
    await desk.proofs.open(desk.token(LinkPurpose.VERIFY), sign_up_token=signed_up)
    await desk.book.ask_for_email(account.id, desk.other)
    await desk.proofs.open(desk.token(LinkPurpose.CHANGE_EMAIL))
    assert await desk.let_in(desk.other, FIRST) == account.id
    await desk.passwords.change(desk.other, FIRST, SECOND)
    assert await desk.let_in(desk.other, SECOND) == account.id
    await desk.book.recover(desk.other)
    await desk.proofs.open(desk.token(LinkPurpose.RECOVER), FIRST)
    assert await desk.let_in(desk.other, FIRST) == account.id
    identity = await desk.store.get(Identity, (account.id,))
    assert identity is not None
    assert identity.secret_until is None


async def test_a_proof_takes_the_email_there_from_who_never_proved_it(desk: Desk) -> None:
    """The squatter's user goes, and the realm gives the email to whoever proved it."""
    squatter = await desk.sign_up(desk.other, STRANGERS)
    account = await desk.sign_up(desk.email, FIRST)
    signed_up = Secret(desk.book.sign_up_token(account.registration))
    (verify,) = [one for one in desk.store.table.values() if isinstance(one, Link) and one.account_id == account.id]
    await desk.proofs.open(desk.book.token_of(verify), sign_up_token=signed_up)
    await desk.book.ask_for_email(account.id, desk.other)
    token = desk.token(LinkPurpose.CHANGE_EMAIL)
    try:
        await desk.proofs.open(token)
    except OutcomeUnknown:  # not ended yet: upkeep ends it
        await Upkeep(desk.engine).once()
        await Upkeep(desk.engine).once()
    assert await desk.let_in(desk.other, FIRST) == account.id
    assert await desk.store.get(Account, squatter.key) is None
    assert not isinstance(await desk.provider.find(squatter.id), Found)
