"""Every recorded exchange with a real Supabase Auth server, replayed against ours.

Status, error code, headers and body are compared, value by value. Whatever differs stands in ``differences``; a line
there that no longer occurs fails as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from tests.gotrue.conftest import Api
from tests.gotrue.differences import DIFFERENCES, OFF
from tests.gotrue.instances import INTERVALS
from tests.gotrue.playing import Player
from tests.gotrue.recordings import Answer, Scenario, Step, units
from tests.gotrue.table import unused, wrong
from tests.providers.transcripts import RECORDED, SHIPPED

UNITS: Final = units()


def expected(step: Step) -> Sequence[Answer]:
    """Return what is recorded; of an endpoint that is not offered, that it is off, unless ours is as recorded."""
    switched_off = OFF.get(step.endpoint)
    return step.answers if switched_off is None else switched_off.answers(step)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit[0].name)
async def test_ours_answers_as_the_real_server_did(unit: list[Scenario], api: Api) -> None:
    """But for what the table has."""
    found: list[str] = []
    for scenario in unit:
        player = Player(api(scenario.instance), expected, INTERVALS)
        async for step, differences in player.play(scenario):
            found += wrong(DIFFERENCES, step, differences)
    assert not found, "\n".join(found)


def test_the_table_has_no_line_that_is_about_nothing() -> None:
    """Of the recordings in this repository; another file may have fewer."""
    if RECORDED == SHIPPED:
        assert unused(DIFFERENCES, (step for unit in UNITS for scenario in unit for step in scenario.steps)) == []
