"""How a mutant comes alive: as another store or engine, or by a swap of names for as long as it is explored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

from semel.protocol.engine import Engine
from semel.stores.memory import MemoryStore
from semel.testing.explorer import Scenario, StoreService
from semel.testing.scenarios import Setting, built_in

__all__ = ["Mutant", "scenario_named", "surgery"]


@dataclass(frozen=True)
class Mutant:
    """The shipped program with one rule taken away.

    ``broken`` is a store, an engine, or what stands in some ``places`` instead of a step, each a module's name for it,
    with dots; its docstring says what is wrong with it. ``scenario`` is the smallest built-in one that notices, and
    ``noticed_by`` the invariants of which one must notice first.
    """

    broken: Callable[..., Any]
    scenario: str
    faults: int
    noticed_by: str
    places: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called."""
        return self.broken.__name__

    @contextmanager
    def alive(self) -> Iterator[Scenario]:
        """Give its scenario, while the program is broken."""
        broken = self.broken
        is_engine = isinstance(broken, type) and issubclass(broken, Engine)
        scenario = scenario_named(self.scenario, Setting(engine=broken) if is_engine else Setting())
        if isinstance(broken, type) and issubclass(broken, MemoryStore):
            scenario = _over(scenario, broken)
        with ExitStack() as operation:
            for place in self.places:
                operation.enter_context(surgery(place, broken))
            yield scenario


def scenario_named(name: str, setting: Setting | None = None) -> Scenario:
    """Return the built-in scenario of this name."""
    return next(scenario for scenario in built_in(setting) if scenario.name == name)


def _over(scenario: Scenario, store: type[MemoryStore]) -> Scenario:
    shipped = cast("StoreService", scenario.services["store"])
    records = cast("dict[object, Any]", shipped.start).values()
    return replace(scenario, services={**scenario.services, "store": StoreService(records, store)})


@contextmanager
def surgery(place: str, replacement: object) -> Iterator[None]:
    """Let a module find something else under a name: only the explorer's mutants are made so, and one at a time."""
    module, _, name = place.rpartition(".")
    body = import_module(module)
    before = getattr(body, name)
    setattr(body, name, replacement)
    try:
        yield
    finally:
        setattr(body, name, before)
