"""Azure Functions and Table Storage: the account of whoever signs in is made where it is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from semel.errors import WriteRefused
from semel.intents import Intent
from semel.ports import Insert, Replace
from semel.states import Door
from semel.testing.explorer import Make, Ports, Scenario
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.doubles import IndexedService, IndexedStore
from semel.testing.specimens.specimen import Specimen, System, over_semel
from semel.testing.specimens.tables import CREATED, Entity, Response, Responses, User, request

__all__ = ["SEVERAL_TABS"]

_ANN: Final = "ann@example.org"
_TABS: Final = ("tab-1", "tab-2", "tab-3")
_FOUND: Final = Response(200, "found")


async def _get_or_create(ports: Ports) -> Response:
    if await ports["store"].query(_ANN):
        return _FOUND
    await ports.store.commit([Insert(User(id=ports.ids.uuid(), email=_ANN))], ports.ids.token())
    return CREATED


async def _add_if_absent(ports: Ports) -> Response:
    try:
        await ports.store.commit([Insert(Entity(person=_ANN, id=ports.ids.uuid()))], ports.ids.token())
    except WriteRefused:
        there = await ports.store.get(Entity, (_ANN,))
        if there is not None:
            await ports.store.commit([Replace(there.but(sign_ins=there.sign_ins + 1))], ports.ids.token())
        return _FOUND
    return CREATED


def _server(tabs: int) -> Make:
    """A process that takes the requests of one person one by one."""

    async def party(ports: Ports) -> Responses:
        lock = asyncio.Lock()

        async def in_turn() -> Response:
            async with lock:
                response: Response = await request(_get_or_create)(ports)
            return response

        return Responses(tuple(await asyncio.gather(*(in_turn() for _ in range(tabs)))))

    return party


def _meeting(name: str, about: str, parties: Mapping[str, Make], tells: Accident | None) -> Specimen:
    services = {"store": IndexedService(kind=IndexedStore)}
    scenario = Scenario(name=f"several-tabs/{name}", about=about, parties=parties, services=services)
    return Specimen(scenario, dict.fromkeys(parties, _ANN), tells)


SEVERAL_TABS: Final = System(
    (Accident.TWO_ACCOUNTS, Accident.WRONG_ANSWER),
    (
        _meeting(
            "before",
            "Get the account, or create it.",
            dict.fromkeys(_TABS, request(_get_or_create)),
            Accident.TWO_ACCOUNTS,
        ),
        _meeting("lock", "The same, one by one, in one server.", {"server": _server(3)}, Accident.TWO_ACCOUNTS),
        _meeting(
            "lock-on-two-servers",
            "The same, one by one, in each of two servers.",
            {"server-1": _server(2), "server-2": _server(1)},
            Accident.TWO_ACCOUNTS,
        ),
        _meeting(
            "add-if-absent",
            "Add the account under the person's name; where it is there, note the sign-in.",
            dict.fromkeys(_TABS, request(_add_if_absent)),
            None,
        ),
    ),
    over_semel(
        "several-tabs/semel",
        "Three tabs at the federated door; identities are in the store.",
        dict.fromkeys(
            _TABS,
            Intent(
                door=Door.FEDERATED,
                email=_ANN,
                federated=("https://issuer.example.org", "ann"),
                idempotency_key="federated sign-in of ann",
                proved=True,
            ),
        ),
        embedded=True,
    ),
)
