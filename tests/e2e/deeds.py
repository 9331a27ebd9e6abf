"""What a process can be killed in the middle of, and what must come of it then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import ClassVar

import httpx
import pytest
from typing_extensions import override

from semel import Semel
from semel.errors import OutcomeUnknown, ProviderRefused
from semel.model import KeyRecord, Secret
from semel.ports import Delete
from semel.system import SystemIds
from semel.testing import Fault
from semel.testing.fake_server import FakeProviderServer
from tests.e2e.killing import Process, open_store
from tests.e2e.scenes import LOGIN, Scene, account_in, caller
from tests.e2e.snapshot import account, condemned, latest


class Deed(ABC):
    """One thing that one process does in a scene of its own."""

    inside: ClassVar[frozenset[str]] = frozenset({"commit"})
    outside: ClassVar[frozenset[str]] = frozenset({"commit"})
    """Operations that it is known to do, where identities are in the store and where they are at a provider: were they
    not seen, nothing would be shown."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.person = scene.person()

    async def prepare(self) -> None:  # noqa: B027 - most need nothing but a database
        """Do what comes before, in processes that live."""

    @abstractmethod
    async def act(self, fatal: str | None) -> Process:
        """Do it in a process that dies at the point, and return the process."""

    @abstractmethod
    async def mend(self) -> None:
        """Come back after the kill, and see that all is well; what is at rest is checked afterwards."""

    async def signed_up_or_free(self) -> None:
        """See that the person can sign in, or sign up with another password."""
        client = await self.scene.server()
        known = await client.post(LOGIN, json=self.person.credentials)
        if known.status_code == HTTPStatus.UNAUTHORIZED:
            self.person = self.scene.again(self.person)
            answer = await self.scene.sign_up(client, self.person)
            assert answer.status_code == 201, answer.text
        await self.scene.sign_in(client, self.person)


class Request(Deed):
    """A request over HTTP; its answer would have ``status``."""

    status: ClassVar[int] = 200

    @abstractmethod
    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        """Send it once."""

    @override
    async def act(self, fatal: str | None) -> Process:
        victim = await self.scene.victim(fatal)
        async with caller(victim.url) as client:
            if fatal is None:
                answer = await self.send(client)
                assert answer.status_code == self.status, answer.text
                await victim.kill()
            else:
                with pytest.raises(httpx.TransportError):
                    await self.send(client)
        return victim


class SignUp(Request):
    """A sign-up under a key."""

    outside = frozenset({"commit", "create"})
    status = 201

    @override
    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        return await self.scene.ask(client, self.person)

    async def same_success(self, client: httpx.AsyncClient) -> None:
        """See that the same request has a success, the same each time, and that the password opens it."""
        answer = await self.scene.sign_up(client, self.person)
        assert answer.status_code == 201, answer.text
        assert (await self.scene.sign_in(client, self.person))["account"]["id"] == account_in(answer)
        assert account_in(await self.scene.sign_up(client, self.person)) == account_in(answer)

    async def died(self, point: str) -> None:
        """Let a server die over the very sign-up, and its lease end."""
        await self.act(point)
        await self.scene.over()


class SignUpAgain(SignUp):
    """The caller tries again at once, under the same key, at a server that ran all along."""

    @override
    async def prepare(self) -> None:
        self.second = await self.scene.server()

    @override
    async def mend(self) -> None:
        await self.same_success(self.second)


class SignUpForgotten(SignUp):
    """Nobody comes back: upkeep goes forward where the identity is there, else it frees the email."""

    @override
    async def mend(self) -> None:
        identities = self.scene.remote.provider.state.identities if self.scene.remote else None
        rested = await self.scene.rest()
        if identities is not None:
            assert len(rested.identities or ()) == len(identities)
        await self.signed_up_or_free()


class Invited(SignUp):
    """The same by accepting an invitation, which can still be accepted where it leaves no account."""

    @override
    async def prepare(self) -> None:
        await super().prepare()
        self.person = await self.scene.invited(self.person)


class AcceptAgain(Invited, SignUpAgain):
    """An acceptance, tried again at once under the same key."""


class AcceptForgotten(Invited, SignUpForgotten):
    """An acceptance that nobody comes back to."""


class Administered(SignUp):
    """The same by an administrator."""

    @override
    async def prepare(self) -> None:
        await super().prepare()
        self.person = await self.scene.administered(self.person)


class CreateAgain(Administered, SignUpAgain):
    """An administrator's create, tried again at once under the same key."""


class SignUpLater(SignUp):
    """The caller tries again once the lease is over, at a server that is started then."""

    @override
    async def mend(self) -> None:
        await self.scene.over()
        await self.same_success(await self.scene.server())


class SecondTry(SignUpLater):
    """A sign-up under the key of one whose server died when the identity had just been made."""

    outside = frozenset({"commit", "create", "find", "verify_password"})

    @override
    async def prepare(self) -> None:
        await self.died("after create 1")


class Newcomer(SignUpLater):
    """A sign-up that finds the email held by one whose server died."""

    outside = frozenset({"commit", "create", "find"})

    @override
    async def prepare(self) -> None:
        await self.died("before create 1")
        self.person = self.scene.again(self.person)


class AfterFailure(SignUpLater):
    """A sign-up under the key of one that failed, and whose identity is still to be removed."""

    @override
    async def prepare(self) -> None:
        assert self.scene.remote is not None
        self.scene.remote.plan.next("create", Fault.REFUSE)
        with pytest.raises(ProviderRefused):
            await self.scene.register(self.person)


class OverRemains(SignUpLater):
    """A sign-up for an email that a deleted account's identity still has at the provider."""

    outside = frozenset({"commit", "create", "find", "find_by_email", "delete"})

    @override
    async def prepare(self) -> None:
        assert self.scene.remote is not None
        account_id = await self.scene.register(self.person)
        self.scene.remote.plan.next("find", Fault.DROP)
        async with self.scene.opened() as (semel, _):
            await semel.delete_account(account_id)
        self.person = self.scene.again(self.person)


class SignIn(Request):
    """A sign-in; the person tries again."""

    outside = frozenset({"sign_in", "commit"})

    @override
    async def prepare(self) -> None:
        await self.scene.register(self.person)

    @override
    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(LOGIN, json=self.person.credentials)

    @override
    async def mend(self) -> None:
        await self.scene.rest()
        await self.scene.sign_in(await self.scene.server(), self.person)


class Heal(SignIn):
    """A sign-in with an identity that has no account: it is made now."""

    @override
    async def prepare(self) -> None:
        assert self.scene.remote is not None
        provider = self.scene.remote.provider
        self.scene.foreign.append(provider.plant(self.person.email, Secret(self.person.password)))


class WithSession(Request):
    """A request of somebody who has signed in at a server that ran all along."""

    @override
    async def prepare(self) -> None:
        await self.scene.register(self.person)
        self.second = await self.scene.server()
        self.tokens = await self.scene.sign_in(self.second, self.person)


class Refresh(WithSession):
    """A refresh; a lost answer signs nobody out, where the sessions are ours."""

    outside = frozenset({"refresh"})

    @override
    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/api/auth/refresh", json={"refresh_token": self.tokens["refresh_token"]})

    @override
    async def mend(self) -> None:
        await self.scene.rest()
        answer = await self.send(self.second)
        ours = self.scene.remote is None
        assert answer.status_code in ({200} if ours else {200, 401}), answer.text
        await self.scene.sign_in(self.second, self.person)


class SignOut(WithSession):
    """A sign-out; tried again, it has ended the session."""

    outside = frozenset({"sign_out"})
    status = 204

    @override
    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        return await client.post("/api/auth/logout", headers=headers)

    @override
    async def mend(self) -> None:
        await self.scene.rest()
        assert (await self.send(self.second)).status_code == 204
        spent = await self.second.post("/api/auth/refresh", json={"refresh_token": self.tokens["refresh_token"]})
        assert spent.status_code == 401, spent.text


async def delete(account_id: str, semel: Semel) -> None:
    await semel.delete_account(account_id)


class Deletion(Deed):
    """The deletion of an account: it has happened, or it has not."""

    outside = frozenset({"commit", "find", "delete"})

    @override
    async def prepare(self) -> None:
        self.account_id = await self.scene.register(self.person)

    @override
    async def act(self, fatal: str | None) -> Process:
        process = self.scene.work(partial(delete, self.account_id), fatal)
        await process.end()
        return process

    @override
    async def mend(self) -> None:
        rested = await self.scene.rest()
        client = await self.scene.server()
        answer = await self.scene.sign_up(client, self.person)
        assert answer.status_code == (410 if account(rested, self.person.email) is None else 422), answer.text
        await self.signed_up_or_free()


async def upkeep(semel: Semel) -> None:
    await semel.upkeep_once()


class Upkeep(Deed):
    """One pass of upkeep over what a sign-up has left."""

    @override
    async def act(self, fatal: str | None) -> Process:
        process = self.scene.work(upkeep, fatal)
        await process.end()
        return process

    @override
    async def mend(self) -> None:
        await self.scene.rest()
        await self.signed_up_or_free()


class Rescue(Upkeep):
    """The rescue of a sign-up whose server died at a point."""

    outside = frozenset({"commit", "find"})

    died: ClassVar[str]
    forward: ClassVar[bool]

    @override
    async def prepare(self) -> None:
        sign_up = SignUpForgotten(self.scene)
        self.person = sign_up.person
        await sign_up.died(self.died)

    @override
    async def mend(self) -> None:
        assert (account(await self.scene.rest(), self.person.email) is not None) == self.forward
        await self.signed_up_or_free()


class RescueForward(Rescue):
    """The identity is there: the rescue makes the account."""

    died = "after create 1"
    forward = True


class RescueBack(Rescue):
    """The identity is not there: the rescue fails the registration."""

    died = "before create 1"
    forward = False


class LastLook(Upkeep):
    """The last look for an identity that must not exist, after which its record is forgotten."""

    outside = frozenset({"find", "commit"})

    @override
    async def prepare(self) -> None:
        await self.condemn()
        self.scene.clock.reach(latest(one.look_until for one in condemned(await self.scene.look())))

    async def condemn(self) -> FakeProviderServer:
        """Leave a registration that has failed, and whose create may still land."""
        assert self.scene.remote is not None
        self.scene.remote.plan.next("create", Fault.LATE)
        with pytest.raises(OutcomeUnknown):
            await self.scene.register(self.person)
        await self.scene.over()
        async with self.scene.opened() as (semel, _):
            await semel.upkeep_once()
        return self.scene.remote


class Removal(LastLook):
    """The removal of an identity whose create came late, after its registration had failed."""

    outside = frozenset({"delete", "commit"})

    @override
    async def prepare(self) -> None:
        (await self.condemn()).provider.land()
        await self.scene.over()


class Retention(Upkeep):
    """A pass a year later: keys are rotated, a session ends, a registration is forgotten."""

    @override
    async def prepare(self) -> None:
        async with self.scene.opened() as (semel, _):
            await semel.register(email=self.person.email, password=self.person.password)
            await semel.sign_in(self.person.email, self.person.password)
        self.scene.clock.ahead += timedelta(days=365)


class FirstStart(Deed):
    """The first start over new tables, which makes the keys."""

    @override
    async def prepare(self) -> None:
        async with open_store(self.scene.url) as store:
            keys = (await store.page(KeyRecord, None, 100)).records
            await store.commit([Delete(key) for key in keys], SystemIds().token())

    @override
    async def act(self, fatal: str | None) -> Process:
        process = self.scene.work(upkeep, fatal)
        await process.end()
        return process

    @override
    async def mend(self) -> None:
        await self.signed_up_or_free()
