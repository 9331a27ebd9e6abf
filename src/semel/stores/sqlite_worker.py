"""A thread that works for an event loop and is handed its work once per pass of the loop.

Handing over one piece at a time costs a lock and a wake-up for each; what one pass of the loop asks for goes over
together, and what has arrived while the thread was busy is worked on and answered together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

from semel.errors import StoreUnavailable

__all__ = ["Piece", "Worker"]

J = TypeVar("J")


class Piece(Generic[J]):
    """A job on its way through the thread, which leaves its ``result`` or its ``error``."""

    __slots__ = ("error", "future", "job", "result")

    def __init__(self, job: J, future: asyncio.Future[object]) -> None:
        self.job = job
        self.future = future
        self.result: object = None
        self.error: Exception | None = None


class Worker(Generic[J]):
    """Runs ``work`` on batches of pieces in a thread of its own, and at last ``end``.

    Belongs to the event loop in which it is made. A caller that is cancelled only stops waiting.
    """

    def __init__(self, name: str, work: Callable[[Sequence[Piece[J]]], None], end: Callable[[], None]) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._work: Final = work
        self._end: Final = end
        self._gathered: list[Piece[J]] = []
        self._handed: Final[SimpleQueue[list[Piece[J]] | None]] = SimpleQueue()
        self._closing = False
        self._ended: Final = asyncio.Event()
        # A daemon: a program that never closes its store still ends; to the file that is one more crash.
        self._thread: Final = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def do(self, job: J) -> object:
        """Hand the job over with this pass of the loop; return its result or raise its error."""
        if self._closing:
            raise StoreUnavailable("The store is closed.")
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        piece = Piece(job, self._loop.create_future())
        self._gathered.append(piece)
        return await piece.future

    async def close(self) -> None:
        """Finish what was asked for, and end the thread. May be called twice."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._handed.put(None)
        await self._ended.wait()
        self._thread.join()

    def _hand_over(self) -> None:
        if self._gathered:
            self._handed.put(self._gathered)
            self._gathered = []

    def _run(self) -> None:
        closing = False
        while not closing:
            handed = self._arrived()
            closing = handed[-1] is None
            if batch := [piece for pieces in handed for piece in pieces or ()]:
                self._serve(batch)
        self._end()
        self._tell(self._ended.set)

    def _arrived(self) -> list[list[Piece[J]] | None]:
        """Wait for something, and return all there is; ``None``, which comes last, ends the thread."""
        handed = [self._handed.get()]
        while not self._handed.empty():
            handed.append(self._handed.get())
        return handed

    def _serve(self, batch: list[Piece[J]]) -> None:
        try:
            self._work(batch)
        except Exception as error:  # noqa: BLE001 - each waiting caller raises it; the thread must live on
            for piece in batch:
                piece.error = piece.error or error
        self._tell(lambda: _answer(batch))

    def _tell(self, news: Callable[[], object]) -> None:
        # Where the loop has ended, nobody waits for news.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(news)


def _answer(batch: Sequence[Piece[J]]) -> None:
    for piece in batch:
        if piece.future.done():
            continue
        if piece.error is not None:
            piece.future.set_exception(piece.error)
        else:
            piece.future.set_result(piece.result)
