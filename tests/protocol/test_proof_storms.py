"""Crowds at random over three emails: all that proves, takes, changes, ends and switches off, with faults between them.

The explorer runs pairs and some triples to their end; a storm has up to seven at once, and one wave after another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random

import pytest

from semel import errors
from semel.identity_updates import Change, update_identity
from semel.intents import Intent
from semel.invitations import InvitationBook, Invite, acceptance, expire_invitation
from semel.model import Account, Invitation, Link, Secret
from semel.protocol.options import Options
from semel.testing import Fault, Variant
from semel.upkeep import Duty, Upkeep
from tests.protocol.test_proof_faults import DUTIES, PASSWORDS, judged, landed
from tests.protocol.worlds import World
from tests.test_proving import PROVING, Desk

EMAILS = ("ada@example.org", "grace@example.org", "mary@example.org")
STORMS = 150
WAVES = 6
FAULTS = (None, None, Fault.LOSE, Fault.DROP, Fault.LATE, Fault.TWICE, Fault.DOWN)


class Storm:
    """Three servers, and people who do whatever comes to their mind. The same seed is the same storm."""

    def __init__(self, variant: Variant | None, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a storm that can be had again, no secret
        self.world = World(variant, options=Options(proving=PROVING))
        self.desks = [Desk(self.world, name) for name in "ABC"]

    async def run(self) -> list[str]:
        """Return what does not hold at rest."""
        for _ in range(WAVES):
            self._plan()
            await asyncio.gather(*(self._tried() for _ in range(self.random.randrange(2, 8))))
            await self._between()
        self.world.network.lift()
        self.world.outside.lift()
        await landed(self.world)
        await self._rest()
        return [*judged(self.world), *self._unlike()]

    def _plan(self) -> None:
        for network, operations in (
            (self.world.network, ("commit",)),
            (self.world.outside, ("create", "update", "delete")),
        ):
            network.lift()
            for operation in operations:
                network.next(operation, *self.random.choices(FAULTS, k=self.random.randrange(6)))

    async def _between(self) -> None:
        """Let something land, or upkeep pass, or time; what was sent lands within a horizon."""
        seconds = self.random.choice((0.0, 1.0, 30.0, self.world.options.removal_horizon + 1))
        if seconds > self.world.options.removal_horizon or self.random.random() < 0.5:
            await landed(self.world)
        self.world.clock.advance(seconds)
        if self.random.random() < 0.5:
            await self._upkeep().once()

    async def _tried(self) -> None:
        desk = self.random.choice(self.desks)
        await self.world.clock.sleep(self.random.random() / 5)
        deeds = (
            self._registers,
            self._asks,
            self._opens,
            self._opens,
            self._sets_password,
            self._moves,
            self._switches,
            self._deletes,
            self._invites,
        )
        deed: Callable[[Desk], Awaitable[object]] = self.random.choice(deeds)
        try:
            await deed(desk)
        except errors.StoreInconsistent:
            raise
        except errors.SemelError:
            return

    async def _registers(self, desk: Desk) -> None:
        username = self.random.choice((None, "one", "two"))
        proved = self.random.random() < 0.5
        await desk.server.register(email=self._email(), password=self._password(), username=username, proved=proved)

    async def _asks(self, desk: Desk) -> None:
        await self.random.choice((desk.book.recover, desk.book.resend))(self._email())

    async def _opens(self, desk: Desk) -> None:
        link = self.random.choice(self.world.records(Link) or [None])
        account = await self.world.memory.get(Account, (link.account_id,)) if link is not None else None
        if link is None or account is None:
            return
        mine = Secret(desk.book.sign_up_token(account.registration)) if self.random.random() < 0.5 else None
        await desk.proofs.open(desk.book.token_of(link), self._password(), mine)

    async def _sets_password(self, desk: Desk) -> None:
        await desk.passwords.change(self._email(), self._password(), self._password())

    async def _moves(self, desk: Desk) -> None:
        for account in self._somebody():
            await desk.book.ask_for_email(account.id, self._email(), account.epoch)

    async def _switches(self, desk: Desk) -> None:
        for account in self._somebody():
            await update_identity(desk.engine, account.id, Change(is_active=self.random.random() < 0.6))

    async def _deletes(self, desk: Desk) -> None:
        for account in self._somebody():
            await desk.server.delete(account.id)

    async def _invites(self, desk: Desk) -> None:
        book = InvitationBook(desk.engine, b"the key of the invitations", allow_special_use=False)
        email = self._email()
        made = await book.create(Invite(email=email, role="Member", invited_by="an administrator"))
        mine = [account for account in self.world.records(Account) if account.email_canonical == email]
        if not mine or self.random.random() < 0.5:
            await desk.server.registrar.register(acceptance(made.invitation, Intent(password=self._password())))
        else:
            await book.accept(made.token, mine[0])

    def _email(self) -> str:
        return self.random.choice(EMAILS)

    def _password(self) -> Secret:
        return self.random.choice(PASSWORDS)

    def _somebody(self) -> list[Account]:
        """Return an account, if there is any."""
        accounts = self.world.records(Account)
        return [self.random.choice(accounts)] if accounts else []

    def _upkeep(self) -> Upkeep:
        duties = (*DUTIES, Duty("expire_invitation", Invitation, expire_invitation))
        return Upkeep(self.random.choice(self.desks).engine, duties)

    async def _rest(self) -> None:
        options = self.world.options
        for seconds in (0.0, 10.0, options.lease + options.grace, *(options.removal_horizon,) * 3):
            self.world.clock.advance(seconds)
            await self._upkeep().once()

    def _unlike(self) -> Iterator[str]:
        """Say of which accounts a remote provider does not know what was proved to us."""
        identities = [] if self.world.embedded is not None else self.world.provider.everybody()
        confirmed = {found.identity_id: found.confirmed for found in identities}
        for account in self.world.records(Account):
            if account.email_verified_at is not None and not confirmed.get(account.id, True):
                yield f"{account.id} has proved its email, and the provider does not say so"


@pytest.mark.parametrize("variant", [None, *Variant])
async def test_after_a_storm_all_is_at_rest(variant: Variant | None) -> None:
    for seed in range(STORMS):
        assert await Storm(variant, seed).run() == [], f"storm {seed}"
