"""Every event is a log line and a count."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

from prometheus_client import Counter

from semel.observe.logs import Log
from semel.observe.metrics import Cells, Metrics

__all__ = ["ObservedEvents"]

Fields = Mapping[str, str | int | float | Sequence[str]]

_LEVELS: Final = {
    "registration.failed": logging.WARNING,
    "limits.alone": logging.WARNING,
    "session.reused": logging.WARNING,
    "upkeep.failed": logging.WARNING,
    "mail.refused": logging.WARNING,
    "mail.unknown": logging.WARNING,
    "delivery.dead": logging.WARNING,
    "session.refreshed": logging.DEBUG,
    "session.refused": logging.DEBUG,
    "upkeep.passed": logging.DEBUG,
}
"""The levels of the events that are no plain news."""


class ObservedEvents:
    """``ports.Events`` for operators."""

    def __init__(self, metrics: Metrics) -> None:
        self._log = Log()
        self._every = Cells(metrics.events)
        self._counters: dict[str, tuple[Cells[Counter], tuple[str, ...]]] = {
            "registration.ended": (Cells(metrics.registrations), ("door", "outcome")),
            "registration.conflict": (Cells(metrics.conflicts), ("door", "fields")),
            "registration.waited": (Cells(metrics.waits), ("door",)),
            "registration.rescued": (Cells(metrics.rescues), ("outcome",)),
            "delivery.tried": (Cells(metrics.deliveries), ("endpoint", "outcome")),
            "delivery.dead": (Cells(metrics.dead), ("kind",)),
            "limits.refused": (Cells(metrics.rate_limited), ("limit",)),
        }
        """The events with a counter of their own, and the fields that are its labels."""

    def emit(self, name: str, fields: Fields) -> None:
        """See ``Events.emit``. An event that names several fields counts once for each."""
        self._every[name,].inc()
        if name in self._counters:
            cells, labels = self._counters[name]
            for values in product(*[_several(fields.get(label, "")) for label in labels]):
                cells[values].inc()
        self._log.log(_LEVELS.get(name, logging.INFO), name, fields)


def _several(value: str | float | Sequence[str]) -> tuple[str, ...]:
    return (str(value),) if isinstance(value, str | int | float) else tuple(value)
