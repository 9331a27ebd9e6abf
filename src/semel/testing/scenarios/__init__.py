"""The built-in scenarios: people and upkeep meet over the shipped engine, around one email or one account.

``built_in()`` lists them, and ``over_entities()`` those inside a commit on Azure Tables; ``semel explore`` runs all. To
prove a provider, a store or a step of your own, build a ``Scenario`` from the same parts: see
``docs/how-to/explore.md``.
"""

from collections.abc import Iterator

from semel.testing.explorer.scenarios import Scenario
from semel.testing.scenarios.azure import over_entities
from semel.testing.scenarios.catalogue import built_in
from semel.testing.scenarios.judge import EngineJudge
from semel.testing.scenarios.parties import Setting, caller, deleting, signing_in, upkeep

__all__ = [
    "EngineJudge",
    "Setting",
    "built_in",
    "caller",
    "deleting",
    "every",
    "over_entities",
    "signing_in",
    "upkeep",
]


def every() -> Iterator[Scenario]:
    """Yield all scenarios that Semel has: those of the engine, then those inside a store's commit."""
    yield from built_in()
    yield from over_entities()
