"""An event loop without threads, I/O or a clock of its own: a coroutine on it is a function of the answers it gets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, cast
from weakref import WeakSet

__all__ = ["EscapedError", "Loop", "SpinningError"]

T = TypeVar("T")

_PATIENCE = 100_000
"""Callbacks in one turn after which a program is taken to spin without ever asking a port."""


class SpinningError(RuntimeError):
    """A program goes round and round without asking a port: in real life it would hold its event loop for good."""


class EscapedError(RuntimeError):
    """An exception that nobody looks at: of a callback, or of a task whose result is never asked for."""


class Loop:
    """Runs callbacks in the order in which they were scheduled. Its time moves only where somebody sets ``now``.

    It is all of ``asyncio.AbstractEventLoop`` that tasks, futures, events, locks, ``gather``, ``shield``, ``wait_for``
    and ``timeout`` ask for. Threads, executors, sockets and processes do not exist here.
    """

    def __init__(self) -> None:
        self.now = 0.0
        """The time, in seconds since the world began."""
        self.looked = False
        """Whether the program has looked at the clock since somebody last set this to false."""
        self.timers: list[asyncio.TimerHandle] = []
        """What waits for a moment, in the order in which it was asked for."""
        self.closing = False
        """Whether the program is being abandoned: nothing it does now matters."""
        self._as_loop = cast("asyncio.AbstractEventLoop", self)
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._escaped: list[str] = []

    def run_until_quiet(self) -> None:
        """Run until everything waits.

        Raises ``SpinningError``, and ``EscapedError`` for an exception that nobody would see.
        """
        before = asyncio._get_running_loop()  # noqa: SLF001 - offered to those who write an event loop
        asyncio._set_running_loop(self._as_loop)  # noqa: SLF001 - the same
        try:
            for _ in range(_PATIENCE):
                if not self._ready:
                    break
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001 - a loop runs its handles
            else:
                raise SpinningError(f"{_PATIENCE} callbacks in one turn")
        finally:
            asyncio._set_running_loop(before)  # noqa: SLF001 - as above
        if self._escaped and not self.closing:
            raise EscapedError("; ".join(self._escaped))

    def fire(self, timer: asyncio.TimerHandle) -> None:
        """Let the timer go off. The caller sets the time, and runs the loop afterwards."""
        self.timers.remove(timer)
        self._ready.append(timer)

    def abandon(self) -> None:
        """Cancel every task until none is left, so that nothing of the program runs later, at the collector's whim."""
        self.closing = True
        while alive := [task for task in self._tasks if not task.done()]:
            for task in alive:
                task.cancel()
            self.run_until_quiet()

    def time(self) -> float:
        """Return the time, in seconds since the world began."""
        self.looked = True
        return self.now

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """See ``asyncio.loop.call_soon``."""
        handle = asyncio.Handle(callback, args, self._as_loop, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See ``asyncio.loop.call_later``."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See ``asyncio.loop.call_at``."""
        timer = asyncio.TimerHandle(when, callback, args, self._as_loop, context)
        self.timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if handle in self.timers:
            self.timers.remove(handle)

    def create_future(self) -> asyncio.Future[Any]:
        """See ``asyncio.loop.create_future``."""
        return asyncio.Future(loop=self._as_loop)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """See ``asyncio.loop.create_task``."""
        task = asyncio.Task(coro, loop=self._as_loop, name=name, context=context)
        self._tasks.add(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """See ``asyncio.loop.call_exception_handler``."""
        self._escaped.append(f"{context['message']}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        """See ``asyncio.loop.get_debug``."""
        return False

    def is_running(self) -> bool:
        """See ``asyncio.loop.is_running``."""
        return asyncio._get_running_loop() is self._as_loop  # noqa: SLF001 - as above

    def is_closed(self) -> bool:
        """See ``asyncio.loop.is_closed``: what it holds is its own, so there is nothing to close."""
        return False
