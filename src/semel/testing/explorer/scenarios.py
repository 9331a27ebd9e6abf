"""What is explored: parties, the services they share, what may go wrong, and what must never be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from semel.testing.explorer.runs import Make, Outcome
from semel.testing.explorer.services import Service
from semel.testing.explorer.worlds import Change

__all__ = ["Ending", "Judge", "Rest", "Scenario"]


class Ending(NamedTuple):
    """Everybody has ended, and upkeep has come to rest: the services' states and the parties' outcomes, by name."""

    states: Mapping[str, Any]
    outcomes: Mapping[str, Outcome]
    disturbed: bool
    """Whether anything went wrong on the way: a fault, or a jump of the clock."""
    afterwards: Outcome | None = None
    """What ``Rest.afterwards`` came to; the states are those before it."""


class Judge:
    """What must never be. Each method returns a sentence for each violation; a subclass overrides those it needs.

    They must be functions of what they are given: each is asked once for each distinct case.
    """

    def changed(self, change: Change) -> Sequence[str]:  # noqa: ARG002 - for subclasses, here and below
        """Judge an effect as it happens."""
        return ()

    def told(self, outcome: Outcome, states: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        """Judge what a caller is told at the moment when it is told."""
        return ()

    def passed(self, passes: int, states: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        """Judge the world after so many passes of upkeep, where nothing was on its way when they began."""
        return ()

    def ended(self, ending: Ending) -> Sequence[str]:  # noqa: ARG002
        """Judge the end."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Rest:
    """How the world comes to rest: one pass of upkeep after the other, each after some time, and no more faults.

    Requests on their way land anywhere in the ``near`` passes, and have landed before the ``far`` ones. The last pass
    must find nothing to do. Then somebody may come ``afterwards``, undisturbed.
    """

    upkeep: Make
    near: tuple[timedelta, ...]
    far: tuple[timedelta, ...]
    afterwards: Make | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Some parties that meet. ``about`` is a sentence for people.

    A party begins at the beginning or, where it has not had its first answer yet, at a jump of the clock. Raises
    ``ValueError`` for a party whose name is no word.
    """

    name: str
    about: str
    parties: Mapping[str, Make]
    services: Mapping[str, Service]
    judge: Judge = field(default_factory=Judge)
    rest: Rest | None = None
    jump: timedelta = timedelta()
    """How far the clock jumps over a party that sleeps: past every lease, short of every retention."""
    jumps: int = 0
    """How often it may, in one run."""
    long: timedelta = timedelta()
    """How far it jumps while nobody is in the middle of anything: past a retention."""
    longs: int = 0
    hang_up: bool = False
    """Whether callers may stop waiting; it counts as a fault."""
    memories: frozenset[str] = frozenset()
    """Events by which a party says all that it remembers, right before its next request: what led there no longer
    matters, so that runs which come to the same memory become one. An event that leaves something out hides schedules.
    """

    def __post_init__(self) -> None:
        """Check that every schedule can be spelled. Raises ``ValueError``."""
        odd = [name for name in self.parties if not name.replace("-", "").isalnum() or name in ("jump", "long")]
        if odd or not self.parties:
            raise ValueError(f"name parties by letters, digits and hyphens, not {odd or 'by nothing'}")
