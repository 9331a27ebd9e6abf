"""Changes of an account and its identity: whole, on top of what others change, and never somebody else's email."""

import msgspec
import pytest

from semel import canonical
from semel.details import Details, details_of
from semel.errors import InvalidInput, NotFound, OutcomeUnknown, PreconditionFailed, UserAlreadyExists
from semel.identity_updates import Change, update_identity
from semel.model import Account, Identifier, Identity, OutboxEvent, Secret, SessionFamily
from semel.sessions import Person
from semel.states import EventState
from semel.testing import Fault, Variant
from tests.protocol.worlds import EMAIL, World

OTHER = "grace@example.org"
UNHEARD = pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])


async def made() -> tuple[World, Account]:
    world = World(None)
    return world, (await world.server().register()).account


async def changed(world: World, account: Account, change: Change, server: str = "A") -> Person:
    return await update_identity(world.server(server).engine, account.id, change)


def email(address: str) -> canonical.Canonical:
    return canonical.email(address)


async def test_each_change_is_told_once_and_without_a_value() -> None:
    """In the commit that makes it; where somebody listens it waits to be delivered. No change tells nothing."""
    world, account = await made()
    world.options = msgspec.structs.replace(world.options, endpoints=True)
    for value in (1, 2, 2):
        await changed(world, account, Change(attributes={"a": value}), "listened to")
    told = [one for one in world.records(OutboxEvent) if one.kind == "account.updated"]
    assert [(one.account_id, one.state) for one in told] == [(account.id, EventState.WAITING)] * 2
    assert EMAIL not in msgspec.json.encode(told).decode()


@UNHEARD
async def test_a_change_in_doubt_is_made_once(fault: Fault) -> None:
    """Whether the answer, or the request, was lost, or it lands late: the email moves, and its old one is free."""
    world, account = await made()
    world.network.next("commit", fault)
    change = Change(email=email(OTHER), attributes={"a": 1}, details=lambda before: before)
    person = await changed(world, account, change)
    await world.store.land()
    assert (person.account.email_canonical, person.account.attributes) == (OTHER, '{"a":1}')
    assert world.one(Identifier).value == OTHER
    assert [name.value for name in world.one(Account).identifiers] == [OTHER]


async def test_a_change_goes_on_top_of_another() -> None:
    """Of two that met, neither is lost."""
    world, account = await made()

    def meanwhile() -> None:
        world.edit(world.one(Account).but(attributes='{"b":2}', version=2))

    world.network.before("commit", meanwhile)
    person = await changed(world, account, Change(attributes={"a": 1}))
    assert person.account.attributes in ('{"a":1,"b":2}', '{"b":2,"a":1}')


async def test_a_taken_email_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the change is made, also where its owner came in the moment between."""
    world, account = await made()
    await world.server().register(email=OTHER)
    with pytest.raises(UserAlreadyExists):
        await changed(world, account, Change(email=email(OTHER), attributes={"a": 1}))
    assert OTHER not in caplog.text
    kept = await world.memory.get(Account, account.key)
    assert kept == account


@pytest.mark.parametrize("owner", ["rival", None], ids=["another account's", "a registration's"])
async def test_an_old_email_that_is_no_longer_the_accounts_stays(owner: str | None) -> None:
    """Somebody else owns or holds it by now: the account takes its new one, and gives up nothing of theirs."""
    world, account = await made()
    theirs = world.one(Identifier).but(account_id=owner, attempt_id="rival", registration="r", version=7)
    world.edit(theirs)
    person = await changed(world, account, Change(email=email(OTHER)))
    assert person.account.email_canonical == OTHER
    assert {(one.value, one.account_id) for one in world.records(Identifier)} == {(EMAIL, owner), (OTHER, account.id)}
    assert await world.memory.get(Identifier, theirs.key) == theirs


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.LATE])
async def test_a_refusal_after_a_doubt_is_final(fault: Fault) -> None:
    """The commit that may still land, cannot: somebody took the email meanwhile, and the account has moved."""
    world, account = await made()
    world.network.next("commit", fault)
    rival = Account(id="rival", created_at=account.created_at, updated_at=account.updated_at, registration="r")
    name = Identifier(
        kind="email", value=OTHER, account_id="rival", attempt_id="rival", registration="r", canonical_version=1
    )
    world.network.before("get_many", lambda: world.edit(rival, name), nth=3)
    with pytest.raises(UserAlreadyExists):
        await changed(world, account, Change(email=email(OTHER)))
    world.edit(gone=(Identifier, name.key))  # free again: now it could land
    await world.store.land()
    assert (await world.memory.get(Account, account.key) or account).email_canonical == EMAIL


async def test_a_new_password_ends_all_sessions_but_those_kept() -> None:
    """By the same commit, so that no moment has the new one and an old session."""
    world, account = await made()
    account = account.but(sessions=("one", "two"))
    now = world.clock.now()
    families = [
        SessionFamily(id=one, account_id=account.id, epoch=0, leaves="[]", created_at=now, expires_at=now)
        for one in account.sessions
    ]
    world.edit(account, *families)
    person = await changed(world, account, Change(password=Secret("another of them"), keeps=("two",)))
    assert (person.account.sessions, person.account.epoch) == (("two",), account.epoch + 1)
    assert (world.one(SessionFamily).id, world.one(SessionFamily).epoch) == ("two", account.epoch + 1)
    assert await world.server().engine.embedded.verify(world.one(Identity), Secret("another of them"))  # type: ignore[union-attr]


async def test_what_changes_nothing_writes_nothing() -> None:
    """Not even the time of the last change."""
    world, account = await made()
    before = world.network.calls["commit"]
    person = await changed(world, account, Change(details=lambda details: details, banned_until=None))
    assert (person.account, world.network.calls["commit"]) == (account, before)


async def test_details_are_kept_with_the_identity() -> None:
    """And say nothing where nobody wrote them."""
    world, account = await made()
    assert details_of(world.one(Identity)) == Details()
    person = await changed(world, account, Change(details=lambda _: Details(role="editor", confirmed=True)))
    assert details_of(person.identity) == details_of(world.one(Identity)) == Details(role="editor", confirmed=True)


async def test_nobody_is_changed() -> None:
    """Who has been deleted is not brought back."""
    world, account = await made()
    await world.server().delete(account.id)
    for change in (Change(attributes={"a": 1}), Change(password=Secret("another of them"))):
        with pytest.raises(NotFound):
            await changed(world, account, change)


def username(name: str) -> canonical.Canonical:
    return canonical.username(name)


@UNHEARD
@pytest.mark.parametrize("variant", [None, Variant.OWN])
async def test_a_username_moves_once(fault: Fault, variant: Variant | None) -> None:
    """Whatever became of the first commit; with a remote provider too."""
    world = World(variant)
    account = (await world.server().register(username="ada")).account
    world.network.next("commit", fault)
    person = await changed(world, account, Change(username=username("Grace"), fields={"full_name": "Grace"}))
    await world.store.land()
    assert (person.account.username, person.account.username_canonical) == ("Grace", "grace")
    assert {one.name for one in world.records(Identifier)} == set(world.one(Account).identifiers)
    assert {one.value for one in world.records(Identifier)} == {EMAIL, "grace"}
    assert world.one(Account).full_name == "Grace"


async def test_the_last_identifier_stays() -> None:
    """An account by which nobody could be known is refused."""
    world = World(None)
    account = (await world.server().register(email=None, username="ada")).account
    with pytest.raises(InvalidInput):
        await changed(world, account, Change(username=None))
    assert (await changed(world, account, Change(username=username("ADA")))).account.username == "ADA"


@UNHEARD
async def test_a_change_at_a_version_is_made_once(fault: Fault) -> None:
    """A lost answer to our own commit is no other version; another's commit is."""
    world, account = await made()
    world.network.next("commit", fault)
    person = await changed(world, account, Change(version=account.version, fields={"full_name": "Grace"}))
    await world.store.land()
    assert world.one(Account) == person.account
    with pytest.raises(PreconditionFailed):
        await changed(world, account, Change(version=account.version, fields={"full_name": "Late"}))
    assert world.one(Account).full_name == "Grace"


async def test_our_own_commit_is_no_other_version() -> None:
    """It happened, and neither its answer nor the look for it came through: the version is one that we gave."""
    world, account = await made()
    world.network.next("commit", Fault.LOSE)
    world.network.next("get", Fault.DROP)
    person = await changed(world, account, Change(version=account.version, fields={"full_name": "Grace"}))
    assert person.account == world.one(Account)
    assert (person.account.full_name, world.network.calls["commit"]) == ("Grace", 2)


async def test_a_change_in_doubt_that_somebody_came_upon_is_not_denied() -> None:
    """Ours landed, and another's came before we looked: nothing tells the two apart from a refusal."""
    world, account = await made()
    world.network.next("commit", Fault.LOSE)

    def upon() -> None:
        world.edit(world.one(Account).but(role="Another", version=5))

    world.network.before("get", upon)
    with pytest.raises(OutcomeUnknown):
        await changed(world, account, Change(version=account.version, fields={"full_name": "Grace"}))


async def test_switching_off_ends_all_sessions_in_the_same_commit() -> None:
    """And raises the epoch, so that none of before comes back with the account."""
    world, account = await made()
    world.edit(account.but(sessions=("one", "two")))
    off = (await changed(world, account, Change(is_active=False))).account
    assert (off.is_active, off.sessions, off.epoch) == (False, (), account.epoch + 1)
    assert (await changed(world, account, Change(is_active=False))).account == off
    on = (await changed(world, account, Change(is_active=True))).account
    assert (on.is_active, on.epoch) == (True, off.epoch)
