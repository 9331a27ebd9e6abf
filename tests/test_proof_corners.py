"""Proofs of emails where something comes between: what a stranger may try, and what others change meanwhile."""

import pytest

from semel import errors
from semel.api_keys import ApiKeyBook, NewApiKey
from semel.credentials import check_unmarked
from semel.identity_updates import Change, update_identity
from semel.invitations import InvitationBook, Invite
from semel.model import Account, ApiKey, Identifier, Identity, OutboxEvent, Secret
from semel.protocol.linking import Proving
from semel.protocol.options import Options
from semel.remote_sessions import RemoteSessions
from semel.states import LinkPurpose
from semel.testing import Fault, Variant
from semel.upkeep.unproved import expire_unproved
from tests.protocol.worlds import EMAIL, OTHER_PASSWORD, PASSWORD, World, no_account
from tests.test_proving import OTHER_EMAIL, PROVING, Desk, desk

REMOTE = pytest.mark.parametrize("variant", list(Variant))
EITHER = pytest.mark.parametrize("variant", [None, *Variant])
OPEN = Proving(key=PROVING.key, required=False)


def lax(variant: Variant | None) -> Desk:
    """Return a desk where nobody has to prove an email before the first sign-in."""
    return Desk(World(variant, options=Options(proving=OPEN)))


@REMOTE
@pytest.mark.parametrize("fault", [Fault.DROP, Fault.LATE, Fault.DOWN, Fault.REFUSE])
async def test_nothing_is_proved_while_a_strangers_password_opens(variant: Variant, fault: Fault) -> None:
    """The provider has not taken the new password: the one of before must let nobody in, whoever opened the link."""
    one = desk(variant)
    await one.server.register()
    one.world.outside.next("update", fault)
    with pytest.raises((errors.OutcomeUnknown, errors.ProviderRefused)):
        await one.proofs.open(one.token(LinkPurpose.VERIFY), OTHER_PASSWORD)
    with pytest.raises(errors.EmailNotVerified):
        await one.server.sign_in()
    assert not one.world.one(Identifier).proved
    one.world.provider.land()
    one.world.clock.advance(one.world.options.removal_horizon)
    await one.proofs.open(one.token(LinkPurpose.VERIFY), OTHER_PASSWORD)
    assert (await one.server.sign_in(password=OTHER_PASSWORD))[0].email_verified_at is not None
    assert one.world.one(Identifier).proved


@REMOTE
async def test_a_first_proof_is_told_to_the_provider(variant: Variant) -> None:
    """An email that the provider does not call confirmed may keep the person out, whatever we say of it."""
    one = desk(variant)
    account = (await one.server.register()).account
    one.world.outside.next("update", Fault.DROP)
    signed_up = Secret(one.book.sign_up_token(account.registration))
    assert (await one.proofs.open(one.token(LinkPurpose.VERIFY), sign_up_token=signed_up)).email_verified_at
    await one.server.upkeep.once()
    assert [found.confirmed for found in one.world.provider.everybody()] == [True]


@REMOTE
async def test_an_email_that_an_invitation_proves_is_told_to_the_provider(variant: Variant) -> None:
    """Likewise where who is signed in accepts: the token proved it, and there is no link to do so again."""
    one = lax(variant)
    account = (await one.server.register()).account
    invitations = InvitationBook(one.engine, b"the key of the invitations", allow_special_use=False)
    made = await invitations.create(Invite(email=EMAIL, role="Member", invited_by="an administrator"))
    one.world.outside.next("update", Fault.DROP)
    assert (await invitations.accept(made.token, account)).email_verified_at
    await one.server.upkeep.once()
    assert [found.confirmed for found in one.world.provider.everybody()] == [True]


@REMOTE
async def test_an_email_given_up_is_not_called_confirmed(variant: Variant) -> None:
    """A change that the provider refused has proved nothing of the email that stays."""
    one = lax(variant)
    account = (await one.server.register()).account
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    one.world.outside.next("update", Fault.REFUSE)
    with pytest.raises(errors.ProviderRefused):
        await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))
    await one.server.rest()
    assert [(found.email, found.confirmed) for found in one.world.provider.everybody()] == [(EMAIL, False)]


@REMOTE
async def test_while_an_email_changes_no_other_link_does_anything(variant: Variant) -> None:
    """Else a stranger's change would end after the owner's recovery, and take the account with it."""
    one = lax(variant)
    account = (await one.server.register()).account
    await one.book.recover(EMAIL)
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    one.world.outside.next("update", Fault.DROP)
    with pytest.raises(errors.OutcomeUnknown):
        await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))
    with pytest.raises(errors.ChangeInProgress) as told:
        await one.proofs.open(one.token(LinkPurpose.RECOVER), OTHER_PASSWORD)
    assert told.value.retry_after
    await one.server.upkeep.once()
    assert one.world.one(Account).email == OTHER_EMAIL
    assert not await one.knows(OTHER_PASSWORD, OTHER_EMAIL)


@EITHER
async def test_an_email_changes_back_and_forth(variant: Variant | None) -> None:
    """Each former email is told once, also one that was the new one before."""
    one = desk(variant)
    account = (await one.server.register(proved=True)).account
    for email in (OTHER_EMAIL, EMAIL, OTHER_EMAIL, EMAIL):
        one.world.clock.advance(1)
        await one.book.ask_for_email(account.id, email)
        assert (await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))).email == email
    told = [event for event in one.world.records(OutboxEvent) if event.kind == "mail.email_changed"]
    assert len({event.subject for event in told}) == 4


@EITHER
async def test_an_email_that_is_the_accounts_already_is_proved_as_at_a_first_proof(variant: Variant | None) -> None:
    """A stranger who signed up must not have the owner click "confirm the new email"."""
    one = lax(variant)
    account = (await one.server.register()).account
    await one.book.ask_for_email(account.id, EMAIL)
    with pytest.raises(errors.InvalidInput):
        await one.proofs.open(one.token(LinkPurpose.VERIFY))
    await one.proofs.open(one.token(LinkPurpose.VERIFY), OTHER_PASSWORD)
    assert not await one.knows(PASSWORD)


@EITHER
async def test_who_was_let_in_before_a_recovery_asks_for_no_email_after_it(variant: Variant | None) -> None:
    one = desk(variant)
    account = (await one.server.register(proved=True)).account
    await one.book.recover(EMAIL)
    await one.proofs.open(one.token(LinkPurpose.RECOVER), OTHER_PASSWORD)
    with pytest.raises(errors.LinkUnknown):
        await one.book.ask_for_email(account.id, OTHER_EMAIL, account.epoch)


@REMOTE
async def test_while_a_password_may_land_its_account_is_marked(variant: Variant) -> None:
    """Who knows the old one must not change the email meanwhile."""
    one = desk(variant)
    await one.server.register(proved=True)
    check_unmarked(one.engine, one.world.one(Identity))
    one.world.outside.next("update", Fault.LATE)
    with pytest.raises(errors.OutcomeUnknown):
        await one.passwords.change(EMAIL, PASSWORD, OTHER_PASSWORD)
    with pytest.raises(errors.ChangeInProgress):
        check_unmarked(one.engine, one.world.one(Identity))
    one.world.clock.advance(one.world.options.removal_horizon)
    check_unmarked(one.engine, one.world.one(Identity))


@pytest.mark.parametrize("change", [Change(password=OTHER_PASSWORD), "email"])
async def test_a_password_set_otherwise_ends_open_links(change: Change | str) -> None:
    """Else a stranger's link to another email would outlive it."""
    one = desk(None)
    account = (await one.server.register(proved=True)).account
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    token = one.token(LinkPurpose.CHANGE_EMAIL)
    if isinstance(change, str):
        change = Change(email=one.book._checked("ada@example.net"))  # noqa: SLF001 - as the book canonicalises it
    changed = (await update_identity(one.engine, account.id, change)).account
    with pytest.raises((errors.LinkUnknown, errors.LinkExpired)):
        await one.proofs.open(token)
    proved = {record.value for record in one.world.records(Identifier) if record.proved}
    assert (changed.email_verified_at is not None) is (changed.email_canonical in proved)


@REMOTE
async def test_who_has_an_email_by_now_is_told_so_also_where_upkeep_was_faster(variant: Variant) -> None:
    one = desk(variant)
    account = (await one.server.register(proved=True)).account
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    other = Desk(one.world, "B")

    def upkeep_comes_first() -> None:
        identity = one.world.one(Identity)
        there = one.world.one(Account)
        name = next(name for name in there.identifiers if name.value == OTHER_EMAIL)
        gone = next(record for record in one.world.records(Identifier) if record.value == EMAIL)
        done = there.but(email=OTHER_EMAIL, email_canonical=OTHER_EMAIL, pending_email=None, identifiers=(name,))
        one.world.edit(done.but(version=7), identity.but(version=7), gone=(Identifier, gone.key))

    one.world.network.before("commit", upkeep_comes_first, nth=2)
    assert (await other.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))).email == OTHER_EMAIL


@REMOTE
async def test_a_squatters_identity_gives_way_at_once(variant: Variant) -> None:
    one = desk(variant)
    await one.server.register(email=OTHER_EMAIL)
    account = (await one.server.register(proved=True)).account
    await one.book.ask_for_email(account.id, OTHER_EMAIL)
    assert (await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))).email == OTHER_EMAIL


@REMOTE
async def test_one_of_ours_that_is_to_have_another_email_gives_way(variant: Variant) -> None:
    """An old update has landed late: the provider has the email for an account that has given it up."""
    one = desk(variant)
    first = (await one.server.register(email=OTHER_EMAIL, proved=True)).account
    second = (await one.server.register(proved=True)).account
    await one.book.ask_for_email(first.id, "ada@example.net")
    await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))
    await one.world.provider.update(first.id, email=OTHER_EMAIL)
    await one.book.ask_for_email(second.id, OTHER_EMAIL)
    with pytest.raises(errors.OutcomeUnknown):
        await one.proofs.open(one.token(LinkPurpose.CHANGE_EMAIL))
    for _ in range(3):
        one.world.clock.advance(60)
        await one.server.upkeep.once()
    emails = {account.id: account.email for account in one.world.records(Account)}
    assert emails == {first.id: "ada@example.net", second.id: OTHER_EMAIL}
    assert {found.identity_id: found.email for found in one.world.provider.everybody()} == emails


@REMOTE
@pytest.mark.parametrize("stands", ["stranger's", "inactive", "unavailable", "refused", "unproved"])
async def test_a_sign_in_that_is_refused_leaves_no_session_at_the_provider(variant: Variant, stands: str) -> None:
    """The provider has let somebody in; nobody is given these tokens."""
    one = desk(variant)
    if stands == "stranger's":  # the email is an account's, at the provider it is another identity's
        await one.server.register(proved=True)
        await one.world.provider.delete(one.world.provider.everybody()[0].provider_id)
    else:
        await one.server.register(proved=stands != "unproved")
    if stands in {"stranger's", "refused"}:
        one.world.provider.plant("grace@example.org" if stands == "refused" else EMAIL, PASSWORD)
    if stands == "inactive":
        one.world.edit(one.world.one(Account).but(is_active=False))
    if stands == "unavailable":
        one.world.network.always(Fault.DOWN, "commit")
    if stands == "refused":
        one.world.memory.objection = no_account(errors.StoreRejected())
    with pytest.raises(errors.SemelError):
        await one.server.sign_in("grace@example.org" if stands == "refused" else EMAIL)
    assert not one.world.provider.state.sessions


@REMOTE
async def test_a_refresh_that_is_refused_leaves_no_session_at_the_provider(variant: Variant) -> None:
    one = desk(variant)
    await one.server.register(proved=True)
    _, tokens = await one.server.sign_in()
    one.world.edit(one.world.one(Account).but(is_active=False))
    keeper = RemoteSessions(one.engine, one.world.provider, allow_special_use=False)
    with pytest.raises(errors.AccountInactive):
        await keeper.refresh(Secret(tokens.refresh_token))
    assert not one.world.provider.state.sessions


def key_of(account_id: str, epoch: int | None = None) -> NewApiKey:
    return NewApiKey(name="of a stranger", scopes=("keys:write",), created_by=account_id, epoch=epoch)


@EITHER
async def test_a_recovery_takes_back_the_keys_that_a_stranger_made(variant: Variant | None) -> None:
    """Those of the account, and those that were made with them; nobody else's."""
    one = lax(variant)
    keys = ApiKeyBook(one.engine)
    account = (await one.server.register()).account
    first = await keys.create(key_of(account.id))
    second = await keys.create(key_of(first.key.id))
    third = await keys.create(key_of(second.key.id))
    others = await keys.create(key_of("cli"))
    await one.book.recover(EMAIL)
    await one.proofs.open(one.token(LinkPurpose.RECOVER), OTHER_PASSWORD)
    revoked = {record.id for record in one.world.records(ApiKey) if record.revoked_at is not None}
    assert revoked == {made.key.id for made in (first, second, third)}
    assert (await keys.open(others.token)).id == others.key.id


@EITHER
@pytest.mark.parametrize("by", ["account", "key"])
async def test_a_key_that_is_made_during_a_recovery_is_missed_by_none(variant: Variant | None, by: str) -> None:
    """It replaces the record of who makes it: either the recovery sees it, or it is not made."""
    one = lax(variant)
    keys = ApiKeyBook(one.engine)
    account = (await one.server.register()).account
    first = await keys.create(key_of(account.id))
    maker = key_of(account.id, account.epoch) if by == "account" else key_of(first.key.id)
    await one.book.recover(EMAIL)
    store = one.world.memory
    table = dict(store.table)
    await keys.create(maker)  # as it is at the commit of the recovery, which has read all keys before
    late = [record for name, record in store.table.items() if table.get(name) != record]
    assert {record.TYPE for record in late} == {"api_key", by if by == "account" else "api_key"}
    store.table = table
    one.world.network.before("commit", lambda: one.world.edit(*late))
    await one.proofs.open(one.token(LinkPurpose.RECOVER), OTHER_PASSWORD)
    assert all(record.revoked_at is not None for record in one.world.records(ApiKey))


async def test_who_is_let_in_no_longer_makes_no_key() -> None:
    one = lax(None)
    keys = ApiKeyBook(one.engine)
    account = (await one.server.register()).account
    first = await keys.create(key_of(account.id, account.epoch))
    await keys.revoke(first.key.id)
    for asked in (key_of(first.key.id), key_of(account.id, account.epoch + 1), key_of("nobody", 0)):
        with pytest.raises(errors.InvalidToken):
            await keys.create(asked)
    assert one.world.one(ApiKey).id == first.key.id


@EITHER
async def test_a_link_that_is_opened_between_two_looks_is_told_as_used(variant: Variant | None) -> None:
    """And never as one whose time is over: whoever clicked twice has what the link is for."""
    one = desk(variant)
    await one.server.register()
    token, store = one.token(LinkPurpose.VERIFY), one.world.memory
    before = dict(store.table)
    await one.proofs.open(token, OTHER_PASSWORD)
    after, store.table = dict(store.table), before
    one.world.network.before("get", lambda: setattr(store, "table", after), nth=2)
    with pytest.raises(errors.LinkUsed):
        await one.book.open(token)


@pytest.mark.parametrize(
    "change", [Change(is_active=True), Change(password=OTHER_PASSWORD)], ids=["active", "password"]
)
async def test_an_account_that_has_ended_is_changed_by_nobody(change: Change) -> None:
    """Its row is left because the application's own refer to it; nobody is to be let in by it again."""
    one = desk(None)
    account = (await one.server.register()).account
    one.world.clock.advance(PROVING.unproved_kept + 1)
    one.world.network.next("commit", Fault.REFUSE)
    assert await expire_unproved(one.engine, account)
    assert one.world.one(Account).released
    with pytest.raises(errors.NotFound):
        await update_identity(one.engine, account.id, change)
    assert not one.world.one(Account).is_active


@REMOTE
async def test_an_identity_that_was_there_before_is_not_removed_for_want_of_a_proof(variant: Variant) -> None:
    """Somebody whom the provider knew signs in, and proves nothing for weeks: what is not ours stays."""
    one = desk(variant)
    provider_id = one.world.provider.plant(EMAIL, PASSWORD)
    with pytest.raises(errors.EmailNotVerified):
        await one.server.sign_in()
    for _ in range(3):
        one.world.clock.advance(PROVING.unproved_kept + 1)
        assert not await expire_unproved(one.engine, one.world.one(Account))
        await one.server.upkeep.once()
    assert [found.provider_id for found in one.world.provider.everybody()] == [provider_id]
    with pytest.raises(errors.EmailNotVerified):
        await one.server.sign_in()
    await one.book.resend(EMAIL)
    await one.proofs.open(one.token(LinkPurpose.VERIFY), OTHER_PASSWORD)
    assert (await one.server.sign_in(password=OTHER_PASSWORD))[0].id == provider_id


@EITHER
async def test_who_was_let_in_while_no_proof_was_required_stays_let_in(variant: Variant | None) -> None:
    """Who switches proofs off for a while, and on again, takes no account away from who used it meanwhile."""
    one = desk(variant)
    account = (await one.server.register()).account
    one.world.edit(one.world.one(Account).but(last_sign_in_at=one.world.clock.now()))
    assert await one.knows(PASSWORD)
    one.world.clock.advance(PROVING.unproved_kept + 1)
    assert not await expire_unproved(one.engine, one.world.one(Account))
    assert (one.world.one(Account).id, one.world.one(Account).due_at) == (account.id, None)
