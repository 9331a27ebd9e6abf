"""What is there, read from outside: every record of a store and every identity of a provider."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from semel.model import Account, Identity, Registration
from semel.ports import Found, Store
from semel.states import IdentityState, RegistrationState
from semel.testing.fake_server import FakeProviderServer
from semel.testing.invariants import Snapshot, records_of

__all__ = ["account", "condemned", "latest", "pending", "take"]


async def take(
    store: Store, remote: FakeProviderServer | None, secrets: Iterable[str] = (), foreign: Iterable[str] = ()
) -> Snapshot:
    """Read everything."""
    return Snapshot(
        records=await records_of(store),
        identities=None if remote is None else await _identities(remote),
        foreign=frozenset(foreign),
        secrets=tuple(secrets),
    )


async def _identities(remote: FakeProviderServer) -> tuple[Found, ...]:
    found = [await remote.provider.find_by_email(kept.email or "") for kept in remote.provider.state.identities]
    return tuple(one for one in found if isinstance(one, Found))


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
