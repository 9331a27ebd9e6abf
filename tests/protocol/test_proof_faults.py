"""Links and passwords when a commit or an update is lost, late, doubled or refused, or the server dies: at every point.

Each flow is run with a fault at the first call, then at the second, … until there is no such call any more. Then what
was late lands, at once or after the retry; the person tries again, upkeep ends what is to be ended, and all is at rest.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from semel import errors
from semel.links import expire_link
from semel.model import Account, Identity, Link, OutboxEvent, Secret
from semel.protocol.options import Options
from semel.states import EventState, LinkPurpose
from semel.testing import Fault, Variant
from semel.testing.invariants import Snapshot, at_rest
from semel.upkeep import BUILT_IN, Duty, Upkeep
from semel.upkeep.unproved import expire_unproved
from tests.protocol.worlds import EMAIL, OTHER_PASSWORD, PASSWORD, Killed, World
from tests.test_proving import OTHER_EMAIL, PROVING, Desk

THIRD_PASSWORD = Secret("a third one, of yet another kind")
PASSWORDS = (PASSWORD, OTHER_PASSWORD, THIRD_PASSWORD)
EITHER = pytest.mark.parametrize("variant", [None, *Variant])
REMOTE = pytest.mark.parametrize("variant", list(Variant))
UNTOLD = (errors.OutcomeUnknown, errors.StoreUnavailable, errors.StoreRejected, errors.ChangeInProgress, Killed)
FAULTS: list[tuple[str, Fault | None]] = [
    *(("commit", fault) for fault in (Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE, Fault.REFUSE, Fault.DOWN)),
    *(("update", fault) for fault in (Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE, Fault.REFUSE, Fault.DOWN)),
    ("commit", None),
    ("update", None),
    ("get", Fault.DOWN),
    ("get_many", Fault.DOWN),
]
"""The operation that meets a fault, and which; ``None``: the server dies before it."""
CASES = [
    (variant, operation, fault, lands)
    for variant in (None, *Variant)
    for operation, fault in FAULTS
    for lands in (("before the retry", "after it") if fault is Fault.LATE else ("before the retry",))
    if variant is not None or operation != "update"
]
DUTIES = (*BUILT_IN, Duty("expire_link", Link, expire_link), Duty("expire_unproved", Account, expire_unproved))


@dataclass
class Scene:
    """A desk, what the person does there, and what is to come of it."""

    desk: Desk
    act: Callable[[Desk], Awaitable[object]]
    email: str = EMAIL
    password: Secret = PASSWORD
    repeats: bool = False
    """Whether it may be done again; a link is opened once."""
    told: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """What was told with 409: for how long."""
    tries: int = 0

    @property
    def account(self) -> Account:
        """The one that has not ended: a row may be left of one that has."""
        (account,) = [one for one in self.desk.world.records(Account) if not one.released]
        return account

    async def tried(self) -> bool:
        """Whether the person is told of a success: at another server each time."""
        self.tries += 1
        desk = Desk(self.desk.world, f"try {self.tries}")
        try:
            await self.act(desk)
        except errors.LinkUsed:
            self.told.append("used")
        except UNTOLD as error:
            self.told.append(type(error).__name__)
            self.waits += [error.retry_after or 0] if isinstance(error, errors.ChangeInProgress) else []
        except errors.ProviderRefused:
            self.told.append("refused")
        else:
            self.told.append("done")
        return self.told[-1] == "done"

    async def rest(self) -> None:
        """Run upkeep until every wish and every mark is over."""
        options, upkeep = self.desk.world.options, Upkeep(self.desk.engine, DUTIES)
        for seconds in (0.0, 10.0, options.lease + options.grace, options.removal_horizon, options.removal_horizon):
            self.desk.world.clock.advance(seconds)
            await upkeep.once()

    async def knows(self) -> list[Secret]:
        """Return which passwords sign in."""
        return [one for one in PASSWORDS if await self.desk.knows(one, self.account.email or "")]


async def verify(variant: Variant | None) -> Scene:
    desk = Desk(World(variant, options=Options(proving=PROVING)))
    account = (await desk.server.register()).account
    token, mine = desk.token(LinkPurpose.VERIFY), Secret(desk.book.sign_up_token(account.registration))
    return Scene(desk, lambda each: each.proofs.open(token, sign_up_token=mine))


async def verify_with_password(variant: Variant | None) -> Scene:
    desk = Desk(World(variant, options=Options(proving=PROVING)))
    await desk.server.register(username="ada")
    token = desk.token(LinkPurpose.VERIFY)
    return Scene(desk, lambda each: each.proofs.open(token, OTHER_PASSWORD), password=OTHER_PASSWORD)


async def proved(variant: Variant | None) -> Desk:
    desk = Desk(World(variant, options=Options(proving=PROVING)))
    await desk.server.register(proved=True)
    return desk


async def recovery(variant: Variant | None) -> Scene:
    desk = await proved(variant)
    await desk.book.recover(EMAIL)
    token = desk.token(LinkPurpose.RECOVER)
    return Scene(desk, lambda each: each.proofs.open(token, OTHER_PASSWORD), password=OTHER_PASSWORD)


async def new_password(variant: Variant | None) -> Scene:
    async def act(each: Desk) -> None:
        present = PASSWORD if await each.knows(PASSWORD) else OTHER_PASSWORD
        await each.passwords.change(EMAIL, present, OTHER_PASSWORD)

    return Scene(await proved(variant), act, password=OTHER_PASSWORD, repeats=True)


async def new_email(variant: Variant | None) -> Scene:
    desk = await proved(variant)
    await desk.book.ask_for_email(desk.world.one(Account).id, OTHER_EMAIL)
    token = desk.token(LinkPurpose.CHANGE_EMAIL)
    return Scene(desk, lambda each: each.proofs.open(token), email=OTHER_EMAIL)


async def squatted_email(variant: Variant | None) -> Scene:
    desk = await proved(variant)
    account = desk.world.one(Account)
    await desk.server.register(email=OTHER_EMAIL, username="squatter")
    await desk.book.ask_for_email(account.id, OTHER_EMAIL)
    token = desk.token(LinkPurpose.CHANGE_EMAIL)
    return Scene(desk, lambda each: each.proofs.open(token), email=OTHER_EMAIL)


FLOWS = [verify, verify_with_password, recovery, new_password, new_email, squatted_email]


def judged(world: World) -> list[str]:
    """Judge the world at rest. Mails are nobody's here: they are taken for sent."""
    records = [
        record.but(state=EventState.DELIVERED) if isinstance(record, OutboxEvent) else record
        for record in world.memory.table.values()
    ]
    there = None if world.embedded is not None else world.provider.everybody()
    secrets = tuple(one.reveal() for one in PASSWORDS)
    return at_rest(Snapshot(records=tuple(records), identities=there, secrets=secrets))


async def landed(world: World) -> None:
    await world.store.land()
    world.provider.land()


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
@pytest.mark.parametrize(("variant", "operation", "fault", "lands"), CASES, ids=str)
async def test_a_fault_at_every_point(
    flow: Callable[[Variant | None], Awaitable[Scene]],
    variant: Variant | None,
    operation: str,
    fault: Fault | None,
    lands: str,
) -> None:
    for nth in count(1):
        scene = await flow(variant)
        if not await faulted(scene, operation, fault, nth):
            assert nth > 1 or operation == "get_many", "the fault met no call at all"
            return
        if lands == "before the retry":
            await landed(scene.desk.world)
        await ended(scene)


async def faulted(scene: Scene, operation: str, fault: Fault | None, nth: int) -> bool:
    """Let the person try, with a fault at the nth call. ``False``: there were fewer."""
    world = scene.desk.world
    plan = world.outside if operation == "update" else world.network
    before = plan.calls[operation]
    if fault is None:
        plan.kill(operation, nth)
    else:
        plan.next(operation, *[None] * (nth - 1), fault)
    await scene.tried()
    world.network.lift()
    world.outside.lift()
    return plan.calls[operation] - before >= nth


async def ended(scene: Scene) -> None:
    """Let the person try again, now and when all that was under way is over, and judge what is there."""
    world = scene.desk.world
    if scene.told != ["done"]:
        await scene.tried()
    await landed(world)
    await scene.rest()
    if not {"done", "used"} & set(scene.told):
        await scene.tried()
        await scene.rest()
    assert {"done", "used", "refused"} & set(scene.told), scene.told
    assert judged(world) == [], scene.told
    assert all(0 < wait <= world.options.removal_horizon for wait in scene.waits)
    account = scene.account
    if scene.told[-1] == "refused" or (scene.told[0] == "refused" and "done" not in scene.told):
        assert account.email == EMAIL
        assert await scene.knows() == [PASSWORD]
        return
    assert account.email == scene.email, scene.told
    assert account.email_verified_at is not None, scene.told
    assert await scene.knows() == [scene.password], scene.told
    if not scene.repeats:
        await scene.tried()
        assert scene.told[-1] == "used", scene.told


@EITHER
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
async def test_a_commit_that_lands_while_its_request_tries_again_is_known(
    flow: Callable[[Variant | None], Awaitable[Scene]], variant: Variant | None
) -> None:
    """Its own commit must not be taken for somebody else's, who was faster."""
    scene = await flow(variant)
    world = scene.desk.world
    world.network.next("commit", Fault.LATE)
    told, _ = await asyncio.gather(scene.tried(), world.after(0.0001, world.store.land()))
    if not told:  # a password's mark, at a remote provider: its update was never sent
        assert (scene.repeats, scene.told) == (True, ["ChangeInProgress"])
    assert world.network.spent


@REMOTE
@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.DOWN])
@pytest.mark.parametrize("lands", ["before", "after"])
async def test_of_two_changes_of_a_password_one_is_told_to_wait(variant: Variant, fault: Fault, lands: str) -> None:
    """The first may land whenever it likes: the password at rest is one that the person was told of, and set last."""
    desk = await proved(variant)
    scene = Scene(desk, lambda each: each.passwords.change(EMAIL, PASSWORD, OTHER_PASSWORD))
    desk.world.outside.next("update", fault)
    assert not await scene.tried()
    if lands == "before":
        await landed(desk.world)
    for present in PASSWORDS[:2]:
        with pytest.raises((errors.ChangeInProgress, errors.InvalidCredentials)) as told:
            await desk.passwords.change(EMAIL, present, THIRD_PASSWORD)
        if isinstance(told.value, errors.ChangeInProgress):
            assert told.value.code == "change_in_progress"
            assert 0 < (told.value.retry_after or 0) <= desk.world.options.removal_horizon
    await landed(desk.world)
    await scene.rest()
    (present,) = await scene.knows()
    assert present == (PASSWORD if fault in {Fault.DROP, Fault.DOWN} else OTHER_PASSWORD)
    await desk.passwords.change(EMAIL, present, THIRD_PASSWORD)
    assert await scene.knows() == [THIRD_PASSWORD]
    assert judged(desk.world) == []
    assert desk.world.one(Identity).secret_until is None


@REMOTE
async def test_an_old_update_that_lands_late_is_overwritten(variant: Variant) -> None:
    """Two changes in a row, the first one's request still on its way when the second has ended."""
    desk = await proved(variant)
    account = desk.world.one(Account)
    await desk.book.ask_for_email(account.id, OTHER_EMAIL)
    desk.world.outside.next("update", Fault.LATE)
    with pytest.raises(errors.OutcomeUnknown):
        await desk.proofs.open(desk.token(LinkPurpose.CHANGE_EMAIL))
    await desk.server.upkeep.once()
    assert desk.world.one(Account).email == OTHER_EMAIL
    await desk.book.ask_for_email(account.id, "ada@example.net")
    await desk.proofs.open(desk.token(LinkPurpose.CHANGE_EMAIL))
    desk.world.provider.land()
    assert [found.email for found in desk.world.provider.everybody()] == [OTHER_EMAIL]
    scene = Scene(desk, lambda _: desk.book.recover(EMAIL))
    await scene.rest()
    assert [found.email for found in desk.world.provider.everybody()] == ["ada@example.net"]
    assert judged(desk.world) == []


@REMOTE
async def test_an_update_that_lands_after_its_change_was_given_up_is_overwritten(variant: Variant) -> None:
    """The first request is on its way, the second is refused: from then on the email of before is wished."""
    desk = await proved(variant)
    await desk.book.ask_for_email(desk.world.one(Account).id, OTHER_EMAIL)
    desk.world.outside.next("update", Fault.LATE, Fault.REFUSE)
    with pytest.raises(errors.OutcomeUnknown):
        await desk.proofs.open(desk.token(LinkPurpose.CHANGE_EMAIL))
    await desk.server.upkeep.once()
    assert desk.world.one(Account).pending_email is None
    desk.world.provider.land()
    assert [found.email for found in desk.world.provider.everybody()] == [OTHER_EMAIL]
    await Scene(desk, lambda _: desk.book.recover(EMAIL)).rest()
    assert [found.email for found in desk.world.provider.everybody()] == [EMAIL]
    assert judged(desk.world) == []


@EITHER
@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE, Fault.DOWN, Fault.REFUSE])
async def test_an_expiry_is_ended_by_a_later_pass(variant: Variant | None, fault: Fault) -> None:
    for nth in range(1, 5):
        scene = await verify(variant)
        world = scene.desk.world
        world.clock.advance(PROVING.unproved_kept + 1)
        world.network.next("commit", *[None] * (nth - 1), fault)
        await Upkeep(scene.desk.engine, DUTIES).once()
        world.network.lift()
        await landed(world)
        await scene.rest()
        assert all(account.released for account in world.records(Account))
        assert judged(world) == []
        assert not world.records(Link)
