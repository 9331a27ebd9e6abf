"""Reading an account with all that it owns, as its end needs it."""

from __future__ import annotations

from typing import TypeVar

from semel.errors import NotFound
from semel.model import (
    Account,
    Identifier,
    Identity,
    Invitation,
    Invited,
    Link,
    Record,
    Registration,
    SessionFamily,
)
from semel.ports import Ref
from semel.protocol.commits import Owned
from semel.protocol.engine import Engine
from semel.states import IdentityState, RegistrationState

__all__ = ["everything"]

R = TypeVar("R", bound=Record)


async def everything(engine: Engine, account_id: str) -> Owned | None:
    """Read the account and all that it owns; ``None`` where its identity is not its own, or it has just gone.

    Somebody who edits tables may have taken its identity's record away: then it ends without one.
    Raises ``NotFound`` or a ``StoreError``.
    """
    account = await engine.store.get(Account, (account_id,))
    if account is None:
        raise NotFound
    refs = [
        Ref(Identity, (account_id,)),
        Ref(Registration, (account.registration,)),
        Ref(Invited, (account.email_canonical or "",)),
        *(Ref(Identifier, name) for name in account.identifiers),
        *(Ref(SessionFamily, (session,)) for session in account.sessions),
        *(Ref(Link, (link,)) for link in account.links),
    ]
    identity, made_by, named, *others = await engine.store.get_many(refs)
    is_its_own = identity is None or getattr(identity, "state", None) is IdentityState.OWNED or account.released
    if not is_its_own:
        return None
    registration = made_by if isinstance(made_by, Registration) and _made(made_by, account_id) else None
    invitation, invited = await _invited(engine, account_id, registration, named)
    return Owned(
        account,
        identity if isinstance(identity, Identity) else None,
        _of(Identifier, others, account_id),
        _of(SessionFamily, others, account_id),
        registration,
        _of(Link, others, account_id),
        invitation,
        invited,
    )


def _made(registration: Registration, account_id: str) -> bool:
    return registration.account_id == account_id and registration.state is RegistrationState.COMPLETED


def _of(kind: type[R], records: list[Record | None], account_id: str) -> tuple[R, ...]:
    return tuple(one for one in records if isinstance(one, kind) and getattr(one, "account_id", None) == account_id)


async def _invited(
    engine: Engine, account_id: str, registration: Registration | None, named: Record | None
) -> tuple[Invitation | None, Invited | None]:
    """Return the invitation that was accepted, while it names the person, and what says so of its email.

    ``registration`` knows it if it made the account; ``named``, what the account's email has, if the person had one.
    """
    accepted = registration.invitation if registration is not None else None
    if accepted is None and isinstance(named, Invited):
        accepted = named.invitation
    invitation = await engine.store.get(Invitation, (accepted,)) if accepted is not None else None
    if invitation is None or invitation.email_canonical is None or invitation.account_id != account_id:
        return None, None
    invited = await engine.store.get(Invited, (invitation.email_canonical,))
    return invitation, invited if invited is not None and invited.invitation == invitation.id else None
