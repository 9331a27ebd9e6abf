"""Wishes: what a remote provider must come to say of an identity, repeated until no request of before can land late.

An answer alone ends no wish: a request that says otherwise may have been sent before, and land after it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import cast

from semel.email_changes import finish_change
from semel.errors import ProviderRefused, UserAlreadyExists
from semel.model import Account, Identity, Record
from semel.ports import Absent, Done, Exists, Rejected, Replace, Unknown
from semel.protocol import commits
from semel.protocol.engine import Engine
from semel.states import IdentityState
from semel.upkeep.backoff import next_look

__all__ = ["fulfil", "send"]


async def fulfil(engine: Engine, record: Record) -> bool:
    """Ask the provider once more; forget the wish once its time is over and the provider has answered since."""
    identity = cast("Identity", record)
    if identity.state is not IdentityState.OWNED or not _wishes(identity):
        return False
    now = engine.clock.now()
    over = identity.wanted_until is None or identity.wanted_until <= now
    look = next_look(engine, identity.tries, identity.wanted_until, now)
    asking = identity.but(due_at=look, tries=identity.tries + 1)
    # Written first: whoever finds another version here must not send what is no longer wished.
    put = await engine.put([Replace(asking)])
    if not put.done:
        return False
    said = await send(engine, asking)
    asked = asking.but(version=put.token)
    account = await engine.store.get(Account, identity.key)
    if account is not None and account.pending_email is not None and asked.wanted_email is not None:
        with suppress(UserAlreadyExists, ProviderRefused):  # the change has ended; nobody waits to be told
            await finish_change(engine, account, asked, said)
        return True
    if over and not isinstance(said, Unknown):
        await _forget(engine, asked, said)
    return True


async def send(engine: Engine, identity: Identity) -> Done | Absent | Exists | Rejected | Unknown:
    """Ask the provider for what is wished. With the embedded provider nothing is to be done."""
    if engine.remote is None:
        return Done()
    return await engine.remote.update(
        identity.id,
        email=identity.wanted_email,
        confirmed=identity.wanted_confirmed,
        disabled=identity.wanted_disabled,
    )


def _wishes(identity: Identity) -> bool:
    wishes = (identity.wanted_email, identity.wanted_confirmed, identity.wanted_disabled)
    return any(wish is not None for wish in wishes)


async def _forget(engine: Engine, identity: Identity, said: Done | Absent | Exists | Rejected) -> None:
    if (await engine.put([Replace(commits.fulfilled(identity))])).done:
        name = "wish.fulfilled" if isinstance(said, Done) else "wish.refused"
        engine.events.emit(name, {"identity": identity.id, "tries": identity.tries})
