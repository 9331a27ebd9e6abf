"""A service is an ordinary double: what it is asked becomes an event of the world, all else stays its own."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime

import pytest

from semel.model import Secret
from semel.ports import NewIdentity, RemoteProvider, Sessions, Store
from semel.testing.explorer import Answer, Ports, ProviderService, Service, StoreService, explore
from semel.testing.explorer.services import SuspendsError, frozen
from tests.testing.explorer.toys import TakenError, scenario


class Slow:
    """A double that waits inside a method."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.state = now()

    async def wait(self) -> None:
        await asyncio.sleep(0)


def test_a_double_must_answer_at_once() -> None:
    """A double that suspends would hide what happens meanwhile."""

    async def asks(ports: Ports) -> None:
        await ports["shelf"].wait()

    with pytest.raises(SuspendsError, match=r"Slow\.wait"):
        explore(scenario({"A": asks}, shelf=Service(Slow, 0)))


def test_parties_see_the_ports_that_the_engine_asks_for() -> None:
    """The services pass for the ports they stand for, capabilities and attributes included."""
    seen: list[tuple[bool, bool, bool, float]] = []

    async def looks(ports: Ports) -> None:
        store, provider = isinstance(ports.store, Store), isinstance(ports.provider, RemoteProvider)
        seen.append((store, provider, isinstance(ports.provider, Sessions), ports.provider.timeout))

    one = scenario({"A": looks})
    services = {"store": StoreService(), "provider": ProviderService()}
    explore(dataclasses.replace(one, services=services))
    assert set(seen) == {(True, True, True, 5.0)}


def test_arguments_by_name_are_the_same_request() -> None:
    """It makes no difference to the world how an argument was given."""

    async def twice(ports: Ports) -> None:
        await ports["shelf"].put(value=1, name="it")
        await ports["shelf"].put("it", 1)

    report = explore(scenario({"A": twice, "B": twice}), faults=0)
    assert (report.exhausted, report.endings) == (True, 1)


def test_arguments_that_go_by_their_names_alone_arrive() -> None:
    """As a provider's update takes them."""
    found: list[object] = []

    async def confirms(ports: Ports) -> None:
        await ports["provider"].create(NewIdentity("ada", "ada@example.org", None, confirmed=False))
        await ports["provider"].update("ada", confirmed=True)
        found.append(await ports["provider"].find("ada"))

    explore(dataclasses.replace(scenario({"A": confirms}), services={"provider": ProviderService()}), faults=0)
    assert {getattr(one, "confirmed", None) for one in found} == {True}


def test_equal_contents_are_frozen_alike() -> None:
    """Lists, mappings and secrets are compared by what is in them; a list is not a tuple."""
    first, second = (NewIdentity("1", "ann@example.org", Secret("p"), False) for _ in range(2))  # noqa: FBT003
    assert frozen([first, {"a": [1]}]) == frozen([second, {"a": [1]}])
    assert frozen([1]) != frozen((1,))
    assert frozen(Secret("p")) != frozen(Secret("q"))


def test_an_answer_is_given_anew_to_each() -> None:
    """Who changes the list it was given, or raises the error again, changes nobody else's."""
    answer, error = Answer([1]), Answer(error=KeyError("it"))
    answer.give().append(2)
    assert answer.give() == [1]
    with pytest.raises(KeyError) as first:
        error.give()
    with pytest.raises(KeyError) as second:
        error.give()
    assert first.value is not second.value


def test_what_a_service_raises_is_its_answer() -> None:
    """An error of a service reaches the party that asked, and nobody else."""
    told: set[str] = set()

    async def asks(ports: Ports) -> None:
        try:
            await ports["shelf"].insert("it", 1)
        except TakenError as error:
            told.add(f"{ports.name} {error}")

    explore(scenario({"A": asks, "B": asks}), faults=0)
    assert told == {"A it", "B it"}
