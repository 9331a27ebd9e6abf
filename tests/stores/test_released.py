"""An account that ends while the application's own rows refer to it: its row stays, and nothing leads to it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from semel import errors
from semel.deletion import delete_account
from semel.intents import Intent
from semel.invitations import InvitationBook, Invite, acceptance
from semel.model import Account, Identifier, Identity, Link, OutboxEvent, Record
from semel.ports import Store
from semel.protocol.options import Options
from semel.states import EventState, IdentityState, LinkPurpose
from semel.testing import FaultyStore, Variant
from semel.testing.invariants import Snapshot, at_rest, records_of
from semel.upkeep import BUILT_IN, Duty, Upkeep
from semel.upkeep.unproved import expire_unproved
from tests.protocol.worlds import EMAIL, OTHER_PASSWORD, PASSWORD, World
from tests.stores import postgres_parts, sqlite_parts
from tests.test_proving import OTHER_EMAIL, PROVING, Desk

R = TypeVar("R", bound=Record)

EITHER = pytest.mark.parametrize("variant", [None, Variant.NAMED], ids=["embedded", "remote"])
WAYS = pytest.mark.parametrize("way", ["expiry", "invitation", "sign-up", "email"])
DUTIES = (*BUILT_IN, Duty("expire_unproved", Account, expire_unproved))


@dataclass
class House:
    """A store that is a real database, with a table of the application's that refers to accounts."""

    url: str
    store: Store
    is_postgres: bool

    async def execute(self, sql: str, *values: object) -> list[Any]:
        """Run a statement of the application's; ``?`` stands for a value."""
        if not self.is_postgres:
            with sqlite_parts.altered(Path(self.url)) as connection:
                return connection.execute(sql, values).fetchall()
        async with postgres_parts.connected(self.url) as connection:
            return await connection.fetch(sql.replace("?", "$1"), *values)

    async def all(self, kind: type[R]) -> list[R]:
        return [record for record in await records_of(self.store) if isinstance(record, kind)]

    async def account(self, account_id: str) -> Account | None:
        return await self.store.get(Account, (account_id,))


@pytest.fixture(params=["sqlite", "postgres", "postgres, deferred"])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """What the database is, and where."""
    kind: str = request.param
    return kind, str(request.getfixturevalue("sqlite_path" if kind == "sqlite" else "postgres_url"))


@pytest.fixture
async def house(place: tuple[str, str]) -> AsyncIterator[House]:
    """A database with the application's table, ``orders``."""
    kind, url = place
    if kind == "sqlite":
        async with sqlite_parts.opened(Path(url)) as store:
            one = House(url, store, is_postgres=False)
            await one.execute("CREATE TABLE orders (account text NOT NULL REFERENCES semel_accounts (id))")
            yield one
        return
    refers = "REFERENCES semel.accounts (id)" + (" DEFERRABLE INITIALLY DEFERRED" if "deferred" in kind else "")
    async with postgres_parts.opened(url) as opened:
        one = House(url, opened, is_postgres=True)
        await one.execute(f"CREATE TABLE public.orders (account text NOT NULL {refers})")
        yield one


def desk(house: House, variant: Variant | None) -> Desk:
    world = World(variant, options=Options(proving=PROVING))
    world.store = FaultyStore(house.store, world.network, world.clock)
    return Desk(world)


async def squatter(house: House, one: Desk, email: str = EMAIL) -> Account:
    """Return an account that nobody has proved, and that the application's own row refers to."""
    account = (await one.server.register(email=email, username="squatter", full_name="A Squatter")).account
    await house.execute("INSERT INTO orders VALUES (?)", account.id)
    return account


async def ended(house: House, one: Desk, way: str) -> tuple[Account, str | None]:
    """Return an account that was ended in this way, and the id of who has its email by now."""
    if way == "expiry":
        account = await squatter(house, one)
        one.world.clock.advance(PROVING.unproved_kept + 1)
        await Upkeep(one.engine, DUTIES).once()
        return account, None
    if way == "email":
        account = await squatter(house, one, OTHER_EMAIL)
        mover = (await one.server.register(proved=True, password=OTHER_PASSWORD)).account
        await one.book.ask_for_email(mover.id, OTHER_EMAIL)
        (link,) = [each for each in await house.all(Link) if each.purpose is LinkPurpose.CHANGE_EMAIL]
        await one.proofs.open(one.book.token_of(link))
        return account, mover.id
    account = await squatter(house, one)
    if way == "sign-up":
        return account, (await one.server.register(proved=True, password=OTHER_PASSWORD)).account.id
    book = InvitationBook(one.engine, b"the key of the invitations", allow_special_use=False)
    made = await book.create(Invite(email=EMAIL, invited_by="an administrator"))
    accepted = acceptance(made.invitation, Intent(password=OTHER_PASSWORD))
    return account, (await one.server.registrar.register(accepted)).account.id


async def rest(one: Desk) -> None:
    for seconds in (0.0, 30.0, one.world.options.removal_horizon, one.world.options.removal_horizon):
        one.world.clock.advance(seconds)
        await Upkeep(one.engine).once()


async def judged(house: House, one: Desk) -> list[str]:
    """Judge what is there; mails are taken for sent."""
    records = [
        record.but(state=EventState.DELIVERED) if isinstance(record, OutboxEvent) else record
        for record in await records_of(house.store)
    ]
    there = one.world.provider.everybody() if one.world.embedded is None else None
    return at_rest(Snapshot(records=tuple(records), identities=there))


@EITHER
@WAYS
async def test_the_row_stays_until_the_application_lets_go_and_nothing_leads_to_it(
    house: House, variant: Variant | None, way: str
) -> None:
    one = desk(house, variant)
    account, has_email_now = await ended(house, one, way)
    left = await house.account(account.id)
    assert left is not None
    assert left.released
    assert not left.is_active
    assert (left.email, left.email_canonical, left.username, left.full_name, left.due_at) == (None,) * 5
    assert left.epoch > account.epoch
    assert account.id not in {record.account_id for record in await house.all(Identifier)}
    assert not [link for link in await house.all(Link) if link.account_id == account.id]
    await rest(one)
    assert await judged(house, one) == []
    email = account.email or ""
    with pytest.raises((errors.InvalidCredentials, errors.UserAlreadyExists)):
        await (one.server.sign_in(email) if variant else one.passwords.known(email, PASSWORD))
    if has_email_now is None:  # the email is as free as it was
        has_email_now = (await one.server.register(email=email, password=OTHER_PASSWORD, proved=True)).account.id
    assert await one.knows(OTHER_PASSWORD, email)
    owner = await house.store.get(Identifier, ("email", account.email_canonical or ""))
    assert owner is not None
    assert owner.account_id == has_email_now
    assert len(await house.execute("SELECT account FROM orders")) == 1
    await lets_go(house, one, account, remote=variant is not None)


async def lets_go(house: House, one: Desk, account: Account, *, remote: bool) -> None:
    """Let the application let go of the row: then it can be deleted, and nothing is left."""
    identity = await house.store.get(Identity, account.key)
    assert identity is not None  # the row must refer to it
    assert (identity.credential, identity.due_at) == (None, None)
    assert identity.state is (IdentityState.CONDEMNED if remote else IdentityState.OWNED)
    with pytest.raises(errors.StoreError):  # the order is still there
        await delete_account(one.engine, account.id)
    await house.execute("DELETE FROM orders")
    await delete_account(one.engine, account.id)
    assert await house.account(account.id) is None
    await rest(one)
    assert await house.store.get(Identity, account.key) is None
    assert await judged(house, one) == []
    with pytest.raises(errors.NotFound):
        await delete_account(one.engine, account.id)


async def test_without_such_a_row_nothing_is_left(house: House) -> None:
    one = desk(house, None)
    await house.execute("DROP TABLE orders")
    await house.execute("CREATE TABLE orders (account text)")
    account, _ = await ended(house, one, "expiry")
    assert await house.account(account.id) is None
    assert await house.store.get(Identity, account.key) is None
    assert await judged(house, one) == []
