"""How much the tests do: one setting, ``SEMEL_TEST_SCALE``, ``normal`` unless it says ``full``."""

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    """The size of a run. The tests are the same; only their counts differ."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in {"normal", "full"}:
            message = f"SEMEL_TEST_SCALE is {self.name!r}: give normal or full"
            raise ValueError(message)

    def pick(self, normal: T, full: T) -> T:
        return full if self.name == "full" else normal


SCALE = Scale(os.environ.get("SEMEL_TEST_SCALE", "normal"))
