"""What is there, read from outside: every record of a store and every identity of a provider."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from semel.model import Account, Identity, Registration
from semel.ports import Found, FoundPage, RemoteProvider, Store
from semel.states import IdentityState, RegistrationState
from semel.testing.invariants import Snapshot, records_of

__all__ = ["account", "condemned", "everybody", "latest", "pending", "take"]

_PAGE = 1000


async def take(
    store: Store, provider: RemoteProvider | None, secrets: Iterable[str] = (), foreign: Iterable[str] = ()
) -> Snapshot:
    """Read everything."""
    return Snapshot(
        records=await records_of(store),
        identities=None if provider is None else await everybody(provider),
        foreign=frozenset(foreign),
        secrets=tuple(secrets),
    )


async def everybody(provider: RemoteProvider) -> tuple[Found, ...]:
    """Return all identities at a provider, which must answer."""
    found: list[Found] = []
    cursor: str | None = None
    while True:
        page = await provider.page(cursor, _PAGE)
        assert isinstance(page, FoundPage), page
        found += page.identities
        if page.cursor is None:
            return tuple(found)
        cursor = page.cursor


def pending(snapshot: Snapshot) -> list[Registration]:
    """Return the registrations that have not ended."""
    return [one for one in snapshot.all(Registration) if one.state is RegistrationState.PENDING]


def condemned(snapshot: Snapshot) -> list[Identity]:
    """Return the removals that have not ended."""
    return [one for one in snapshot.all(Identity) if one.state is IdentityState.CONDEMNED]


def account(snapshot: Snapshot, email: str) -> Account | None:
    """Return the account with this canonical email."""
    return next((one for one in snapshot.all(Account) if one.email_canonical == email), None)


def latest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the last of the moments; ``None`` where there is none."""
    return max((one for one in moments if one is not None), default=None)
