"""Each specimen breaks where, and only where, the page says so; Semel in its place does not."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from typing_extensions import override

from semel.ports import Insert, Write
from semel.stores.memory import MemoryStore
from semel.testing.explorer import StoreService, explore
from semel.testing.specimens import SYSTEMS, Accident, Specimen, scenarios
from semel.testing.specimens.page import explored

SPECIMENS = {one.name: (one, system.accidents) for system in SYSTEMS for one in system.specimens}
SEMEL = {system.semel.name: system.semel for system in SYSTEMS}

FEWEST_FAULTS = {
    "double-click/before": {Accident.NO_ACCOUNT: 1, Accident.WRONG_ANSWER: 0},
    "double-click/after": {Accident.NO_ACCOUNT: 1, Accident.NO_IDENTITY: 1, Accident.WRONG_ANSWER: 0},
    "lagging-index/before": {Accident.TWO_ACCOUNTS: 0, Accident.WRONG_ANSWER: 0},
    "lagging-index/after": {Accident.TWO_ACCOUNTS: 0, Accident.WRONG_ANSWER: 0, Accident.NOBODY: 0},
    "lagging-index/after-without-lag": {Accident.TWO_ACCOUNTS: 1, Accident.WRONG_ANSWER: 0, Accident.NOBODY: 0},
    "several-tabs/before": {Accident.TWO_ACCOUNTS: 0},
    "several-tabs/lock": {Accident.TWO_ACCOUNTS: 1},
    "several-tabs/lock-on-two-servers": {Accident.TWO_ACCOUNTS: 0},
    "several-tabs/add-if-absent": {},
    "invitation/before": {Accident.NO_ACCOUNT: 1, Accident.USED_TWICE: 0},
    "invitation/after": {Accident.NO_ACCOUNT: 1},
    "rollback/before": {Accident.NO_ACCOUNT: 1, Accident.WRONG_ANSWER: 0},
    "rollback/after": {Accident.NO_ACCOUNT: 1, Accident.WRONG_ANSWER: 0},
}


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_specimen_breaks_so(name: str) -> None:
    """An accident that is listed happens with so many faults and no fewer; one that is not happens in no schedule."""
    specimen, accidents = SPECIMENS[name]
    found = {accident: explored(specimen, accident) for accident in accidents}
    assert {one: report.faults for one, report in found.items() if report.violations} == FEWEST_FAULTS[name]
    assert all(report.exhausted for report in found.values() if not report.violations)


def test_every_accident_is_seen_somewhere() -> None:
    """So no column of the page is empty because the judge is blind."""
    assert {accident for fewest in FEWEST_FAULTS.values() for accident in fewest} == set(Accident)


def test_one_key_alone_is_sound_with_two_faults_as_well() -> None:
    """Adding an entity if it is absent makes no second account."""
    specimen, _ = SPECIMENS["several-tabs/add-if-absent"]
    assert explore(specimen.judged(), faults=2).exhausted


@pytest.mark.parametrize("name", SEMEL)
def test_semel_has_no_accident(name: str) -> None:
    """Undisturbed, in every order; with a fault as well when the page is compared."""
    report = explore(SEMEL[name].judged(), faults=0)
    assert report.exhausted, report.story


class Overwriting(MemoryStore):
    """Takes an insert for a write over whatever is there."""

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        new = {(write.record.TYPE, write.record.key) for write in writes if isinstance(write, Insert)}
        self.table = {name: record for name, record in self.table.items() if name not in new}
        await super().commit(writes, token)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lagging-index/semel", "ann@example.org has 2 accounts"),
        ("double-click/semel", "click-2 was refused, and the account is there"),
        ("invitation/semel", "invitation from-carol made 2 accounts"),
    ],
)
def test_the_judge_sees_accidents_of_semel(name: str, said: str) -> None:
    """Over a store whose keys are no referee Semel fails as the others do."""
    specimen: Specimen = SEMEL[name]
    services = {**specimen.scenario.services, "store": StoreService(kind=Overwriting)}
    broken = replace(specimen, scenario=replace(specimen.scenario, services=services))
    assert said in explore(broken.judged(), faults=0).violations


def test_each_can_be_named_on_the_command_line() -> None:
    """Names are unique, and every one says what it does."""
    every = list(scenarios())
    assert len({one.name for one in every}) == len(every) == len(SPECIMENS) + len(SEMEL)
    assert all(one.about.endswith(".") for one in every)
