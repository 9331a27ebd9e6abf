"""A worker on Azure Tables that leaves as soon as it has its answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from typing_extensions import override

from semel.ports import Clock
from semel.stores.azure_commits import PATIENCE_SECONDS, TRIES, Commits
from semel.stores.azure_entities import Entities
from semel.stores.azure_places import Change
from semel.stores.azure_tables import AzureTablesStore

__all__ = ["LeavingStore"]


class LeavingStore(AzureTablesStore):
    """The shipped store, but for what it would do behind the answer to a commit: that is left to others and to upkeep.

    This is a worker that dies right after it has answered. Whatever the answer is, the journal and the marks stay as
    they were when it was given; so do those of an attempt that was given up for another. What is no part of a commit
    goes on behind its back as ever.
    """

    def __init__(
        self,
        entities: Entities,
        clock: Clock,
        jitter: Callable[[], float],
        patience: float = PATIENCE_SECONDS,
        tries: int = TRIES,
    ) -> None:
        super().__init__(entities, clock, jitter, patience, tries)
        self._commits = _LeavingCommits(entities, clock, jitter, patience, tries)


class _LeavingCommits(Commits):
    """Makes one commit at a time."""

    _committing = False

    @override
    async def commit(self, changes: Sequence[Change], token: int) -> None:
        self._committing = True
        try:
            await super().commit(changes, token)
        finally:
            self._committing = False

    @override
    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        if self._committing:
            work.close()
        else:
            super()._later(work)
