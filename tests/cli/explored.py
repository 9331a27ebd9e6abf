"""Scenarios for the explorer's command: one that is sound, and one that breaks."""

from collections.abc import Iterator, Sequence

from typing_extensions import override

from semel.testing.explorer import Ending, Judge, Ports, Scenario
from tests.testing.explorer.toys import ShelfService


class OneHolder(Judge):
    @override
    def ended(self, ending: Ending) -> Sequence[str]:
        winners = sum(outcome.value is True for outcome in ending.outcomes.values())
        return ["two have it"] if winners > 1 else []


async def looks_first(ports: Ports) -> bool:
    """Take it if nobody has it: a look, then a write."""
    if await ports["shelf"].get("it"):
        return False
    await ports["shelf"].put("it", ports.name)
    return True


async def only_looks(ports: Ports) -> bool:
    return bool(await ports["shelf"].get("it"))


def scenarios() -> Iterator[Scenario]:
    for name, party in (("careless", looks_first), ("harmless", only_looks)):
        yield Scenario(
            name=f"toy/{name}",
            about=f"Two who are {name} meet.",
            parties={"ann": party, "bob": party},
            services={"shelf": ShelfService()},
            judge=OneHolder(),
        )
