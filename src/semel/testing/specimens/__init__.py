"""Five systems that make accounts, before and after their repair, written over Semel's ports and given to the explorer.

Each was written in earnest, by people who knew their trade; each repair narrows the window and leaves it open. The
explorer finds the shortest schedule through it, or proves that there is none. ``python -m semel.testing.specimens``
prints the page ``docs/why.md``, which tells them; ``semel explore --from semel.testing.specimens:scenarios`` runs them.
"""

from collections.abc import Iterator

from semel.testing.explorer import Scenario
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.double_click import DOUBLE_CLICK
from semel.testing.specimens.invitation import INVITATION
from semel.testing.specimens.lagging_index import LAGGING_INDEX
from semel.testing.specimens.rollback import ROLLBACK
from semel.testing.specimens.several_tabs import SEVERAL_TABS
from semel.testing.specimens.specimen import Specimen, System

__all__ = ["SYSTEMS", "Accident", "Specimen", "System", "scenarios"]

SYSTEMS: tuple[System, ...] = (DOUBLE_CLICK, LAGGING_INDEX, SEVERAL_TABS, INVITATION, ROLLBACK)


def scenarios() -> Iterator[Scenario]:
    """Yield every specimen's scenario, and Semel's in its place, judged for all accidents."""
    for system in SYSTEMS:
        yield from (specimen.judged() for specimen in (*system.specimens, system.semel))
