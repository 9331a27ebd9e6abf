"""Every event is a log line and a count."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from semel.observe.logs import logger
from semel.observe.metrics import Metrics

__all__ = ["ObservedEvents"]

Fields = Mapping[str, str | int | float | Sequence[str]]

_LEVELS: Final = {
    "registration.failed": logging.WARNING,
    "session.reused": logging.WARNING,
    "upkeep.failed": logging.WARNING,
    "session.refreshed": logging.DEBUG,
    "session.refused": logging.DEBUG,
    "upkeep.passed": logging.DEBUG,
}
"""The levels of the events that are no plain news."""


class ObservedEvents:
    """``ports.Events`` for operators."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = logger()

    def emit(self, name: str, fields: Fields) -> None:
        """See ``Events.emit``."""
        self._count(name, fields)
        self._log.log(_LEVELS.get(name, logging.INFO), name, **fields)

    def _count(self, name: str, fields: Fields) -> None:
        metrics = self._metrics
        metrics.events.labels(name).inc()
        match name:
            case "registration.ended":
                metrics.registrations.labels(fields["door"], fields["outcome"]).inc()
            case "registration.conflict":
                for field in _several(fields["fields"]):
                    metrics.conflicts.labels(fields["door"], field).inc()
            case "registration.waited":
                metrics.waits.labels(fields["door"]).inc()
            case "registration.rescued":
                metrics.rescues.labels(fields["outcome"]).inc()
            case _:
                return


def _several(value: str | float | Sequence[str]) -> Sequence[str]:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
