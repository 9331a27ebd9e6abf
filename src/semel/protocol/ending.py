"""Ending a registration: forward by commit 2, or by the failing commit; and the way past one that stands in the way."""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

from semel.errors import ApplicationRefused, RegistrationInFlight, StoreInconsistent, StoreRejected
from semel.model import Identifier, Identity, Invitation, Registration
from semel.ports import Absent, Found, Ref, Replace, Unknown
from semel.protocol import commits
from semel.protocol.commits import Held
from semel.protocol.engine import Engine, Outcome, Registered
from semel.states import IdentityState, InvitationState, RegistrationState

__all__ = ["FINAL", "complete", "fail", "finish", "held", "past", "take_lease"]


FINAL: Final = (ApplicationRefused, StoreRejected, StoreInconsistent)
"""What refuses commit 2 for good: the registration must then fail."""


async def held(engine: Engine, registration: Registration) -> Held:
    """Read what a pending registration still holds."""
    refs = [Ref(Identity, (registration.account_id,)), *(Ref(Identifier, name) for name in registration.identifiers)]
    if registration.invitation is not None:
        refs.append(Ref(Invitation, (registration.invitation,)))
    identity, *others = await engine.store.get_many(refs)
    found = [cast("Identifier", one) for one in others if _holds(registration, one)]
    mine = isinstance(identity, Identity) and identity.state is IdentityState.HELD
    accepts = next((one for one in others if isinstance(one, Invitation) and _accepts(registration, one)), None)
    return Held(registration, cast("Identity", identity) if mine else None, tuple(found), accepts)


def _accepts(registration: Registration, invitation: Invitation) -> bool:
    return invitation.state is InvitationState.PROCESSING and invitation.registration == registration.id


def _holds(registration: Registration, record: object) -> bool:
    return (
        isinstance(record, Identifier)
        and record.registration == registration.id
        and record.attempt_id == registration.account_id
        and not record.owned
    )


async def complete(engine: Engine, holding: Held, provider_id: str | None) -> Registered | None:
    """Commit 2. ``None`` where it is not known to have happened. Raises one of ``FINAL``.

    A refusal by somebody who was faster leaves another version on a record of ours, for ever. Where all are as they
    were, it was no record of ours that refused: a secondary constraint, or a row that somebody put there.
    """
    account, writes = commits.completion(holding, provider_id, engine.clock.now(), engine.options)
    put = await engine.put(writes)
    if put.outcome is Outcome.REFUSED and await _untouched(engine, holding):
        raise StoreInconsistent("The store refuses the account, and no record of the registration is in the way")
    return Registered(account.but(version=put.token), replayed=False) if put.done else None


async def _untouched(engine: Engine, holding: Held) -> bool:
    before = [holding.registration, holding.identity, *holding.identifiers, holding.invitation]
    after = await engine.store.get_many([Ref(type(one), one.key) for one in before if one])
    return [one.version for one in before if one] == [one.version if one else None for one in after]


async def fail(engine: Engine, holding: Held, failure: str) -> bool:
    """The failing commit. ``True`` if it is known to have happened."""
    put = await engine.put(commits.failing(holding, failure, engine.clock.now(), engine.options))
    if put.done:
        engine.events.emit(
            "registration.failed",
            {"registration": holding.registration.id, "door": holding.registration.door, "reason": failure},
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
    if mine is None:
        return
    holding = await held(engine, mine)
    said: Found | Absent | Unknown = Absent()
    if engine.remote is not None and holding.whole:
        said = await engine.remote.find(mine.account_id)
    match said:
        case Found():
            ended = await _forward(engine, holding, said.provider_id)
        case Absent():
            ended = "failed" if await fail(engine, holding, "abandoned") else None
        case _:
            return
    if ended:
        engine.events.emit("registration.rescued", {"registration": registration.id, "outcome": ended})


async def _forward(engine: Engine, holding: Held, provider_id: str) -> str | None:
    try:
        return "completed" if await complete(engine, holding, provider_id) else None
    except FINAL as refused:
        return "failed" if await fail(engine, holding, refused.code) else None


async def past(engine: Engine, registration_id: str, deadline: datetime) -> bool:
    """Return once the registration no longer stands in the way, or may not: the caller looks again.

    ``False``: it did not stand there at all. A live one is waited for; a dead one is ended. Raises
    ``RegistrationInFlight`` at the deadline.
    """
    found = await engine.store.get(Registration, (registration_id,))
    if found is None or found.state is not RegistrationState.PENDING:
        return False
    if not engine.alive(found):
        await finish(engine, found)
        return True
    engine.events.emit("registration.waited", {"registration": registration_id, "door": found.door})
    if not await engine.waiting.settled(registration_id, deadline):
        raise RegistrationInFlight(retry_after=engine.options.wait)
    return True
