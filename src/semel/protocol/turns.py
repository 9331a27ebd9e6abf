"""Turns of one process's requests that want the same identifiers, where a hash is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from semel.model import Name

__all__ = ["Turns"]


class Turns:
    """Lets one request hash at a time for an identifier, so that a look refuses the others once it has won.

    It spares work and decides nothing: other processes know nothing of it. Whoever takes a turn takes it for all its
    identifiers at once and waits for no other turn, so nobody waits for ever.
    """

    def __init__(self) -> None:
        self._taken: dict[Name, asyncio.Future[None]] = {}

    async def others(self, names: Sequence[Name]) -> None:
        """Wait while another's turn is on for one of these."""
        while (theirs := next((self._taken[name] for name in names if name in self._taken), None)) is not None:
            await asyncio.wait([theirs])

    def take(self, names: Sequence[Name]) -> bool:
        """Take the turn for all of these, until ``end`` is called with them; ``False`` where another was first."""
        if any(name in self._taken for name in names):
            return False
        self._taken.update(dict.fromkeys(names, asyncio.get_running_loop().create_future()))
        return True

    def end(self, names: Sequence[Name]) -> None:
        """Let the others go on."""
        for name in names:
            turn = self._taken.pop(name)
            if not turn.done():
                turn.set_result(None)
