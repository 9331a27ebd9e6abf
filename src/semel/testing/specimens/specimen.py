"""What a specimen is, and the same meeting over Semel's engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from semel.intents import Intent
from semel.testing.explorer import Scenario
from semel.testing.scenarios import Setting, caller
from semel.testing.scenarios.catalogue import scenario
from semel.testing.specimens.accidents import Accident, AccidentJudge

__all__ = ["Specimen", "System", "over_semel"]


@dataclass(frozen=True)
class Specimen:
    """An algorithm in a scenario that tries it."""

    scenario: Scenario
    people: Mapping[str, str]
    """Who is behind each party that is answered."""
    tells: Accident | None
    """The accident whose shortest schedule is the one to tell; ``None`` where there is none."""

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    def judged(self, accident: Accident | None = None) -> Scenario:
        """Return the scenario with a judge who looks for this accident alone, or for all."""
        return replace(self.scenario, judge=AccidentJudge(self.people, accident))


@dataclass(frozen=True)
class System:
    """One of the five systems: its algorithms, before and after their repair, and Semel in their place."""

    accidents: tuple[Accident, ...]
    """Those that can happen here at all: without invitations none is used twice."""
    specimens: tuple[Specimen, ...]
    semel: Specimen


def over_semel(name: str, about: str, intents: Mapping[str, Intent], *, embedded: bool = False) -> Specimen:
    """Return the same meeting over the shipped engine, set as the built-in scenarios are.

    That asks more of it than of a specimen: callers hang up, workers sleep past their leases, upkeep must come to rest.
    """
    setting = Setting(embedded=embedded)
    parties = {party: caller(setting, intent) for party, intent in intents.items()}
    meeting = replace(scenario(setting, "fresh", "key rival"), name=name, about=about, parties=parties)
    return Specimen(meeting, {party: intent.email or "" for party, intent in intents.items()}, None)
