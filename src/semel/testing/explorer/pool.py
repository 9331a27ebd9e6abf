"""Many scenarios at once: one process a core, each scenario in one of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib import import_module
from typing import NamedTuple

from semel.testing.explorer.report import Report, explore
from semel.testing.explorer.scenarios import Scenario

__all__ = ["Job", "explore_all", "scenarios_of"]


class Job(NamedTuple):
    """One scenario to explore. ``source`` and ``name`` say where it is: a coroutine is not sent to another process."""

    source: str
    """``package.module:function``; the function returns scenarios."""
    name: str
    faults: int = 1
    bound: int | None = None


@cache
def scenarios_of(source: str) -> Mapping[str, Scenario]:
    """Return the scenarios of a source by name. Raises ``ImportError`` or ``AttributeError`` where there is none."""
    module, _, function = source.partition(":")
    return {scenario.name: scenario for scenario in getattr(import_module(module), function)()}


def explore_all(jobs: Sequence[Job], processes: int | None = None) -> Iterator[Report]:
    """Explore all, and yield each report as soon as it is there. As many processes as there are cores, unless told."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or multiprocessing.cpu_count(), mp_context=context) as pool:
        running = [pool.submit(_explore, job) for job in jobs]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _explore(job: Job) -> Report:
    return explore(scenarios_of(job.source)[job.name], job.faults, job.bound)
