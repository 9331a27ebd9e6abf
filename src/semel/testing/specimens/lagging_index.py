"""Java and DynamoDB: emails are looked up in an index, accounts are written under ids of their own."""

from __future__ import annotations

from typing import Final

from semel.intents import Intent
from semel.model import Secret
from semel.ports import Delete, Insert
from semel.testing.explorer import Make, Ports, Scenario
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.doubles import IndexedService, IndexedStore, LaggingStore, catches_up
from semel.testing.specimens.specimen import Specimen, System, over_semel
from semel.testing.specimens.tables import CREATED, REGISTERED, Handler, Response, User, request

__all__ = ["LAGGING_INDEX"]

_ANN: Final = "ann@example.org"
_REQUESTS: Final = ("request-1", "request-2")


async def _before(ports: Ports) -> Response:
    if await ports["store"].query(_ANN):
        return REGISTERED
    await ports.store.commit([Insert(User(id=ports.ids.uuid(), email=_ANN))], ports.ids.token())
    return CREATED


async def _after(ports: Ports) -> Response:
    user, token = User(id=ports.ids.uuid(), email=_ANN), ports.ids.token()
    await ports.store.commit([Insert(user)], token)
    if len(await ports["store"].query(_ANN)) > 1:
        await ports.store.commit([Delete(user.but(version=token))], ports.ids.token())
        return REGISTERED
    return CREATED


def _requests(name: str, about: str, handler: Handler, store: type[IndexedStore], tells: Accident) -> Specimen:
    requests: dict[str, Make] = dict.fromkeys(_REQUESTS, request(handler))
    scenario = Scenario(
        name=f"lagging-index/{name}",
        about=about,
        parties={**requests, "index": catches_up} if store is LaggingStore else requests,
        services={"store": IndexedService(kind=store)},
    )
    return Specimen(scenario, dict.fromkeys(_REQUESTS, _ANN), tells)


LAGGING_INDEX: Final = System(
    (Accident.TWO_ACCOUNTS, Accident.WRONG_ANSWER, Accident.NOBODY),
    (
        _requests("before", "Ask the index, then put.", _before, IndexedStore, Accident.TWO_ACCOUNTS),
        _requests("after", "Put, ask the index, delete one's own.", _after, LaggingStore, Accident.TWO_ACCOUNTS),
        _requests("after-without-lag", "The same, over an index never late.", _after, IndexedStore, Accident.NOBODY),
    ),
    over_semel(
        "lagging-index/semel",
        "Two requests without an idempotency key; identities are in the store.",
        dict.fromkeys(_REQUESTS, Intent(email=_ANN, password=Secret("correct horse"))),
        embedded=True,
    ),
)
