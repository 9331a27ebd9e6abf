"""The library's face for applications that block, such as Django's and Flask's: the same, over one background loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from semel import face
from semel.config import Settings
from semel.errors import ConfigurationInvalid, OutcomeUnknown
from semel.ports import Also

__all__ = ["Semel"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[face.Semel, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Semel, P], T]:
    """Return the method as one that waits for its answer."""

    @wraps(method)
    def call(self: Semel, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(method(self._face, *args, **kwargs))

    return call


class _Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="semel", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it runs: a thread does not outlive a fork."""
        return self._thread.is_alive()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the work there and wait for its answer; who is interrupted stops waiting."""
        answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result()
        except CancelledError:
            raise OutcomeUnknown("this Semel was closed meanwhile") from None
        except BaseException:
            answer.cancel()
            raise

    def stop(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)  # whoever still waits for one of these must not wait for ever
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


class Semel:
    """``semel.Semel`` with methods that block. May be used by any number of threads.

    Open it with ``with``, or with ``open`` when the application starts: in the process that uses it, after a fork.
    Raises ``ConfigurationInvalid``, also where it is asked while not open.
    """

    def __init__(self, settings: Settings | None = None, *, also: Also | None = None) -> None:
        self._also = also
        self._face = face.Semel(settings, also=also)
        self._inherited: face.Semel | None = None
        """What was open when this process was forked off: what it holds is the parent's, so it is kept, not closed."""
        self._background: _Background | None = None
        self._closing: weakref.finalize[..., Any] | None = None

    def open(self) -> Self:
        """Start the loop, open the store, and return this object. Without ``close`` it is closed as Python ends."""
        if self._background is not None:
            raise ConfigurationInvalid("this Semel is open already: make another one")
        self._background = _Background()
        try:
            self._background.wait(self._face.__aenter__())
        except BaseException:
            self._background.stop()
            self._background = None
            raise
        self._closing = weakref.finalize(self, _close, self._background, self._face)
        return self

    def close(self) -> None:
        """Close the store and end the loop. May be called twice; a child that was forked off may open its own then."""
        if self._background is not None and not self._background.alive:
            self._inherited, self._face = self._face, face.Semel(self._face.settings, also=self._also)
        self._background = None
        if self._closing is not None:
            self._closing()

    def __enter__(self) -> Self:
        """See ``open``."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See ``close``."""
        self.close()

    register = _blocking(face.Semel.register)
    sign_in = _blocking(face.Semel.sign_in)
    refresh = _blocking(face.Semel.refresh)
    sign_out = _blocking(face.Semel.sign_out)
    current_account = _blocking(face.Semel.current_account)
    account = _blocking(face.Semel.account)
    account_by_email = _blocking(face.Semel.account_by_email)
    check = _blocking(face.Semel.check)
    accounts = _blocking(face.Semel.accounts)
    search_accounts = _blocking(face.Semel.search_accounts)
    delete_account = _blocking(face.Semel.delete_account)
    update_account = _blocking(face.Semel.update_account)
    create_api_key = _blocking(face.Semel.create_api_key)
    api_keys = _blocking(face.Semel.api_keys)
    revoke_api_key = _blocking(face.Semel.revoke_api_key)
    invite = _blocking(face.Semel.invite)
    invitation = _blocking(face.Semel.invitation)
    invitations = _blocking(face.Semel.invitations)
    revoke_invitation = _blocking(face.Semel.revoke_invitation)
    resend_invitation = _blocking(face.Semel.resend_invitation)
    accept_invitation = _blocking(face.Semel.accept_invitation)
    accept_invitation_as = _blocking(face.Semel.accept_invitation_as)
    link = _blocking(face.Semel.link)
    open_link = _blocking(face.Semel.open_link)
    sign_up_token = _blocking(face.Semel.sign_up_token)
    recover = _blocking(face.Semel.recover)
    resend_verification = _blocking(face.Semel.resend_verification)
    tell_owner = _blocking(face.Semel.tell_owner)
    change_password = _blocking(face.Semel.change_password)
    change_email = _blocking(face.Semel.change_email)
    registration = _blocking(face.Semel.registration)
    aftermath = _blocking(face.Semel.aftermath)
    removals = _blocking(face.Semel.removals)
    outbox = _blocking(face.Semel.outbox)
    replay_event = _blocking(face.Semel.replay_event)
    replay_dead_events = _blocking(face.Semel.replay_dead_events)
    upkeep_once = _blocking(face.Semel.upkeep_once)
    ready = _blocking(face.Semel.ready)
    jwks = _blocking(face.Semel.jwks)
    metrics_text = _blocking(face.Semel.metrics_text)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._background is None or not self._background.alive:
            work.close()
            raise ConfigurationInvalid(
                "this Semel is not open in this process: open() it here, after a close() where it was forked"
            )
        return self._background.wait(work)


def _close(background: _Background, opened: face.Semel) -> None:
    if not background.alive:
        return
    try:
        background.wait(opened.__aexit__(None, None, None))
    finally:
        background.stop()
