"""Providers that are wrong in one respect each."""

import asyncio

import msgspec
from typing_extensions import override

from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, FoundPage, NewIdentity, Rejected, SignedIn, Unknown, Verified
from semel.testing import FakeProvider
from semel.testing.fake_realm import Kept

Created = Done | Exists | Rejected | Unknown
Updated = Done | Absent | Exists | Rejected | Unknown


class ForgetsThePassword(FakeProvider):
    """The password is a second step, and that was lost."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        return await super().create(msgspec.structs.replace(identity, password=None))


class SetsThePasswordLater(FakeProvider):
    """The password is a second step: whoever goes away between the two leaves a half."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        answer = await super().create(msgspec.structs.replace(identity, password=None))
        await asyncio.sleep(0)
        if isinstance(answer, Done):
            await super().delete(identity.id)
            answer = await super().create(identity)
        return answer


class ConfirmsEveryone(FakeProvider):
    """Whatever was asked, the email counts as confirmed."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        return await super().create(msgspec.structs.replace(identity, confirmed=True))


class NamesAnotherId(FakeProvider):
    """What it answers to a create is no id of what it made."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        answer = await super().create(identity)
        return Done("another") if isinstance(answer, Done) else answer


class AnswersDoneAgain(FakeProvider):
    """The same create again is answered as if it had been the first."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        there = await self.find(identity.id)
        return Done() if isinstance(there, Found) else await super().create(identity)


class OverwritesThePassword(FakeProvider):
    """The same create again sets the password once more."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        answer = await super().create(identity)
        if isinstance(answer, Exists):
            await self.delete(identity.id)
            await super().create(identity)
        return answer


class Loose(FakeProvider):
    """Makes what it is told to, whatever is there."""

    def make(self, identity: NewIdentity) -> Done:
        kept = Kept(identity.id, None, identity.email, identity.confirmed, None)
        self.state = self._realm.plant(self.state, kept, identity.password)
        return Done()


class TakesAnEmailTwice(Loose):
    """Only the id is unique."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        return Exists() if isinstance(await self.find(identity.id), Found) else self.make(identity)


class TakesAnIdTwice(Loose):
    """Only the email is unique."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        found = await self.find_by_email(identity.email or "")
        return Exists() if isinstance(found, Found) else self.make(identity)


class ChecksThenCreates(Loose):
    """A look, a moment, and then the insert, whatever came between."""

    @override
    async def create(self, identity: NewIdentity) -> Created:
        found = await self.find(identity.id), await self.find_by_email(identity.email or "")
        await asyncio.sleep(0)
        return Exists() if found != (Absent(), Absent()) else self.make(identity)


class FindsPartsOfAnId(FakeProvider):
    """The look-up is a search."""

    @override
    async def find(self, identity_id: str) -> Found | Absent | Unknown:
        hits = [kept.provider_id for kept in self.state.identities if identity_id in kept.provider_id]
        return await super().find(hits[0]) if hits else Absent()


class FindsPartsOfAnEmail(FakeProvider):
    """The look-up is a search."""

    @override
    async def find_by_email(self, email: str) -> Found | Absent | Unknown:
        hits = [kept.email for kept in self.state.identities if kept.email and email in kept.email]
        return await super().find_by_email(hits[0]) if hits else Absent()


class KeepsTheEmailOfTheDeleted(FakeProvider):
    """A delete hides the identity, and its email stays taken."""

    @override
    async def delete(self, provider_id: str) -> Done | Unknown:
        found = await self.find(provider_id)
        answer = await super().delete(provider_id)
        if isinstance(found, Found) and found.email:
            self.plant(found.email)
        return answer


class DeletesOnce(FakeProvider):
    """What is not there cannot be deleted."""

    @override
    async def delete(self, provider_id: str) -> Done | Unknown:
        there = isinstance(await self.find(provider_id), Found)
        return await super().delete(provider_id) if there else Unknown("404")


class TakesNobodyForWrong(FakeProvider):
    """An unknown identity and a wrong password are not told apart."""

    @override
    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:
        answer = await super().verify_password(identity_id, email, password)
        return Verified.WRONG if answer is Verified.ABSENT else answer


class TrimsPasswords(FakeProvider):
    """Spaces around a password do not count."""

    @override
    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:
        return await super().verify_password(identity_id, email, Secret(password.reveal().strip()))


class VerifiesByEmail(FakeProvider):
    """A sign-in with the email stands for the identity that was asked for."""

    @override
    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:
        found = await self.find_by_email(email or "")
        return await super().verify_password(found.identity_id if isinstance(found, Found) else "", email, password)


class Updates(FakeProvider):
    """Updates in steps, or less than it was told."""

    @override
    async def update(
        self,
        identity_id: str,
        *,
        email: str | None = None,
        password: Secret | None = None,
        confirmed: bool | None = None,
        disabled: bool | None = None,
    ) -> Updated:
        return await self.change(identity_id, email, password, confirmed=confirmed, disabled=disabled)

    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        return await super().update(name, email=email, password=password, confirmed=confirmed, disabled=disabled)


class LosesThePasswordWithTheEmail(Updates):
    """The password is salted with the email."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        lost = Secret("another") if email and not password else password
        return await super().change(name, email, lost, confirmed=confirmed, disabled=disabled)


class SetsNoPassword(Updates):
    """It is answered, and the old one stays."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        return await super().change(name, email, None, confirmed=confirmed, disabled=disabled)


class KeepsConfirmations(Updates):
    """A confirmation is not taken back, and nothing is said of that."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        return await super().change(name, email, password, confirmed=confirmed or None, disabled=disabled)


class DisablesNobody(Updates):
    """It is answered, and nothing comes of it."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        return await super().change(name, email, password, confirmed=confirmed, disabled=None)


class UpdatesInSteps(Updates):
    """The email is a second step."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        await super().change(name, None, password, confirmed=confirmed, disabled=disabled)
        return await super().change(name, email, None, confirmed=None, disabled=None)


class MakesItAnew(Updates):
    """An update counts as a making."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        answer = await super().change(name, email, password, confirmed=confirmed, disabled=disabled)
        later = tuple(msgspec.structs.replace(kept, created_at=None) for kept in self.state.identities)
        self.state = msgspec.structs.replace(self.state, identities=later)
        return answer


class UpdatesNobody(Updates):
    """An update of what is not there counts as done."""

    @override
    async def change(
        self, name: str, email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None
    ) -> Updated:
        answer = await super().change(name, email, password, confirmed=confirmed, disabled=disabled)
        return Done() if answer == Absent() else answer


class SkipsBetweenPages(FakeProvider):
    """Each page begins one too late."""

    @override
    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        return await super().page(cursor and str(int(cursor) + 1), limit)


class BeginsAgain(FakeProvider):
    """After the last page comes the first."""

    @override
    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        page = await super().page(cursor, limit)
        return page if isinstance(page, Unknown) else FoundPage(page.identities, page.cursor or "0")


class HasItsOwnPages(FakeProvider):
    """However few are asked for."""

    @override
    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        return await super().page(cursor, max(limit, 50))


class ClosesOnce(FakeProvider):
    """The second time there is nothing left to close."""

    _closed = False

    @override
    async def close(self) -> None:
        if self._closed:
            raise ConnectionError("closed already")
        self._closed = True


class SignsAnyoneIn(FakeProvider):
    """The password is not looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._passwords: dict[str | None, Secret | None] = {}

    @override
    async def create(self, identity: NewIdentity) -> Created:
        self._passwords[identity.email] = identity.password
        return await super().create(identity)

    @override
    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        return await super().sign_in(email, self._passwords.get(email) or password)


class NeverSignsOut(FakeProvider):
    """A sign-out is answered, and nothing ends."""

    @override
    async def sign_out(self, access_token: Secret) -> Done | Unknown:
        return Done()


class KnowsTheSignedOut(FakeProvider):
    """An access token speaks for its identity for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Found] = {}

    @override
    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        said = await super().sign_in(email, password)
        if isinstance(said, SignedIn):
            self._known[said.tokens.access_token] = said.identity
        return said

    @override
    async def whose(self, access_token: Secret) -> Found | Absent | Unknown:
        return self._known.get(access_token.reveal()) or await super().whose(access_token)


class KeepsSessions(FakeProvider):
    """A new password ends nothing."""

    @override
    async def update(
        self,
        identity_id: str,
        *,
        email: str | None = None,
        password: Secret | None = None,
        confirmed: bool | None = None,
        disabled: bool | None = None,
    ) -> Updated:
        sessions = self.state.sessions
        said = await super().update(identity_id, email=email, password=password, confirmed=confirmed, disabled=disabled)
        self.state = msgspec.structs.replace(self.state, sessions=sessions)
        return said


class RefreshesTheDeleted(FakeProvider):
    """A refresh looks at the token alone."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, SignedIn] = {}

    @override
    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        answer = await super().sign_in(email, password)
        if isinstance(answer, SignedIn):
            self._known[answer.tokens.refresh_token] = answer
        return answer

    @override
    async def refresh(self, refresh_token: Secret) -> SignedIn | Absent | Unknown:
        return self._known.get(refresh_token.reveal()) or await super().refresh(refresh_token)
