"""TanStack and Supabase: check the invitation, create the identity, insert the user, mark the invitation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from semel.errors import WriteRefused
from semel.intents import Intent
from semel.model import Secret
from semel.ports import Replace
from semel.testing.explorer import Make, Ports, ProviderService, Rest, Scenario, StoreService
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.specimen import Specimen, System, over_semel
from semel.testing.specimens.tables import (
    CREATED,
    Invitation,
    Invited,
    RequestError,
    Response,
    new_identity,
    new_user,
    request,
)

__all__ = ["INVITATION"]

_PEOPLE: Final = {"ann": "ann@example.org", "bob": "bob@example.org"}
_TOKEN: Final = "from-carol"  # noqa: S105 - of an invitation that invites nobody
_LOCKED: Final = Response(503, "somebody else has the lock")
_SECOND: Final = timedelta(seconds=1)


async def _pending(ports: Ports) -> Invitation:
    found = await ports.store.get(Invitation, (_TOKEN,))
    if found is not None and found.state is Invited.PROCESSING:
        raise RequestError(_LOCKED)
    if found is None or found.state is Invited.ACCEPTED:
        raise RequestError(Response(410, "invalid or expired invitation", final=True))
    return found


def _before(email: str) -> Make:
    async def accept(ports: Ports) -> Response:
        await _pending(ports)
        user_id = ports.ids.uuid()
        await new_identity(ports.provider, user_id, email)
        await ports.store.commit(new_user(user_id, email, _TOKEN), ports.ids.token())
        await _mark_accepted(ports)
        return CREATED

    return request(accept)


async def _mark_accepted(ports: Ports) -> None:
    """Update the invitation whatever it says, as a statement does whose only condition is the key."""
    while (found := await ports.store.get(Invitation, (_TOKEN,))) is not None:
        with suppress(WriteRefused):
            await ports.store.commit([Replace(found.but(state=Invited.ACCEPTED))], ports.ids.token())
            return


def _after(email: str) -> Make:
    async def accept(ports: Ports) -> Response:
        found, token = await _pending(ports), ports.ids.token()
        try:
            await ports.store.commit([Replace(found.but(state=Invited.PROCESSING))], token)
        except WriteRefused:
            return _LOCKED
        return await _locked(ports, found.but(state=Invited.PROCESSING, version=token), email)

    return request(accept)


async def _locked(ports: Ports, locked: Invitation, email: str) -> Response:
    """Do the rest of the transaction; undo its beginning where it is refused."""
    try:
        user_id = ports.ids.uuid()
        await new_identity(ports.provider, user_id, email)
        accepted = Replace(locked.but(state=Invited.ACCEPTED))
        await ports.store.commit([*new_user(user_id, email, _TOKEN), accepted], ports.ids.token())
    except (RequestError, WriteRefused):
        await ports.store.commit([Replace(locked.but(state=Invited.PENDING))], ports.ids.token())
        raise
    return CREATED


async def _roll_back(ports: Ports) -> None:
    """The database sees which connections are dead, and undoes their transactions."""
    found = await ports.store.get(Invitation, (_TOKEN,))
    if found is not None and found.state is Invited.PROCESSING:
        with suppress(WriteRefused):
            await ports.store.commit([Replace(found.but(state=Invited.PENDING))], ports.ids.token())


def _accepting(
    name: str, about: str, accept: Callable[[str], Make], tells: Accident, rest: Rest | None = None
) -> Specimen:
    scenario = Scenario(
        name=f"invitation/{name}",
        about=about,
        parties={who: accept(email) for who, email in _PEOPLE.items()},
        services={"store": StoreService([Invitation(token=_TOKEN, version=1)]), "provider": ProviderService()},
        rest=rest,
    )
    return Specimen(scenario, _PEOPLE, tells)


INVITATION: Final = System(
    tuple(accident for accident in Accident if accident is not Accident.NOBODY),
    (
        _accepting(
            "before",
            "Check the invitation, create the identity, insert the user, mark the invitation.",
            _before,
            Accident.USED_TWICE,
        ),
        _accepting(
            "after",
            "The same in a transaction that locks the invitation's row.",
            _after,
            Accident.NO_ACCOUNT,
            Rest(upkeep=_roll_back, near=(_SECOND,), far=(_SECOND, _SECOND)),
        ),
    ),
    over_semel(
        "invitation/semel",
        "Two people want one identifier.",
        {who: Intent(email=email, username=_TOKEN, password=Secret("correct horse")) for who, email in _PEOPLE.items()},
    ),
)
