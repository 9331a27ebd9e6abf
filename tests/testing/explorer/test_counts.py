"""The explorer visits every schedule there is, and merging changes nothing but the time it takes."""

from math import comb, factorial

import pytest

from semel.testing.explorer import Make, Ports, Scenario
from semel.testing.explorer.moves import Moves
from semel.testing.explorer.search import Count, Explorer
from semel.testing.explorer.services import frozen
from tests.testing.explorer.toys import SECOND, Blind, NoAnswerError, scenario, steps


def counted(one: Scenario, faults: int = 0, *, merge: bool = True) -> Count:
    with Explorer(Moves(one, faults), merge=merge) as explorer:
        return explorer.exhaust()


def ends(explorer: Explorer) -> set[object]:
    """Return how everybody ended, in which world, and what could still have gone wrong."""
    return {
        (repr([node.outcome for node in nodes]), frozen(world.view()), world.left, world.now, len(world.late))
        for nodes, world in explorer.endings
    }


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (4, 4), (1, 6)])
def test_two_parties_have_every_interleaving(n: int, m: int, *, merge: bool) -> None:
    """Two parties of n and m steps interleave in (n+m)!/n!m! ways."""
    count = counted(scenario({"A": steps(n), "B": steps(m)}), merge=merge)
    assert (count.schedules, count.exhausted) == (comb(n + m, n), True)


def test_three_parties_have_every_interleaving() -> None:
    """Three parties of three steps interleave in 9!/(3!)^3 ways, over few states."""
    count = counted(scenario({"A": steps(3), "B": steps(3), "C": steps(3)}))
    assert count.schedules == factorial(9) // factorial(3) ** 3
    assert count.states == 4**3
    assert count.endings == 1


def test_without_merging_each_prefix_is_a_state() -> None:
    """Without merging a state is a beginning of a schedule: for n and m steps C(n+m+2, n+1) - 1 of them."""
    count = counted(scenario({"A": steps(3), "B": steps(2)}), merge=False)
    assert count.states == comb(3 + 2 + 2, 3 + 1) - 1
    assert count.merged == 0


def test_a_crash_comes_at_each_point_where_it_differs() -> None:
    """A party of n effects crashes before each, or with it on its way: 1 + 2n schedules of at most one fault."""
    assert counted(scenario({"A": steps(4)}, shelf=Blind()), faults=1).schedules == 1 + 2 * 4


def test_a_lost_answer_has_three_causes() -> None:
    """One effect, one fault: nothing, lost, dropped, late, or a crash, perhaps with the request on its way."""

    async def party(ports: Ports) -> str:
        try:
            await ports["shelf"].put("it", 1)
        except NoAnswerError:
            return "unknown"
        return "done"

    count = counted(scenario({"A": party}), faults=1)
    assert (count.schedules, count.endings) == (6, 6)


async def looks_and_adds(ports: Ports) -> int:
    """Looks, adds, looks again; asks once more where there is no answer."""
    shelf = ports["shelf"]
    seen = 0
    for _ in range(2):
        try:
            seen = 10 * seen + await shelf.get("it")
            await shelf.add("it", 1)
        except NoAnswerError:
            seen += 5
    return seen


async def sleeps_and_looks(ports: Ports) -> tuple[int, float]:
    """Sleeps between two looks, and remembers what time it was."""
    try:
        before = await ports["shelf"].get("it")
        await ports.clock.sleep(2)
        return before + await ports["shelf"].get("it"), ports.clock.monotonic()
    except NoAnswerError:
        return -1, 0.0


async def takes_the_lease(ports: Ports) -> int:
    """Takes the lease, works, and stops if it has run out."""
    try:
        taken = await ports["shelf"].lease(10)
        until = ports.clock.monotonic() + 10
        await ports["shelf"].get("it")
        if not taken or ports.clock.monotonic() >= until:
            return 0
        await ports["shelf"].add("it", 1)
    except NoAnswerError:
        return -1
    return 1


@pytest.mark.parametrize("faults", [0, 1, 2])
@pytest.mark.parametrize(
    "parties",
    [
        {"A": looks_and_adds, "B": looks_and_adds},
        {"A": looks_and_adds, "B": sleeps_and_looks},
        {"A": takes_the_lease, "B": takes_the_lease},
        {"A": steps(2), "B": sleeps_and_looks, "C": takes_the_lease},
    ],
    ids=["adders", "sleeper", "lease", "three"],
)
def test_merging_loses_no_schedule_and_no_ending(parties: dict[str, Make], faults: int) -> None:
    """With merging and without: as many schedules, and the very same outcomes in the very same worlds."""
    found = []
    for merge in (True, False):
        one = scenario(parties, jump=10 * SECOND, jumps=1, hang_up=True)
        with Explorer(Moves(one, faults), merge=merge) as explorer:
            count = explorer.exhaust()
            found.append((count.schedules, ends(explorer), count.states))
    merged, plain = found
    assert merged[:2] == plain[:2]
    assert faults == 0 or merged[2] < plain[2]
