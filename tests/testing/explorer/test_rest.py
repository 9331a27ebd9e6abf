"""After the parties upkeep runs to rest, whatever is still on its way; only then is the end judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from semel.testing.explorer import Ending, Judge, Ports, Rest, explore
from tests.testing.explorer.toys import SECOND, Blind, scenario


async def leaves_a_mess(ports: Ports) -> None:
    await ports["shelf"].put("mess", 1)
    await ports["shelf"].put("mess", 0)


async def cleans(ports: Ports) -> None:
    """Take the mess away, if there is one."""
    if await ports["shelf"].get("mess"):
        await ports["shelf"].put("mess", 0)


def is_clean(ending: Any) -> str | None:  # noqa: ANN401 - the end of any toy
    return "a mess" if ending.states["shelf"].get("mess") else None


def test_what_a_crash_leaves_is_judged_only_after_upkeep() -> None:
    """The mess of a crashed party is no violation where upkeep takes it away."""
    messy = scenario({"A": leaves_a_mess}, is_clean, shelf=Blind())
    assert explore(messy, faults=1).violations == ("a mess",)
    swept = scenario({"A": leaves_a_mess}, is_clean, shelf=Blind(), upkeep=cleans)
    assert explore(swept, faults=1).exhausted


def test_upkeep_that_never_rests_is_a_violation() -> None:
    """The last pass must find nothing to do."""

    async def counts(ports: Ports) -> None:
        await ports["shelf"].add("passes", 1)

    report = explore(scenario({"A": cleans}, upkeep=counts), faults=0)
    assert report.violations == ("upkeep never comes to rest: its last pass still changed something",)


def test_upkeep_that_breaks_is_a_violation() -> None:
    """Upkeep must end by itself, whatever it finds."""

    async def divides(ports: Ports) -> None:
        assert 1 / await ports["shelf"].get("nothing")

    report = explore(scenario({"A": cleans}, upkeep=divides), faults=0)
    assert report.violations == ("upkeep ends so: raised ZeroDivisionError('division by zero')",)


def test_a_pass_that_is_enough_is_judged_where_nothing_is_on_its_way() -> None:
    """How soon upkeep must be done can be judged pass by pass; a request on its way gives it more time."""

    class Soon(Judge):
        @override
        def passed(self, passes: int, states: Mapping[str, Any]) -> Sequence[str]:
            return ("too slow",) if states["shelf"].get("mess") else ()

    async def idles(ports: Ports) -> None:
        await ports["shelf"].get("mess")

    slow = scenario({"A": leaves_a_mess}, shelf=Blind())
    slow = replace(slow, judge=Soon(), rest=Rest(upkeep=idles, near=(SECOND,), far=()))
    report = explore(slow, faults=1)
    assert report.violations == ("too slow",)
    assert report.reproduction == 'semel explore toy --faults 1 --replay "A A:crash"'


def test_who_comes_afterwards_finds_everything_at_rest() -> None:
    """Undisturbed, after the last pass; what it is told is judged, and what it leaves is not."""

    async def looks(ports: Ports) -> int:
        found: int = await ports["shelf"].get("mess") or 0
        await ports["shelf"].put("mess", 7)
        return found

    class Told(Judge):
        @override
        def ended(self, ending: Ending) -> Sequence[str]:
            assert ending.afterwards is not None
            return [f"found {ending.afterwards.value}, left {ending.states['shelf'].get('mess', 0)}"]

    rest = Rest(upkeep=cleans, near=(SECOND,), far=(SECOND,), afterwards=looks)
    messy = replace(scenario({"A": leaves_a_mess}, shelf=Blind()), judge=Told(), rest=rest)
    assert explore(messy, faults=1).violations == ("found 0, left 0",)
