"""A process is killed before and after each of its commits and provider calls; then all is well, or upkeep makes it so.

The points are not listed here: a first run that nobody kills passes them, so a commit that is added is killed too.
"""

import asyncio
import signal
from itertools import product

import pytest

from semel.testing import Variant
from tests.e2e import deeds
from tests.e2e.deeds import Deed
from tests.e2e.grounds import KINDS, SQL
from tests.e2e.scenes import Stage
from tests.scale import SCALE

AT_ONCE = 6

IN_THE_STORE: list[type[Deed]] = [
    deeds.SignUpAgain,
    deeds.SignUpForgotten,
    deeds.SignIn,
    deeds.Refresh,
    deeds.SignOut,
    deeds.Deletion,
    deeds.Retention,
    deeds.FirstStart,
]
AT_A_PROVIDER: list[type[Deed]] = [
    deeds.SignUpAgain,
    deeds.SignUpForgotten,
    deeds.SignIn,
    deeds.Heal,
    deeds.Refresh,
    deeds.SignOut,
    deeds.Deletion,
    deeds.RescueForward,
    deeds.RescueBack,
    deeds.Removal,
]
OTHER_DOORS: list[type[Deed]] = [deeds.AcceptAgain, deeds.AcceptForgotten, deeds.CreateAgain]
"""The doors of an invitation and of an administrator: their commits have more records, and no other steps."""
WHERE_COMMITS_DIFFER: list[type[Deed]] = [deeds.SignUpAgain, deeds.Deletion, deeds.Retention]
"""Between them every shape of commit: inserts, replaces and deletes, of one record and of many."""
OF_THE_PROTOCOL: list[type[Deed]] = [
    deeds.SecondTry,
    deeds.Newcomer,
    deeds.AfterFailure,
    deeds.OverRemains,
    deeds.LastLook,
]
"""What has no commit that the others have not: to run it on another store shows nothing of the store."""
KEY_VALUE = [kind for kind in KINDS if kind not in SQL]
PROVIDERS = SCALE.pick([Variant.OWN], list(Variant))
CASES: list[tuple[str, type[Deed], Variant | None]] = [
    *product(SQL, IN_THE_STORE, [None]),
    *product(SQL, AT_A_PROVIDER, PROVIDERS),
    *product(SQL, OTHER_DOORS, [None, *PROVIDERS]),
    *product(KEY_VALUE, SCALE.pick(WHERE_COMMITS_DIFFER, IN_THE_STORE), [None]),
    *product(KEY_VALUE, SCALE.pick(WHERE_COMMITS_DIFFER[:1], AT_A_PROVIDER), PROVIDERS),
    *product(SCALE.pick(["sqlite"], KINDS), OF_THE_PROTOCOL, PROVIDERS),
]
SIGN_UPS: list[type[Deed]] = [deeds.SignUpAgain, deeds.SignUpForgotten]
EVERY_POINT = SCALE.pick(SIGN_UPS, [*IN_THE_STORE, *AT_A_PROVIDER, *OF_THE_PROTOCOL])
"""What is killed at every point. Else one of two points that have nothing between them is enough: after a call, and
before the next."""


async def _points(stage: Stage, kind: type[Deed], provider: Variant | None) -> list[str]:
    """Return the points of a deed that goes well, and see that it does what it is known to do."""
    async with stage.scene(provider) as scene:
        deed = kind(scene)
        await deed.prepare()
        points = (await deed.act(None)).passed()
    assert points
    assert (kind.outside if provider else kind.inside) <= {point.split()[1] for point in points}
    return points


def _deaths(kind: type[Deed], points: list[str]) -> list[list[str]]:
    """Return for each death the points that are passed until then."""
    last = len(points)
    return [
        points[:number]
        for number, point in enumerate(points, 1)
        if kind in EVERY_POINT or point.startswith("before") or number == last
    ]


async def _killed(stage: Stage, kind: type[Deed], provider: Variant | None, points: list[str]) -> None:
    """Kill the process at the last of the points."""
    try:
        async with stage.scene(provider) as scene:
            deed = kind(scene)
            await deed.prepare()
            process = await deed.act(points[-1])
            assert await process.end() == -signal.SIGKILL
            assert process.passed() == points
            await deed.mend()
            await scene.rest()
    except Exception as error:
        error.add_note(f"The process was killed {points[-1]}.")
        raise


@pytest.mark.parametrize(
    ("stage", "kind", "provider"),
    CASES,
    ids=[f"{store}-{kind.__name__}-{provider or 'embedded'}" for store, kind, provider in CASES],
    indirect=["stage"],
)
async def test_killed_at_every_point(stage: Stage, kind: type[Deed], provider: Variant | None) -> None:
    """The next try has the same success, or upkeep leaves nothing; the invariants hold at rest."""
    deaths = _deaths(kind, await _points(stage, kind, provider))
    width = asyncio.Semaphore(AT_ONCE)

    async def killed(points: list[str]) -> None:
        async with width:
            await _killed(stage, kind, provider, points)

    async with asyncio.TaskGroup() as group:
        for points in deaths:
            group.create_task(killed(points))
