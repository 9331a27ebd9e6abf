"""Metrics for Prometheus, in a registry of their own, so that an application's are left alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["Cells", "Metrics"]

M = TypeVar("M", Counter, Histogram)

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Cells(dict[tuple[str, ...], M]):
    """A metric's parts by the values of its labels; to ask the metric takes longer than to count."""

    def __init__(self, metric: M) -> None:
        super().__init__()
        self._metric: M = metric

    def __missing__(self, values: tuple[str, ...]) -> M:
        part: M = self._metric.labels(*values)
        self[values] = part
        return part


def _forget_the_dead(directory: Path) -> None:
    """Take a worker that was killed out of what is summed over the living: nobody else tells that it is gone."""
    for file in directory.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not _alive(process):
            with suppress(FileNotFoundError):  # another worker was faster
                mark_process_dead(process, str(directory))  # type: ignore[no-untyped-call]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Metrics:
    """Every metric of one process. Labels are of small, fixed sets: never a person's value."""

    CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
    """The media type of ``text()``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.registrations = self._counter("registrations", "Registrations ended", "door", "outcome")
        self.conflicts = self._counter("conflicts", "Identifiers found taken", "door", "field")
        self.waits = self._counter("waits", "Waits for a registration in the way", "door")
        self.rescues = self._counter("rescues", "Dead registrations ended", "outcome")
        self.rate_limited = self._counter("rate_limited", "Attempts refused by a rate limit", "limit")
        self.deliveries = self._counter("deliveries", "Attempts to deliver an event", "endpoint", "outcome")
        self.dead = self._counter("deliveries_dead", "Events given up", "kind")
        self.waiting = self._gauge("outbox_waiting", "Events that wait to be delivered")
        self.lag = self._gauge("outbox_lag_seconds", "Age of the oldest event that waits to be delivered")
        self.events = self._counter("events", "Everything that happened, by name", "event")
        self.removals = self._gauge("removals", "Identities that must still be made sure not to exist")
        self.removal_age = self._gauge("removal_age_seconds", "Age of the oldest removal")
        self.hash_queue = self._gauge("hash_queue", "Passwords being hashed, or waiting for it", "livesum")
        self.store_seconds = self._histogram("store_seconds", "Calls of the store", "operation", "outcome")
        self.provider_seconds = self._histogram("provider_seconds", "Calls of the provider", "operation", "outcome")

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format; where ``PROMETHEUS_MULTIPROC_DIR`` is set, of all workers."""
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if directory is None:
            return generate_latest(self.registry)
        _forget_the_dead(Path(directory))
        everywhere = CollectorRegistry()
        MultiProcessCollector(everywhere)  # type: ignore[no-untyped-call]
        return generate_latest(everywhere)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"semel_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, of_workers: Literal["livesum", "mostrecent"] = "mostrecent") -> Gauge:
        return Gauge(f"semel_{name}", text, registry=self.registry, multiprocess_mode=of_workers)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"semel_{name}", text, labels, buckets=_SECONDS, registry=self.registry)
