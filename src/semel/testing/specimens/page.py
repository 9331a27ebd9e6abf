"""The page that tells of the specimens: words from ``page.md``, and what the explorer finds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Final

from semel.testing.explorer import Report, explore, replay
from semel.testing.promises import expect
from semel.testing.specimens.accidents import Accident
from semel.testing.specimens.specimen import Specimen, System

__all__ = ["FAULTS", "explored", "page"]

FAULTS: Final = 1
"""How many faults a schedule has at most, of the specimens and of Semel alike."""

_HEADS: Final = {
    Accident.TWO_ACCOUNTS: "1 two accounts",
    Accident.NO_ACCOUNT: "2 no account",
    Accident.NO_IDENTITY: "3 no identity",
    Accident.WRONG_ANSWER: "4 refused",
    Accident.USED_TWICE: "5 used twice",
    Accident.NOBODY: "nobody gets in",
}
_NONE: Final = "\N{EN DASH}"
_GAP: Final = re.compile(r"<<(\w+) ?(\S*) ?(.*?)>>")


def explored(specimen: Specimen, accident: Accident | None = None) -> Report:
    """Explore without faults, then with one more at a time; return the first report with a violation, or the last."""
    reports = (explore(specimen.judged(accident), faults) for faults in range(FAULTS + 1))
    return next(report for report in reports if report.violations or report.faults == FAULTS)


def page(systems: Iterable[System]) -> str:
    """Explore everything and return the page, in Markdown.

    Raises ``BrokenPromiseError`` where the page is to say that something is proved, and it is not.
    """
    gaps = _Gaps(systems)
    template = files(__package__).joinpath("page.md").read_text(encoding="utf-8")
    return _GAP.sub(lambda gap: gaps.fill(*gap.groups()), template)


class _Gaps:
    """What stands in the gaps of the template."""

    def __init__(self, systems: Iterable[System]) -> None:
        self._systems = tuple(systems)
        every = (one for system in self._systems for one in (*system.specimens, system.semel))
        self._named = {one.name: one for one in every}
        self._proofs: dict[str, Report] = {}

    def fill(self, what: str, name: str, words: str) -> str:
        """Return what belongs into the gap: a table, a story, the story of one schedule, or a proof."""
        match what:
            case "table":
                return "\n".join(self._table())
            case "story":
                specimen = self._named[name]
                return _block(explored(specimen, specimen.tells).story)
            case "replay":
                return _block(replay(self._named[name].judged(), FAULTS, words))
            case _:
                report = self._proved(name)
                counts = f"**{report.schedules:,} schedules** with up to one fault, over {report.states:,} states"
                return f"{counts}, were explored. No accident."

    def _table(self) -> Iterator[str]:
        yield _cells(["system", *_HEADS.values()])
        yield _cells(["---", *[":---:"] * len(_HEADS)])
        for system in self._systems:
            for one in system.specimens:
                fewest = {accident: _fewest(explored(one, accident)) for accident in system.accidents}
                yield _cells([f"`{one.name}`", *(fewest.get(accident, _NONE) for accident in _HEADS)])
            self._proved(system.semel.name)
            never = dict.fromkeys(system.accidents, "never")
            yield _cells([f"**`{system.semel.name}`**", *(never.get(accident, _NONE) for accident in _HEADS)])

    def _proved(self, name: str) -> Report:
        if name not in self._proofs:
            report = self._proofs[name] = explored(self._named[name])
            expect(report.exhausted, "\n".join([f"{name} has an accident:", *report.story]))
        return self._proofs[name]


def _block(story: Iterable[str]) -> str:
    return "\n".join(["```text", *story, "```"])


def _fewest(report: Report) -> str:
    return str(report.faults) if report.violations else "never"


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
