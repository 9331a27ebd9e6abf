"""Accepting an invitation: by exactly one, whatever happens; and what proof takes from possession."""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from semel.errors import (
    AlreadyInvited,
    IdempotencyKeyReused,
    InvalidInput,
    InvitationExpired,
    InvitationRevoked,
    InvitationUnknown,
    InvitationUsed,
    UserAlreadyExists,
)
from semel.intents import Intent
from semel.invitations import InvitationBook, Invite, MadeInvitation, acceptance, expire_invitation
from semel.model import Account, Identifier, Identity, Invitation, Invited, OutboxEvent, Registration, Secret
from semel.protocol.engine import Registered
from semel.states import IdentityState, InvitationState, RegistrationState
from semel.testing import Variant
from semel.upkeep import Duty, Upkeep
from tests.protocol.worlds import KEY, OTHER_PASSWORD, PASSWORD, Server, World

EVERYWHERE = pytest.mark.parametrize("variant", [None, Variant.OWN])
TOLD = {"invitation.created": 1, "mail.invitation": 1}
"""What making an invitation puts into the outbox."""
INVITE = Invite(email="Ada@example.org", role="Editor", invited_by="the administrator")


def book(server: Server) -> InvitationBook:
    return InvitationBook(server.engine, b"the key of the tokens", allow_special_use=False)


async def invited(world: World, **changes: object) -> MadeInvitation:
    return await book(world.server()).create(msgspec.structs.replace(INVITE, **changes))


async def accept(server: Server, made: MadeInvitation, key: str | None = None, **fields: object) -> Registered:
    """Accept as the door does: the token is looked up, then it is a registration."""
    invitation = await book(server).open(made.token)
    intent = msgspec.structs.replace(Intent(password=PASSWORD, idempotency_key=key), **fields)
    return await server.registrar.register(acceptance(invitation, intent))


@EVERYWHERE
async def test_accepting_makes_the_account_with_the_role_and_the_proof(variant: Variant | None) -> None:
    """The token proves the email; the role is the invitation's; what happened is told once."""
    world = World(variant)
    made = await invited(world)
    account = (await accept(world.server(), made, full_name="Ada")).account
    assert (account.email, account.role, account.full_name) == ("Ada@example.org", "Editor", "Ada")
    assert account.email_verified_at == world.clock.now()
    assert world.one(Identifier).proved
    ended = world.one(Invitation)
    assert (ended.state, ended.account_id, ended.ended_at) == (InvitationState.ACCEPTED, account.id, world.clock.now())
    kinds = Counter(event.kind for event in world.records(OutboxEvent))
    assert kinds == {**TOLD, "invitation.accepted": 1, "account.created": 1}


@EVERYWHERE
@pytest.mark.parametrize("slow", [False, True])
async def test_ten_at_once_make_one_account(variant: Variant | None, slow: bool) -> None:  # noqa: FBT001 - a parameter
    """Whoever loses is told that the invitation is used, and nothing of theirs is left."""
    world = World(variant, slow=slow)
    made = await invited(world)
    servers = [world.server(name) for name in "ABCDEFGHIJ"]
    tries = [accept(server, made, f"the key of {n:013}", full_name=f"{n}") for n, server in enumerate(servers)]
    told = await asyncio.gather(*tries, return_exceptions=True)
    won = [one for one in told if isinstance(one, Registered)]
    assert len(won) == 1
    assert {type(one) for one in told if not isinstance(one, Registered)} == {InvitationUsed}
    assert [one.id for one in world.records(Account)] == [won[0].account.id]
    assert len(world.provider.state.identities) == (0 if variant is None else 1)


@EVERYWHERE
async def test_a_double_click_without_a_key_is_one_acceptance(variant: Variant | None) -> None:
    """The same body within the window is the same intent."""
    world = World(variant)
    made = await invited(world)
    first = await accept(world.server(), made)
    assert (await accept(world.server("B"), made)).account.id == first.account.id
    with pytest.raises(InvitationUsed):
        await accept(world.server("B"), made, full_name="Another")


@EVERYWHERE
async def test_proof_beats_possession(variant: Variant | None) -> None:
    """Whoever signed up with the email and never proved it is ended by the commit that accepts."""
    world = World(variant)
    squatter = (await world.server().register(idempotency_key=KEY, username="ada")).account
    made = await invited(world)
    account = (await accept(world.server("B"), made, password=OTHER_PASSWORD, username="ada")).account
    assert account.id != squatter.id
    assert [one.id for one in world.records(Account)] == [account.id]
    assert {one.account_id for one in world.records(Identifier)} == {account.id}
    states = {one.id: one.state for one in world.records(Identity)}
    assert states.get(squatter.id) is (None if variant is None else IdentityState.CONDEMNED)
    withdrawn = [one for one in world.records(Registration) if one.account_id == squatter.id]
    assert [one.state for one in withdrawn] == [RegistrationState.WITHDRAWN]
    await world.server().rest()
    assert len(world.provider.state.identities) == (0 if variant is None else 1)


@EVERYWHERE
async def test_an_account_that_proved_the_email_is_left_alone(variant: Variant | None) -> None:
    """Its owner signs in and accepts: the role is granted once, and whoever is not signed in is told of the account."""
    world = World(variant)
    owner = (await world.server().register(proved=True)).account
    with pytest.raises(UserAlreadyExists):
        await invited(world)
    made = MadeInvitation(*(await _invited_before(world, owner)))
    with pytest.raises(UserAlreadyExists):
        await accept(world.server(), made)
    first = await book(world.server()).accept(made.token, owner)
    again = await book(world.server("B")).accept(made.token, owner)
    assert first.roles == again.roles == (*owner.roles, "Editor")
    assert world.one(Invitation).state is InvitationState.ACCEPTED


async def _invited_before(world: World, owner: Account) -> tuple[Invitation, Secret]:
    """Invite while the email is free, and give it back to its owner: as where the account came after the invitation."""
    identifier = world.one(Identifier)
    world.edit(gone=(Identifier, identifier.key))
    made = await invited(world)
    world.edit(identifier)
    assert owner.id == identifier.account_id
    return made.invitation, made.token


async def test_an_invitation_has_its_time() -> None:
    """At the moment of acceptance, whether upkeep has come by or not; then the email can be invited again."""
    world = World(None, flowing=False)
    made = await invited(world, seconds=60)
    world.clock.advance(60)
    with pytest.raises(InvitationExpired):
        await accept(world.server(), made)
    assert world.one(Invitation).state is InvitationState.PENDING
    again = await invited(world)
    assert (await book(world.server()).get(made.invitation.id)).state is InvitationState.EXPIRED
    assert not (await accept(world.server(), again)).replayed


async def test_revoked_or_sent_again() -> None:
    """A revoked one is revoked for good; one that was sent again has another token."""
    world = World(None)
    made = await invited(world)
    sent = await book(world.server()).resend(made.invitation.id)
    with pytest.raises(InvitationUnknown):
        await accept(world.server(), made)
    await book(world.server()).revoke(made.invitation.id)
    with pytest.raises(InvitationRevoked):
        await accept(world.server(), sent)
    with pytest.raises(InvitationRevoked):
        await book(world.server()).resend(made.invitation.id)


async def test_one_pending_invitation_per_email() -> None:
    """Ten at once make one; the same key gives the same one and the same token."""
    world = World(None)
    books = [book(world.server(name)) for name in "ABCDEFGHIJ"]
    told = await asyncio.gather(*(one.create(INVITE) for one in books), return_exceptions=True)
    assert Counter(type(one) for one in told) == {MadeInvitation: 1, AlreadyInvited: 9}
    keyed = msgspec.structs.replace(INVITE, email="bob@example.org", idempotency_key=KEY)
    made = await asyncio.gather(*(one.create(keyed) for one in books))
    assert len({(one.invitation.id, one.token.reveal()) for one in made}) == 1
    with pytest.raises(IdempotencyKeyReused):
        await books[0].create(msgspec.structs.replace(keyed, role="Owner"))


async def test_what_is_wrong_with_an_invitation_is_named() -> None:
    """Every field at once."""
    with pytest.raises(InvalidInput) as wrong:
        await invited(World(None), email="nobody", role="x" * 65, note="y" * 1001, seconds=0)
    assert {error.field for error in wrong.value.errors} == {"email", "role", "note", "expires_in"}


@EVERYWHERE
async def test_who_accepted_with_an_account_leaves_no_value(variant: Variant | None) -> None:
    """The end of that account takes what the invitation says of the person, as of one that the invitation made."""
    world = World(variant)
    owner = (await world.server().register(idempotency_key=KEY)).account
    made = await invited(world, note="Welcome, Ada")
    await book(world.server()).accept(made.token, owner)
    await world.server().delete(owner.id)
    left = msgspec.json.encode(list(world.memory.table.values())).decode().lower()
    assert "ada" not in left
    assert (world.one(Invitation).state, world.records(Invited)) == (InvitationState.ACCEPTED, [])


async def test_upkeep_ends_and_forgets_invitations() -> None:
    """First expired, then after its time gone, with what says of its email."""
    world = World(None, flowing=False)
    await invited(world, seconds=60)
    upkeep = Upkeep(world.server().engine, (Duty("expire_invitation", Invitation, expire_invitation),))
    world.clock.advance(60)
    await upkeep.once()
    assert world.one(Invitation).state is InvitationState.EXPIRED
    world.clock.advance(timedelta(days=31).total_seconds())
    await upkeep.once()
    assert (world.records(Invitation), world.records(Invited)) == ([], [])
