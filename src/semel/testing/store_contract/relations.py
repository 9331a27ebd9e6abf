"""Promises of stores that keep secondary constraints as well: the unique columns and references of the SQL tables."""

from __future__ import annotations

from collections.abc import Sequence

from semel.model import Account, Identity, SessionFamily
from semel.ports import Delete, Insert, Replace, Write
from semel.states import IdentityState
from semel.testing.promises import expect
from semel.testing.store_contract.bench import StoreBench
from semel.testing.store_contract.samples import WHEN, identifier

__all__ = ["RELATIONS"]


async def two_accounts_never_share_an_email_or_username(bench: StoreBench) -> None:
    """By an insert or by a replace; whoever has it keeps it, and may be replaced."""
    for column in ("email_canonical", "username_canonical"):
        shared = {column: bench.ids.uuid()}
        (owner, _), (newcomer, its_identity), (other, _) = (_person(bench) for _ in range(3))
        stored, *_ = await bench.put(owner.but(**shared), _identity(owner), other, _identity(other))
        await _refused(bench, [Insert(newcomer.but(**shared)), Insert(its_identity)])
        await _refused(bench, [Replace(other.but(version=stored.version, **shared))])
        await bench.absent(newcomer, its_identity)
        await bench.stands(stored, other.but(version=stored.version))
        await bench.store.commit([Replace(stored)], bench.ids.token())


async def accounts_without_email_or_username_do_not_collide(bench: StoreBench) -> None:
    """Nothing is not a value that two could share."""
    await bench.stands(*await bench.put(*_person(bench), *_person(bench)))


async def what_belongs_to_an_account_needs_the_account(bench: StoreBench) -> None:
    """An identifier owned by an account that is not there is refused, and so is its session, with all beside it."""
    nobody, beside = bench.ids.uuid(), identifier(bench.ids)
    owned = identifier(bench.ids).but(account_id=nobody)
    for orphan in (owned, _session(bench, nobody)):
        await _refused(bench, [Insert(orphan), Insert(beside)])
        await bench.absent(orphan, beside)


async def an_account_needs_its_identity(bench: StoreBench) -> None:
    """Neither is the account inserted alone, nor does its identity's record go without it."""
    account, identity = _person(bench)
    await _refused(bench, [Insert(account)])
    await bench.absent(account)
    stored = await bench.put(account, identity)
    await _refused(bench, [Delete(stored[1])])
    await bench.stands(*stored)


async def an_account_and_all_that_belongs_to_it_end_together(bench: StoreBench) -> None:
    """Named in any order in one commit, as they were made; the account alone is refused."""
    account, identity = _person(bench)
    records = (account, identity, identifier(bench.ids).but(account_id=account.id), _session(bench, account.id))
    for turn in range(len(records)):
        stored = await bench.put(*records[turn:], *records[:turn])
        await _refused(bench, [Delete(each) for each in stored if isinstance(each, Account)])
        await bench.stands(*stored)
        await bench.store.commit([Delete(each) for each in stored], bench.ids.token())
        await bench.absent(*stored)


async def _refused(bench: StoreBench, writes: Sequence[Write]) -> None:
    refusal = await bench.refusal(writes)
    places = all(place in range(len(writes)) for place in refusal.positions)
    named = bool(refusal.positions or refusal.constraint)
    expect(named and places, f"neither a write nor a constraint was named, but {refusal.args}")


def _person(bench: StoreBench) -> tuple[Account, Identity]:
    account = Account(id=bench.ids.uuid(), created_at=WHEN, updated_at=WHEN, registration=bench.ids.uuid())
    return account, _identity(account)


def _identity(account: Account) -> Identity:
    return Identity(id=account.id, state=IdentityState.OWNED)


def _session(bench: StoreBench, account_id: str) -> SessionFamily:
    return SessionFamily(
        id=bench.ids.uuid(), account_id=account_id, epoch=0, leaves="[]", created_at=WHEN, expires_at=WHEN
    )


RELATIONS = (
    two_accounts_never_share_an_email_or_username,
    accounts_without_email_or_username_do_not_collide,
    what_belongs_to_an_account_needs_the_account,
    an_account_needs_its_identity,
    an_account_and_all_that_belongs_to_it_end_together,
)
"""The promises of this theme."""
