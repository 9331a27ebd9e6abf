"""Faults of a network, and a plan of which call meets which: for the doubles of stores and of providers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

__all__ = [
    "COURIER_OPERATIONS",
    "MAILER_OPERATIONS",
    "PROVIDER_OPERATIONS",
    "STORE_OPERATIONS",
    "Fault",
    "FaultPlan",
    "Faults",
]

STORE_OPERATIONS: Final = ("get", "get_many", "commit", "due", "page", "ping", "tidy")
PROVIDER_OPERATIONS: Final = (
    "create",
    "find",
    "find_by_email",
    "update",
    "delete",
    "page",
    "verify_password",
    "sign_in",
    "refresh",
    "whose",
    "sign_out",
)
MAILER_OPERATIONS: Final = ("send",)
COURIER_OPERATIONS: Final = ("deliver",)


class Fault(Enum):
    """What can happen to one call of a port."""

    LOSE = "lose"
    """It is done; the answer is lost."""
    DROP = "drop"
    """The request is lost; nothing is done, and there is no answer."""
    LATE = "late"
    """There is no answer now; it is done later, when the test calls ``land``."""
    TWICE = "twice"
    """It is done twice, as by a proxy that repeats a request. A provider's second answer is the one that arrives; a
    store's second commit is refused by its own versions, and the first one's answer arrives."""
    REFUSE = "refuse"
    """It is refused for good, and nothing is done."""
    SLOW = "slow"
    """It is done, and answered, after a delay."""
    DOWN = "down"
    """Nobody is there: nothing is done, and the caller can know that."""


Faults = Callable[[str], Fault | None]
"""Asked at each call, by the operation's name: what happens to this one? ``None``: it goes well."""


class FaultPlan:
    """The usual ``Faults``: some for the next calls of an operation, one for all calls until it is lifted.

    ``operations`` are the names that exist; another name raises ``ValueError``: a fault that never comes proves
    nothing.
    """

    def __init__(self, operations: tuple[str, ...]) -> None:
        self._coming: dict[str, deque[Fault | None]] = {operation: deque() for operation in operations}
        self._lasting: dict[str, Fault] = {}

    def next(self, operation: str, *faults: Fault | None) -> None:
        """Give the coming calls of the operation these faults, one each; ``None`` lets one go well."""
        self._known(operation).extend(faults)

    def always(self, fault: Fault, *operations: str) -> None:
        """Give every call of these operations (of all, where none is named) the fault, until ``lift``."""
        for operation in operations or self._coming:
            self._known(operation)
            self._lasting[operation] = fault

    def lift(self) -> None:
        """Let all go well from now on; planned faults that have not come are forgotten."""
        self._lasting.clear()
        for coming in self._coming.values():
            coming.clear()

    @property
    def spent(self) -> bool:
        """Whether every fault planned by ``next`` has come."""
        return not any(self._coming.values())

    def __call__(self, operation: str) -> Fault | None:
        """See ``Faults``. What was planned by ``next`` comes first."""
        coming = self._known(operation)
        return coming.popleft() if coming else self._lasting.get(operation)

    def _known(self, operation: str) -> deque[Fault | None]:
        if operation not in self._coming:
            raise ValueError(f"no operation is called {operation!r}: give one of {', '.join(self._coming)}")
        return self._coming[operation]
