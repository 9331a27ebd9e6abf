"""Ending a registration: forward by commit 2, or by the failing commit; and the way past one that stands in the way."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from semel.errors import ApplicationRefused, RegistrationInFlight, StoreRejected
from semel.model import Identifier, Identity, Registration
from semel.ports import Absent, Found, Ref, Replace
from semel.protocol import commits
from semel.protocol.commits import Held
from semel.protocol.engine import Engine, Registered
from semel.states import IdentityState, RegistrationState

__all__ = ["complete", "fail", "finish", "held", "past", "take_lease"]


async def held(engine: Engine, registration: Registration) -> Held | None:
    """Read what a pending registration holds; ``None`` where it does not hold all of it (any more)."""
    refs = [Ref(Identity, (registration.account_id,)), *(Ref(Identifier, name) for name in registration.identifiers)]
    identity, *identifiers = await engine.store.get_many(refs)
    found = [cast("Identifier", one) for one in identifiers if one is not None and _holds(registration, one)]
    if len(found) < len(identifiers) or not isinstance(identity, Identity) or identity.state is not IdentityState.HELD:
        return None
    return Held(registration, identity, tuple(found))


def _holds(registration: Registration, record: object) -> bool:
    return (
        isinstance(record, Identifier)
        and record.registration == registration.id
        and record.attempt_id == registration.account_id
        and not record.owned
    )


async def complete(engine: Engine, held: Held, provider_id: str | None) -> Registered | None:
    """Commit 2. ``None`` where it is not known to have happened.

    Raises ``ApplicationRefused`` or ``StoreRejected`` where it was refused for good; the registration must then fail.
    """
    account, writes = commits.completion(held, provider_id, engine.clock.now(), engine.options)
    put = await engine.put(writes)
    return Registered(account.but(version=put.token), replayed=False) if put.done else None


async def fail(engine: Engine, held: Held, failure: str) -> bool:
    """The failing commit. ``True`` if it is known to have happened."""
    put = await engine.put(commits.failing(held, failure, engine.clock.now(), engine.options))
    if put.done:
        engine.events.emit(
            "registration.failed",
            {"registration": held.registration.id, "door": held.registration.door, "reason": failure},
        )
    return put.done


async def take_lease(engine: Engine, registration: Registration, worker: str) -> Registration | None:
    """Return the pending registration leased to the worker; ``None`` where another was first, or in doubt."""
    lease = engine.options.lease
    mine = commits.leased(registration, worker, engine.clock.now(), lease, engine.options)
    put = await engine.put([Replace(mine)])
    return mine.but(version=put.token) if put.done else None


async def finish(engine: Engine, registration: Registration) -> None:
    """End somebody's dead registration: forward if our id is at the provider, else by failing it.

    That *absent* is not final does no harm: the condemned record stays until nothing of ours can land.
    """
    mine = await take_lease(engine, registration, engine.ids.uuid())
    holding = await held(engine, mine) if mine else None
    if holding is None:
        return
    said = await engine.remote.find(holding.registration.account_id) if engine.remote else Absent()
    match said:
        case Found():
            ended = await _forward(engine, holding, said.provider_id)
        case Absent():
            ended = "failed" if await fail(engine, holding, "abandoned") else None
        case _:
            ended = None
    if ended:
        engine.events.emit("registration.rescued", {"registration": registration.id, "outcome": ended})


async def _forward(engine: Engine, holding: Held, provider_id: str) -> str | None:
    try:
        return "completed" if await complete(engine, holding, provider_id) else None
    except (ApplicationRefused, StoreRejected) as refused:
        return "failed" if await fail(engine, holding, refused.code) else None


async def past(engine: Engine, registration_id: str, deadline: datetime) -> None:
    """Return once the registration no longer stands in the way, or may not: the caller looks again.

    A live one is waited for; a dead one is ended. Raises ``RegistrationInFlight`` at the deadline.
    """
    found = await engine.store.get(Registration, (registration_id,))
    if found is None or found.state is not RegistrationState.PENDING:
        return
    if not engine.alive(found):
        await finish(engine, found)
        return
    engine.events.emit("registration.waited", {"registration": registration_id, "door": found.door})
    if not await engine.waiting.settled(registration_id, deadline):
        raise RegistrationInFlight(retry_after=engine.options.wait)
