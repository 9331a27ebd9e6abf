"""The built-in scenarios: people and upkeep meet over the shipped engine, around one email or one account.

``built_in()`` lists them; ``semel explore`` runs them. To prove a provider, a store or a step of your own, build a
``Scenario`` from the same parts: see ``docs/how-to/explore.md``.
"""

from semel.testing.scenarios.catalogue import built_in
from semel.testing.scenarios.judge import EngineJudge
from semel.testing.scenarios.parties import Setting, caller, deleting, signing_in, upkeep

__all__ = ["EngineJudge", "Setting", "built_in", "caller", "deleting", "signing_in", "upkeep"]
