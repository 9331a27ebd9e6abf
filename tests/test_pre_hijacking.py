"""The five attacks of account pre-hijacking: an attacker signs up with somebody else's email before that person does.

Sudhodanan and Paverd, "Pre-hijacked accounts: an empirical study of security failures in user account creation on the
web", USENIX Security 2022. In each the attacker acts first, then the victim, and then the attacker tries to get in.
"""

from collections.abc import Awaitable
from typing import Any

import pytest

from semel import errors
from semel.api_keys import ApiKeyBook, NewApiKey
from semel.intents import federated_intent
from semel.keys import Keys
from semel.model import Account, Identifier, Secret
from semel.protocol.linking import Proving
from semel.protocol.options import Options
from semel.sessions import SessionKeeper, SessionOptions
from semel.states import Door, LinkPurpose
from semel.testing import Fault, Variant
from tests.protocol.worlds import EMAIL, OTHER_PASSWORD, PASSWORD, World
from tests.test_proving import OTHER_EMAIL, PROVING, Desk

ATTACKERS, VICTIMS = PASSWORD, OTHER_PASSWORD
EITHER = pytest.mark.parametrize("variant", [None, *Variant])
REQUIRED = pytest.mark.parametrize("required", [True, False], ids=["verified first", "let in at once"])
ISSUER = "https://issuer.example"


def desk(variant: Variant | None, *, required: bool = False) -> Desk:
    """Return a desk; where nobody has to prove an email before the first sign-in, attackers can do more."""
    return Desk(World(variant, options=Options(proving=Proving(key=PROVING.key, required=required))))


async def keeper(one: Desk) -> SessionKeeper:
    keys = await Keys.open(one.world.store, one.engine.clock, one.engine.ids)
    return SessionKeeper(one.engine, keys, SessionOptions())


async def is_let_in(sign_in: Awaitable[Any]) -> bool:
    try:
        await sign_in
    except (errors.InvalidCredentials, errors.InvalidToken, errors.EmailNotVerified):
        return False
    return True


async def recovered(one: Desk) -> Account:
    """Let the victim, who finds that there is an account already, recover it."""
    await one.book.recover(EMAIL)
    return await one.proofs.open(one.token(LinkPurpose.RECOVER), VICTIMS)


@EITHER
@REQUIRED
async def test_classic_federated_merge(variant: Variant | None, *, required: bool) -> None:
    """The attacker signs up with a password, the victim by an issuer that says the same email: two accounts.

    When the victim signs up by a proved email as well, the attacker's ends.
    """
    one = desk(variant, required=required)
    attackers = (await one.server.register()).account
    if variant is None:
        intent = federated_intent(ISSUER, "the victim", email=EMAIL)
        victims = (await one.server.registrar.register(intent)).account
        assert victims.id != attackers.id
        assert [name.kind for name in victims.identifiers] == ["federated"]
    invited = (await one.server.register(door=Door.SIGNUP, password=VICTIMS, proved=True)).account
    assert invited.id != attackers.id
    assert attackers.id not in {account.id for account in one.world.records(Account)}
    assert not await one.knows(ATTACKERS)
    assert await one.knows(VICTIMS)


@pytest.mark.parametrize("way", ["recovery", "first proof"])
async def test_unexpired_session(way: str) -> None:
    """The attacker signs up, signs in and stays; the victim's first proof or recovery ends that session."""
    one = desk(None)
    sessions = await keeper(one)
    await one.server.register()
    _, tokens = await sessions.sign_in(EMAIL, ATTACKERS)
    assert await is_let_in(sessions.authenticate(Secret(tokens.access_token)))
    if way == "recovery":
        await recovered(one)
    else:
        await one.book.send(one.world.one(Account).id, LinkPurpose.VERIFY)
        await one.proofs.open(one.token(LinkPurpose.VERIFY), VICTIMS)
    assert not await is_let_in(sessions.authenticate(Secret(tokens.access_token)))
    assert not await is_let_in(sessions.refresh(Secret(tokens.refresh_token)))
    assert not await is_let_in(sessions.sign_in(EMAIL, ATTACKERS))
    assert await is_let_in(sessions.sign_in(EMAIL, VICTIMS))


@EITHER
@REQUIRED
@pytest.mark.parametrize("way", ["recovery", "first proof"])
async def test_trojan_identifier(variant: Variant | None, way: str, *, required: bool) -> None:
    """The attacker gives the account more to be known by, or let in with; the victim's proof takes it away."""
    one = desk(variant, required=required)
    account = (await one.server.register(username="trojan", phone="+493012345678")).account
    keys = ApiKeyBook(one.engine)
    key = await keys.create(NewApiKey(name="trojan", scopes=("users:write",), created_by=account.id))
    if way == "recovery":
        account = await recovered(one)
    else:
        await one.book.send(account.id, LinkPurpose.VERIFY)
        account = await one.proofs.open(one.token(LinkPurpose.VERIFY), VICTIMS)
    left = {"email"} if way == "recovery" else {"email", "username"}
    assert {record.kind for record in one.world.records(Identifier)} == left
    assert {name.kind for name in account.identifiers} == left
    with pytest.raises(errors.InvalidToken):
        await keys.open(key.token)
    assert not await one.knows(ATTACKERS)
    assert await one.knows(VICTIMS)


@EITHER
@pytest.mark.parametrize("opened", [False, True], ids=["unopened", "opened"])
async def test_unexpired_email_change(variant: Variant | None, *, opened: bool) -> None:
    """The attacker has asked for another email, and opens that link after the victim's recovery, or during it."""
    one = desk(variant)
    account = (await one.server.register()).account
    await one.book.recover(EMAIL)
    recovery = one.token(LinkPurpose.RECOVER)
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    change = one.token(LinkPurpose.CHANGE_EMAIL)
    if opened and variant is not None:  # with the embedded provider there is no time between
        one.world.outside.next("update", Fault.LATE)
        with pytest.raises(errors.OutcomeUnknown):
            await one.proofs.open(change)
        with pytest.raises(errors.ChangeInProgress):  # nothing of the victim's goes to who has the other email
            await one.proofs.open(recovery, VICTIMS)
        return
    await one.proofs.open(recovery, VICTIMS)
    with pytest.raises((errors.LinkUnknown, errors.LinkExpired)):
        await one.proofs.open(change)
    await one.server.rest()
    assert one.world.one(Account).email == EMAIL
    assert await one.knows(VICTIMS)


@EITHER
@REQUIRED
async def test_non_verifying_identity_provider(variant: Variant | None, *, required: bool) -> None:
    """The attacker comes by a provider that lets anybody say any email; it owns nothing, and proves nothing."""
    one = desk(variant, required=required)
    if variant is None:
        attackers = (await one.server.registrar.register(federated_intent(ISSUER, "trojan", email=EMAIL))).account
        victims = (await one.server.register(password=VICTIMS)).account
        assert attackers.id != victims.id
        assert attackers.email_verified_at is None
        assert one.world.records(Identifier)[0].account_id is not None
        assert {record.account_id for record in one.world.records(Identifier) if record.value == EMAIL} == {victims.id}
        again = (await one.server.registrar.register(federated_intent(ISSUER, "trojan", email=EMAIL))).account
        assert again.id == attackers.id
        return
    one.world.provider.plant(EMAIL, ATTACKERS, confirmed=True)
    assert await is_let_in(one.server.sign_in(password=ATTACKERS)) is not required
    account = one.world.one(Account)
    assert (account.email_verified_at, one.world.one(Identifier).proved) == (None, False)
    await recovered(one)
    assert not await is_let_in(one.server.sign_in(password=ATTACKERS))
    assert await is_let_in(one.server.sign_in(password=VICTIMS))
