"""Answering a request whose intent already has an account: the same success, once the password is verified."""

from __future__ import annotations

from datetime import timedelta

from semel.errors import IdempotencyKeyReused, OutcomeUnknown
from semel.model import Account, Identifier, Identity, Registration, Secret
from semel.ports import Ref, Verified
from semel.protocol.commits import Ask
from semel.protocol.engine import Engine, Registered
from semel.states import RegistrationState

__all__ = ["same_answer", "same_intent", "verify"]


async def verify(engine: Engine, identity: Identity, email: str | None, password: Secret) -> Verified:
    """Compare a password with the identity's credential, wherever that is."""
    if engine.remote is not None:
        return await engine.remote.verify_password(identity.id, email, password)
    if engine.embedded is not None and await engine.embedded.verify(identity, password):
        return Verified.RIGHT
    return Verified.WRONG


async def _account_and_identity(engine: Engine, account_id: str) -> tuple[Account, Identity] | None:
    found = await engine.store.get_many([Ref(Account, (account_id,)), Ref(Identity, (account_id,))])
    account, identity = found
    if isinstance(account, Account) and isinstance(identity, Identity):
        return account, identity
    return None


async def same_answer(engine: Engine, registration: Registration, password: Secret | None) -> Registered | None:
    """Answer a completed registration again. ``None``: the account has just gone, look again.

    Without a ``password`` there was none the first time either: the fingerprint says whether there was one.
    Raises ``IdempotencyKeyReused`` where the password is another, which also counts as a failed sign-in.
    """
    found = await _account_and_identity(engine, registration.account_id)
    if found is None:
        return None
    account, identity = found
    if password is None:
        return Registered(account, replayed=True)
    match await verify(engine, identity, account.email_canonical, password):
        case Verified.RIGHT:
            return Registered(account, replayed=True)
        case Verified.WRONG:
            engine.events.emit("sign_in.failed", {"account": account.id, "door": registration.door})
            raise IdempotencyKeyReused
        case Verified.UNKNOWN:
            raise OutcomeUnknown(retry_after=2 * engine.options.provider_timeout)
        case Verified.ABSENT:
            return None


async def same_intent(engine: Engine, ask: Ask, taken: Identifier, password: Secret | None) -> Registered | None:
    """A double click without a key: the winner's success, if the payload is the winner's and the password verifies.

    ``None``: it is another intent, or one too late.
    """
    window = engine.options.same_intent_window
    if ask.keyed or ask.strict or not taken.owned or not window:
        return None
    first = await engine.store.get(Registration, (taken.registration,))
    if first is None or first.keyed or first.fingerprint != ask.fingerprint or first.account_id != taken.account_id:
        return None
    if first.state is not RegistrationState.COMPLETED or first.completed_at is None:
        return None
    if engine.clock.now() - first.completed_at > timedelta(seconds=window):
        return None
    try:
        return await same_answer(engine, first, password)
    except IdempotencyKeyReused:
        return None
