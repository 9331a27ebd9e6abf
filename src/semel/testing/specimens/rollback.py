"""FastAPI and Supabase: create the identity, insert the profile that refers to it, delete the identity on failure."""

from __future__ import annotations

from typing import Final

from semel.errors import SemelError
from semel.intents import Intent
from semel.model import Secret
from semel.ports import Insert
from semel.testing.explorer import Ports, Scenario
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.doubles import SupabaseService
from semel.testing.specimens.specimen import Specimen, System, over_semel
from semel.testing.specimens.tables import CREATED, Handler, Response, User, new_identity, request

__all__ = ["ROLLBACK"]

_ANN: Final = "ann@example.org"
_REQUESTS: Final = ("sign-up", "retry")


async def _before(ports: Ports) -> Response:
    user_id = ports.ids.uuid()
    await new_identity(ports["supabase"], user_id, _ANN)
    await ports["supabase"].commit([Insert(User(id=user_id, email=_ANN))], ports.ids.token())
    return CREATED


async def _after(ports: Ports) -> Response:
    user_id = ports.ids.uuid()
    await new_identity(ports["supabase"], user_id, _ANN)
    try:
        await ports["supabase"].commit([Insert(User(id=user_id, email=_ANN))], ports.ids.token())
    except SemelError:
        await ports["supabase"].delete(user_id)
        return Response(500, "no profile; the identity was removed")
    return CREATED


def _requests(name: str, about: str, handler: Handler) -> Specimen:
    scenario = Scenario(
        name=f"rollback/{name}",
        about=about,
        parties=dict.fromkeys(_REQUESTS, request(handler)),
        services={"supabase": SupabaseService()},
    )
    return Specimen(scenario, dict.fromkeys(_REQUESTS, _ANN), Accident.NO_ACCOUNT)


ROLLBACK: Final = System(
    (Accident.TWO_ACCOUNTS, Accident.NO_ACCOUNT, Accident.NO_IDENTITY, Accident.WRONG_ANSWER),
    (
        _requests("before", "Create the identity, insert the profile.", _before),
        _requests("after", "The same, and delete the identity where the insert fails.", _after),
    ),
    over_semel(
        "rollback/semel",
        "A sign-up and its retry, with one idempotency key.",
        dict.fromkeys(
            _REQUESTS, Intent(email=_ANN, password=Secret("correct horse"), idempotency_key="the key of Ann's form")
        ),
    ),
)
