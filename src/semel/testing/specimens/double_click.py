"""Next.js and Supabase: check, create the identity, insert the row."""

from __future__ import annotations

from typing import Final

from semel.errors import SemelError, WriteRefused
from semel.intents import Intent
from semel.model import Secret
from semel.testing.explorer import Ports, ProviderService, Scenario, StoreService
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.specimen import Specimen, System, over_semel
from semel.testing.specimens.tables import (
    CREATED,
    REGISTERED,
    Email,
    Handler,
    RequestError,
    Response,
    new_identity,
    new_user,
    request,
)

__all__ = ["DOUBLE_CLICK"]

_ANN: Final = "ann@example.org"
_CLICKS: Final = ("click-1", "click-2")
_LONG, _SHORT = 1.0, 0.005
"""The window between the check and the create, in seconds: before the repair, and after."""


async def _checked(ports: Ports, window: float) -> str:
    """Check, wait, create the identity; return its id."""
    if await ports.store.get(Email, (_ANN,)):
        raise RequestError(REGISTERED)
    await ports.clock.sleep(window)
    user_id = ports.ids.uuid()
    await new_identity(ports.provider, user_id, _ANN)
    return user_id


async def _insert(ports: Ports, user_id: str) -> None:
    try:
        await ports.store.commit(new_user(user_id, _ANN), ports.ids.token())
    except WriteRefused as refused:
        raise RequestError(REGISTERED) from refused


async def _before(ports: Ports) -> Response:
    user_id = await _checked(ports, _LONG)
    await _insert(ports, user_id)
    return CREATED


async def _after(ports: Ports) -> Response:
    user_id = await _checked(ports, _SHORT)
    try:
        await _insert(ports, user_id)
    except (RequestError, SemelError):
        await ports.provider.delete(user_id)
        raise
    return CREATED


def _clicks(name: str, about: str, handler: Handler, tells: Accident) -> Specimen:
    scenario = Scenario(
        name=f"double-click/{name}",
        about=about,
        parties=dict.fromkeys(_CLICKS, request(handler)),
        services={"store": StoreService(), "provider": ProviderService()},
    )
    return Specimen(scenario, dict.fromkeys(_CLICKS, _ANN), tells)


DOUBLE_CLICK: Final = System(
    (Accident.TWO_ACCOUNTS, Accident.NO_ACCOUNT, Accident.NO_IDENTITY, Accident.WRONG_ANSWER),
    (
        _clicks("before", "Check the email, wait, create the identity, insert the row.", _before, Accident.NO_ACCOUNT),
        _clicks("after", "The same with a shorter wait and a rollback.", _after, Accident.NO_IDENTITY),
    ),
    over_semel(
        "double-click/semel",
        "Two clicks without an idempotency key.",
        dict.fromkeys(_CLICKS, Intent(email=_ANN, password=Secret("correct horse"))),
    ),
)
