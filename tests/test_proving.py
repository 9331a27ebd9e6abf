"""Links in mails: a first proof, recovery, first passwords, changes of email and password; on every provider."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest

from semel import errors
from semel.credentials import Passwords
from semel.links import LinkBook
from semel.model import Account, Identifier, Identity, Link, OutboxEvent, Secret
from semel.ports import Found
from semel.protocol.linking import Proving
from semel.protocol.options import Options
from semel.proving import Proofs
from semel.states import Door, LinkPurpose
from semel.testing import Fault, Variant
from semel.upkeep.unproved import expire_unproved
from tests.protocol.worlds import EMAIL, KEY, OTHER_PASSWORD, PASSWORD, World

PROVING = Proving(key=b"the key of the links", required=True)
OTHER_EMAIL = "grace@example.org"
EITHER = pytest.mark.parametrize("variant", [None, Variant.OWN, Variant.NAMED], ids=["embedded", "remote", "by name"])


@dataclass
class Desk:
    """What one process works with."""

    world: World
    name: str = "A"

    def __post_init__(self) -> None:
        self.server = self.world.server(self.name)
        self.engine = self.server.engine
        self.book = LinkBook(self.engine, PROVING, allow_special_use=False)
        self.proofs = Proofs(self.engine, self.book)
        self.passwords = Passwords(self.engine)

    def token(self, purpose: LinkPurpose) -> Secret:
        """Return the token of the one link that is still to be opened for this."""
        (link,) = [one for one in self.world.records(Link) if one.purpose is purpose and one.used_at is None]
        return self.book.token_of(link)

    async def knows(self, password: Secret, email: str = EMAIL) -> bool:
        """Whether the password is the account's."""
        try:
            await self.passwords.known(email, password)
        except errors.InvalidCredentials:
            return False
        return True

    async def confirmed(self, account_id: str) -> bool:
        """Whether a remote provider says that the email is confirmed, and that it is the account's."""
        if self.engine.remote is None:
            return True
        found = await self.world.provider.find(account_id)
        account = await self.world.memory.get(Account, (account_id,))
        return isinstance(found, Found) and found.confirmed and account is not None and found.email == account.email


def desk(variant: Variant | None) -> Desk:
    return Desk(World(variant, options=Options(proving=PROVING)))


@EITHER
async def test_a_sign_up_awaits_the_proof_of_its_email(variant: Variant | None) -> None:
    one = desk(variant)
    account = (await one.server.register(idempotency_key=KEY)).account
    assert account.awaits_proof
    with pytest.raises(errors.EmailNotVerified, match="Please verify your email before logging in"):
        await one.passwords.known(EMAIL, PASSWORD)
    signed_up = Secret(one.book.sign_up_token(account.registration))
    proved = await one.proofs.open(one.token(LinkPurpose.VERIFY), sign_up_token=signed_up)
    assert proved.email_verified_at is not None
    assert not proved.awaits_proof
    assert proved.epoch == account.epoch + 1
    assert one.world.one(Identifier).proved
    assert await one.knows(PASSWORD)
    assert await one.confirmed(account.id)


@EITHER
async def test_a_password_that_is_given_is_set(variant: Variant | None) -> None:
    """Also by the session that signed up."""
    one = desk(variant)
    account = (await one.server.register()).account
    signed_up = Secret(one.book.sign_up_token(account.registration))
    await one.proofs.open(one.token(LinkPurpose.VERIFY), OTHER_PASSWORD, signed_up)
    assert await one.knows(OTHER_PASSWORD)


@EITHER
async def test_without_the_session_that_signed_up_a_new_password_is_set(variant: Variant | None) -> None:
    one = desk(variant)
    await one.server.register(idempotency_key=KEY, username="ada")
    token = one.token(LinkPurpose.VERIFY)
    with pytest.raises(errors.InvalidInput) as refused:
        await one.proofs.open(token)
    assert [fault.field for fault in refused.value.errors] == ["password"]
    with pytest.raises(errors.InvalidInput):
        await one.proofs.open(token, sign_up_token=Secret("a guess"))
    await one.proofs.open(token, OTHER_PASSWORD)
    assert await one.knows(OTHER_PASSWORD)
    assert not await one.knows(PASSWORD)
    with pytest.raises(errors.LinkUsed):
        await one.proofs.open(token, OTHER_PASSWORD)


@EITHER
async def test_fifty_open_one_link_at_once(variant: Variant | None) -> None:
    one = desk(variant)
    account = (await one.server.register()).account
    token, signed_up = one.token(LinkPurpose.VERIFY), Secret(one.book.sign_up_token(account.registration))
    desks = [Desk(one.world, f"S{number}") for number in range(50)]
    told = await asyncio.gather(
        *(each.proofs.open(token, sign_up_token=signed_up) for each in desks), return_exceptions=True
    )
    assert Counter(type(each) for each in told) == {Account: 1, errors.LinkUsed: 49}


@EITHER
async def test_recovery_of_an_account_never_proved_leaves_nothing_of_a_strangers(variant: Variant | None) -> None:
    one = desk(variant)
    await one.server.register(username="ada")
    await one.book.recover(EMAIL)
    account = await one.proofs.open(one.token(LinkPurpose.RECOVER), OTHER_PASSWORD)
    assert [name.kind for name in account.identifiers] == ["email"]
    assert [record.kind for record in one.world.records(Identifier)] == ["email"]
    assert account.username is None
    assert await one.knows(OTHER_PASSWORD)


@EITHER
async def test_recovery_says_nothing_of_who_is_there(variant: Variant | None) -> None:
    one = desk(variant)
    await one.book.recover(EMAIL)
    assert not one.world.memory.table


@EITHER
async def test_an_email_changes_once_it_is_proved(variant: Variant | None) -> None:
    one = desk(variant)
    account = (await one.server.register(proved=True)).account
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    assert [record.value for record in one.world.records(Identifier)] == [EMAIL]
    changed = await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))
    assert (changed.email, changed.email_canonical, changed.pending_email) == (OTHER_EMAIL, OTHER_EMAIL, None)
    assert [record.value for record in one.world.records(Identifier)] == [OTHER_EMAIL]
    assert await one.knows(PASSWORD, OTHER_EMAIL)
    told = {event.kind for event in one.world.records(OutboxEvent)}
    assert {"mail.change_email", "mail.email_changed", "account.updated"} <= told
    assert one.world.one(Link).former == EMAIL
    assert await one.confirmed(account.id)


@EITHER
async def test_a_proof_takes_an_email_from_who_never_proved_it(variant: Variant | None) -> None:
    one = desk(variant)
    squatter = (await one.server.register(email=OTHER_EMAIL, username="squatter")).account
    account = (await one.server.register(proved=True)).account
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    for _ in range(3):  # at a remote provider the squatter's identity goes first
        try:
            await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))
        except errors.OutcomeUnknown:
            await one.server.upkeep.once()
            one.world.clock.advance(10)
        except ValueError:
            break
    assert one.world.one(Account).email == OTHER_EMAIL
    assert squatter.id not in {identity.id for identity in one.world.records(Identity) if identity.state == "owned"}


@EITHER
async def test_an_account_that_nobody_proves_expires(variant: Variant | None) -> None:
    one = desk(variant)
    account = (await one.server.register(username="ada")).account
    assert not await expire_unproved(one.engine, account.but(due_at=None))
    one.world.clock.advance(PROVING.unproved_kept + 1)
    assert await expire_unproved(one.engine, account)
    assert not one.world.records(Account)
    assert not one.world.records(Identifier)
    assert not one.world.records(Link)


@EITHER
async def test_who_knows_the_password_sets_another(variant: Variant | None) -> None:
    one = desk(variant)
    await one.server.register(proved=True)
    before = one.world.one(Account)
    after = await one.passwords.change(EMAIL, PASSWORD, OTHER_PASSWORD)
    assert after.epoch == before.epoch + 1
    assert await one.knows(OTHER_PASSWORD)
    assert not await one.knows(PASSWORD)
    assert "mail.password_changed" in {event.kind for event in one.world.records(OutboxEvent)}


async def test_one_change_of_a_password_at_a_time_at_a_remote_provider() -> None:
    one = desk(Variant.OWN)
    await one.server.register(proved=True)
    one.world.outside.next("update", Fault.LOSE)
    with pytest.raises(errors.OutcomeUnknown):
        await one.passwords.change(EMAIL, PASSWORD, OTHER_PASSWORD)
    with pytest.raises(errors.ChangeInProgress) as told:
        await one.passwords.change(EMAIL, OTHER_PASSWORD, Secret("quite another one"))
    assert told.value.retry_after


@EITHER
async def test_an_administrators_account_is_given_its_first_password(variant: Variant | None) -> None:
    one = desk(variant)
    await one.server.register(door=Door.ADMIN, password=None, sets_password=True, username="ada")
    account = await one.proofs.open(one.token(LinkPurpose.SET_PASSWORD), PASSWORD)
    assert account.username == "ada"
    assert await one.knows(PASSWORD)
