"""The promises of ``ports.RemoteProvider``, for whoever writes a provider: one suite for every one of them.

Each promise is a coroutine function that is given a ``ProviderBench`` and raises ``BrokenPromiseError``; use them as
those of ``semel.testing.store_contract``::

    @pytest.mark.parametrize("promise", PROVIDER_CONTRACT)
    async def test_keeps_the_promise(promise, bench):
        await promise(bench)

A provider that signs people in (``ports.Sessions``) keeps the promises of
``semel.testing.sessions_contract`` besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import msgspec

from semel.model import Secret
from semel.ports import (
    Absent,
    Done,
    Exists,
    Found,
    FoundPage,
    Ids,
    NewIdentity,
    Rejected,
    RemoteProvider,
    Unknown,
    Verified,
)
from semel.testing.clock import SequentialIds
from semel.testing.promises import BrokenPromiseError, expect

__all__ = ["PROVIDER_CONTRACT", "ProviderBench", "ProviderPromise"]

_CROWD = 10
_FEW = 2


@dataclass(frozen=True)
class ProviderBench:
    """A provider under test.

    Every promise names fresh ids and emails, so the provider may hold other identities; where its data outlives a run,
    give ids that do not repeat. ``one_for_an_id`` says that the provider itself makes no second identity for one id
    with another email; where our id is a mere marker it cannot. ``domain`` is that of the emails.
    """

    provider: RemoteProvider
    ids: Ids = field(default_factory=lambda: SequentialIds("provider contract"))
    one_for_an_id: bool = True
    domain: str = "example.org"

    def identity(self) -> NewIdentity:
        """Return an identity that nobody has."""
        name, password = self.ids.uuid(), Secret(f"Cörrect-horse {self.ids.secret()}")
        return NewIdentity(name, f"{name}@{self.domain}", password, confirmed=True, full_name="Ada Lovelace")

    async def made(self) -> tuple[NewIdentity, Found]:
        """Make an identity, and return it with what the provider says of it."""
        new = self.identity()
        answer = await self.provider.create(new)
        expect(isinstance(answer, Done), f"an identity that nobody has was answered {answer}")
        found = await self.provider.find(new.id)
        if not isinstance(found, Found):
            raise BrokenPromiseError(f"what was made and done is found as {found}")
        return new, found

    async def absent(self, new: NewIdentity) -> None:
        """Expect that our id leads to nothing."""
        found = await self.provider.find(new.id)
        expect(found == Absent(), f"what was not made, or is gone, is found as {found}")

    async def opens(self, new: NewIdentity) -> Verified:
        """Offer the identity's password."""
        return await self.provider.verify_password(new.id, new.email, new.password or Secret(""))


ProviderPromise = Callable[[ProviderBench], Awaitable[None]]
"""A promise: it returns if it is kept, and raises ``BrokenPromiseError`` if it is not."""


async def an_identity_is_made_whole(bench: ProviderBench) -> None:
    """Once it is done id, email, confirmation and password are all there: there is no second step to be lost."""
    new, found = await bench.made()
    expect(found.identity_id == new.id, f"our id {new.id} came back as {found.identity_id}")
    expect(found.email == new.email, "the email came back otherwise")
    expect(found.confirmed, "the email was made confirmed, and is not")
    expect(await bench.opens(new) is Verified.RIGHT, "its password does not open it")
    by_email = await bench.provider.find_by_email(new.email or "")
    expect(by_email == found, f"by its id it is found as {found}, by its email as {by_email}")


async def an_identity_is_made_unconfirmed_where_asked(bench: ProviderBench) -> None:
    """Whether the email counts as confirmed is said by who makes it."""
    new = msgspec.structs.replace(bench.identity(), confirmed=False)
    expect(isinstance(await bench.provider.create(new), Done), "it was not made")
    found = await bench.provider.find(new.id)
    expect(isinstance(found, Found) and not found.confirmed, f"made unconfirmed, it is found as {found}")


async def the_time_of_its_making_stays(bench: ProviderBench) -> None:
    """Where the provider says when an identity was made: with a zone, and the same after whatever else is changed."""
    new, found = await bench.made()
    expect(found.created_at is None or found.created_at.tzinfo is not None, "the time of its making has no zone")
    await bench.provider.update(new.id, password=bench.identity().password)
    again = await bench.provider.find(new.id)
    same = isinstance(again, Found) and again.created_at == found.created_at
    expect(same, f"an identity of {found.created_at} is found as {again}")


async def done_names_the_providers_id(bench: ProviderBench) -> None:
    """Or none, where that is ours."""
    new = bench.identity()
    done, found = await bench.provider.create(new), await bench.provider.find(new.id)
    if not isinstance(done, Done) or not isinstance(found, Found):
        raise BrokenPromiseError(f"the create was answered {done}, and then found as {found}")
    expect((done.provider_id or new.id) == found.provider_id, "the create named another id than is found")


async def the_same_create_again_makes_no_second(bench: ProviderBench) -> None:
    """It is answered ``Exists``, never ``Done``: done says that this very call made it, with this very password."""
    new, found = await bench.made()
    other = msgspec.structs.replace(new, password=Secret(f"Another-horse {bench.ids.secret()}"), full_name="Eve")
    for again in (new, other):
        answer = await bench.provider.create(again)
        expect(answer == Exists(), f"the same create again was answered {answer}")
    expect(await bench.provider.find(new.id) == found, "a create that was answered Exists changed the identity")
    expect(await bench.opens(new) is Verified.RIGHT, "a create that was answered Exists took the password away")
    expect(await bench.opens(other) is Verified.WRONG, "a create that was answered Exists set a password")


async def a_taken_email_is_answered_exists(bench: ProviderBench) -> None:
    """Another id with the email of one that is there makes nothing and changes nothing."""
    new, found = await bench.made()
    other = msgspec.structs.replace(bench.identity(), email=new.email)
    answer = await bench.provider.create(other)
    expect(answer == Exists(), f"a taken email was answered {answer}")
    await bench.absent(other)
    expect(await bench.provider.find_by_email(new.email or "") == found, "the email leads elsewhere now")


async def an_id_has_one_identity(bench: ProviderBench) -> None:
    """Also where the second create has another email."""
    new, found = await bench.made()
    other = msgspec.structs.replace(bench.identity(), id=new.id)
    if bench.one_for_an_id:
        answer = await bench.provider.create(other)
        expect(answer == Exists(), f"a second identity for one id was answered {answer}")
        second = await bench.provider.find_by_email(other.email or "")
        expect(second == Absent(), f"for one id there is {found}, and besides {second}")
    expect(await bench.provider.find(new.id) == found, "the id leads elsewhere now")


async def racing_creates_of_one_identity_make_one(bench: ProviderBench) -> None:
    """Of many at once with one id and email, each with a password of its own, one is done, and its password opens."""
    new = bench.identity()
    rivals = [msgspec.structs.replace(new, password=bench.identity().password) for _ in range(_CROWD)]
    (winner,) = await _race(bench, rivals)
    for rival in rivals:
        expected = Verified.RIGHT if rival is winner else Verified.WRONG
        expect(await bench.opens(rival) is expected, "a loser's password opens the identity, or the winner's does not")


async def racing_creates_with_one_email_make_one(bench: ProviderBench) -> None:
    """Of many at once with ids of their own, one is done, and of the others nothing is left."""
    email = bench.identity().email
    rivals = [msgspec.structs.replace(bench.identity(), email=email) for _ in range(_CROWD)]
    (winner,) = await _race(bench, rivals)
    found = await bench.provider.find_by_email(email or "")
    expect(isinstance(found, Found) and found.identity_id == winner.id, f"one was done, and the email leads to {found}")
    for rival in rivals:
        if rival is not winner:
            await bench.absent(rival)


async def only_the_exact_id_is_found(bench: ProviderBench) -> None:
    """Neither part of it, nor a pattern, nor nothing at all, which some providers answer with everybody."""
    new, _ = await bench.made()
    for other in (bench.ids.uuid(), new.id[:-1], new.id[1:], f"{new.id}0", f"{new.id[:-1]}_", "%", "*", ""):
        found = await bench.provider.find(other)
        expect(not isinstance(found, Found), f"asked for {other!r}, found {found}")


async def only_the_exact_email_is_found(bench: ProviderBench) -> None:
    """Neither part of it, nor a pattern, nor nothing at all."""
    new, _ = await bench.made()
    email = new.email or ""
    others = (bench.identity().email or "", email[1:], f"a{email}", email.replace("-", "_"), f"%@{bench.domain}")
    for other in (*others, "%", "*", ""):
        found = await bench.provider.find_by_email(other)
        expect(not isinstance(found, Found), f"asked for {other!r}, found {found}")


async def a_deleted_identity_is_gone(bench: ProviderBench) -> None:
    """By id, by email and by password; its email is free, and others stay."""
    (new, found), (_, other) = await bench.made(), await bench.made()
    expect(isinstance(await bench.provider.delete(found.provider_id), Done), "the delete was not done")
    await bench.absent(new)
    expect(await bench.provider.find_by_email(new.email or "") == Absent(), "it is still found by its email")
    expect(await bench.opens(new) is Verified.ABSENT, "its password is still known")
    expect(await bench.provider.find(other.identity_id) == other, "another identity was deleted, or changed")
    heir = msgspec.structs.replace(bench.identity(), email=new.email)
    expect(isinstance(await bench.provider.create(heir), Done), "its email is still taken")


async def deleting_what_is_not_there_is_done(bench: ProviderBench) -> None:
    """Whether it is gone or never was."""
    _, found = await bench.made()
    for provider_id in (found.provider_id, found.provider_id, bench.ids.uuid()):
        answer = await bench.provider.delete(provider_id)
        expect(isinstance(answer, Done), f"a delete was answered {answer}")


async def a_password_is_right_wrong_or_absent(bench: ProviderBench) -> None:
    """As often as asked; the last and the first letter count, and so does their case."""
    new, _ = await bench.made()
    text = new.password.reveal() if new.password else ""
    for wrong in ("x", text[:-1], text[1:], f"{text} ", text.swapcase()):
        answer = await bench.provider.verify_password(new.id, new.email, Secret(wrong))
        expect(answer is Verified.WRONG, f"a wrong password was answered {answer}")
    expect(await bench.opens(new) is Verified.RIGHT, "the right password does not open any more")
    expect(await bench.opens(bench.identity()) is Verified.ABSENT, "the password of nobody is not absent")


async def a_password_opens_only_the_identity_asked_for(bench: ProviderBench) -> None:
    """Another's right password and email do not open an id that is absent, or not theirs."""
    new, _ = await bench.made()
    other, _ = await bench.made()
    password = new.password or Secret("")
    for name, wanted in ((bench.ids.uuid(), Verified.ABSENT), (other.id, Verified.WRONG)):
        answer = await bench.provider.verify_password(name, new.email, password)
        expect(answer is not Verified.RIGHT, f"a password opened another's identity: {answer}, should be {wanted}")


async def an_email_is_updated_alone(bench: ProviderBench) -> None:
    """It leads to the identity from then on, the old one is free, and all else stays."""
    new, found = await bench.made()
    email = bench.identity().email or ""
    expect(await bench.provider.update(new.id, email=email) == Done(), "a new email was not set")
    moved = msgspec.structs.replace(found, email=email)
    for seen in (await bench.provider.find(new.id), await bench.provider.find_by_email(email)):
        expect(seen == moved, f"{found} with a new email is found as {seen}")
    expect(await bench.provider.find_by_email(new.email or "") == Absent(), "the old email still leads to it")
    expect(await bench.opens(msgspec.structs.replace(new, email=email)) is Verified.RIGHT, "its password is gone")
    heir = msgspec.structs.replace(bench.identity(), email=new.email)
    expect(isinstance(await bench.provider.create(heir), Done), "the old email is still taken")


async def a_password_is_updated_alone(bench: ProviderBench) -> None:
    """It opens the identity from then on, the old one does not, and all else stays; said twice it is the same."""
    new, found = await bench.made()
    changed = msgspec.structs.replace(new, password=Secret(f"Another-horse {bench.ids.secret()}"))
    for _ in range(2):
        answer = await bench.provider.update(new.id, password=changed.password)
        expect(answer == Done(), f"a new password was answered {answer}")
    expect(await bench.opens(changed) is Verified.RIGHT, "the new password does not open it")
    expect(await bench.opens(new) is Verified.WRONG, "the old password still opens it")
    expect(await bench.provider.find(new.id) == found, "a new password changed more than the password")


async def a_confirmation_is_given_and_taken_back_or_refused(bench: ProviderBench) -> None:
    """A provider that takes none back says so, and leaves it."""
    new = msgspec.structs.replace(bench.identity(), confirmed=False)
    expect(isinstance(await bench.provider.create(new), Done), "it was not made")
    for confirmed in (True, False):
        answer = await bench.provider.update(new.id, confirmed=confirmed)
        refused = not confirmed and isinstance(answer, Rejected)
        expect(answer == Done() or refused, f"an update to confirmed={confirmed} was answered {answer}")
        found = await bench.provider.find(new.id)
        now = isinstance(found, Found) and found.confirmed
        expect(now is (confirmed or refused), f"an update to confirmed={confirmed} was answered {answer}: {found}")


async def a_disabled_identity_says_so(bench: ProviderBench) -> None:
    """Until that is taken back; all else stays."""
    new, found = await bench.made()
    for disabled in (True, False):
        expect(await bench.provider.update(new.id, disabled=disabled) == Done(), "it was not done")
        expected = msgspec.structs.replace(found, disabled=disabled)
        for seen in (await bench.provider.find(new.id), await bench.provider.find_by_email(new.email or "")):
            expect(seen == expected, f"after disabled={disabled} it is found as {seen}")
    expect(await bench.opens(new) is Verified.RIGHT, "enabled again, its password does not open it")


async def an_update_to_a_taken_email_changes_nothing(bench: ProviderBench) -> None:
    """It is answered ``Exists``, and what else was asked for in it is not done either."""
    (new, found), (other, taken) = await bench.made(), await bench.made()
    password = Secret(f"Another-horse {bench.ids.secret()}")
    answer = await bench.provider.update(new.id, email=other.email, password=password, disabled=True)
    expect(answer == Exists(), f"a taken email was answered {answer}")
    expect(await bench.provider.find(new.id) == found, "an update that was answered Exists changed the identity")
    expect(await bench.opens(new) is Verified.RIGHT, "an update that was answered Exists set the password")
    expect(await bench.provider.find_by_email(other.email or "") == taken, "the email leads elsewhere now")


async def an_update_of_what_is_not_there_is_absent(bench: ProviderBench) -> None:
    """It makes nothing; and one to the same values is done."""
    gone = bench.identity()
    answer = await bench.provider.update(gone.id, email=gone.email, password=gone.password)
    expect(answer == Absent(), f"an update of nobody was answered {answer}")
    await bench.absent(gone)
    new, found = await bench.made()
    answer = await bench.provider.update(new.id, email=new.email, password=new.password, confirmed=True, disabled=False)
    expect(answer == Done(), f"an update to what is there already was answered {answer}")
    expect(await bench.provider.find(new.id) == found, "an update to what is there already changed it")


async def every_identity_is_met_in_pages(bench: ProviderBench) -> None:
    """As ``find`` shows it, in pages no longer than asked for, whose cursor leads on to an end."""
    made = {found.provider_id: found for _, found in [await bench.made() for _ in range(5)]}
    for limit in (_FEW, 1000):
        # In small pages only until they are met: there may be many others.
        listed = {each.provider_id: each for each in await _listed(bench, limit, made if limit == _FEW else None)}
        expect(made.items() <= listed.items(), f"in pages of {limit}, of {made} are listed {listed.keys() & made}")


async def a_create_whose_caller_went_away_can_be_sent_again(bench: ProviderBench) -> None:
    """Whenever that was: afterwards there is one identity, whole."""
    for turns in range(6):
        new = bench.identity()
        create = asyncio.ensure_future(bench.provider.create(new))
        for _ in range(turns):
            await asyncio.sleep(0)
        create.cancel()
        await asyncio.wait([create])
        answer = await bench.provider.create(new)
        expect(isinstance(answer, Done | Exists), f"sent again, it was answered {answer}")
        expect(await bench.opens(new) is Verified.RIGHT, "the identity that was then made is not whole")


async def closing_a_provider_twice_is_harmless(bench: ProviderBench) -> None:
    """To whoever closes."""
    await bench.made()
    await bench.provider.close()
    await bench.provider.close()


async def _listed(bench: ProviderBench, limit: int, until: Collection[str] | None) -> list[Found]:
    """Return all that the pages list, or what they list until these are met."""
    listed: list[Found] = []
    cursors: list[str | None] = [None]
    while True:
        page = await bench.provider.page(cursors[-1], limit)
        if not isinstance(page, FoundPage):
            raise BrokenPromiseError(f"a page was answered {page}")
        expect(len(page.identities) <= limit, f"a page of {limit} has {len(page.identities)}")
        listed += page.identities
        met = until is not None and {each.provider_id for each in listed}.issuperset(until)
        if page.cursor is None or met:
            return listed
        expect(page.cursor not in cursors, "the cursor leads in a circle")
        cursors.append(page.cursor)


async def _race(bench: ProviderBench, rivals: list[NewIdentity]) -> list[NewIdentity]:
    """Make all at once; expect that one is done, and return it."""
    answers = await asyncio.gather(*(bench.provider.create(each) for each in rivals))
    losers = [answer for answer in answers if not isinstance(answer, Done)]
    expect(all(isinstance(each, Exists | Unknown) for each in losers), f"losers of a race were answered {losers}")
    winners = [rival for rival, answer in zip(rivals, answers, strict=True) if isinstance(answer, Done)]
    expect(len(winners) == 1, f"{len(winners)} of {len(rivals)} that exclude one another were done")
    return winners


PROVIDER_CONTRACT: tuple[ProviderPromise, ...] = (
    an_identity_is_made_whole,
    an_identity_is_made_unconfirmed_where_asked,
    the_time_of_its_making_stays,
    done_names_the_providers_id,
    the_same_create_again_makes_no_second,
    a_taken_email_is_answered_exists,
    an_id_has_one_identity,
    racing_creates_of_one_identity_make_one,
    racing_creates_with_one_email_make_one,
    only_the_exact_id_is_found,
    only_the_exact_email_is_found,
    a_deleted_identity_is_gone,
    deleting_what_is_not_there_is_done,
    a_password_is_right_wrong_or_absent,
    a_password_opens_only_the_identity_asked_for,
    an_email_is_updated_alone,
    a_password_is_updated_alone,
    a_confirmation_is_given_and_taken_back_or_refused,
    a_disabled_identity_says_so,
    an_update_to_a_taken_email_changes_nothing,
    an_update_of_what_is_not_there_is_absent,
    every_identity_is_met_in_pages,
    a_create_whose_caller_went_away_can_be_sent_again,
    closing_a_provider_twice_is_harmless,
)
"""What every provider promises."""
