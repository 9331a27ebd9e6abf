"""A mailer that is none: it keeps what it is given, and fails as told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from semel.mail import Mail
from semel.mailers.composing import Letter, compose
from semel.mailers.options import MailOptions
from semel.outgoing import Refused, Sent
from semel.ports import Clock, Unknown
from semel.testing.clock import VirtualClock
from semel.testing.faults import MAILER_OPERATIONS, Fault, FaultPlan, Faults

__all__ = ["RecordingMailer"]

_TIMEOUT: Final = 10.0
_NO_SUCH_MAILBOX: Final = 550
_OPTIONS: Final = MailOptions()
_NOTHING_DONE: Final = frozenset({Fault.DROP, Fault.REFUSE, Fault.DOWN})
_ANSWERS: Final[Mapping[Fault, Refused | Unknown]] = {
    Fault.LOSE: Unknown("the answer was lost"),
    Fault.DROP: Unknown("the mail was lost"),
    Fault.LATE: Unknown("the mail is on its way"),
    Fault.REFUSE: Refused(_NO_SUCH_MAILBOX),
    Fault.DOWN: Unknown("nobody is there"),
}


class RecordingMailer:
    """A mail server in memory, with ``faults`` between it and its caller. The operation's name is ``send``.

    ``taken`` are the mails that it took, in their order, also those whose answer was lost, and ``letters`` the same as
    they are written. A slow one takes half the ``timeout`` on the ``clock``; a refused one is ``Refused(550)``.
    """

    def __init__(self, faults: Faults | None = None, clock: Clock | None = None, timeout: float = _TIMEOUT) -> None:
        self.timeout = timeout
        self.taken: list[Mail] = []
        self.calls = 0
        self._faults = faults or FaultPlan(MAILER_OPERATIONS)
        self._clock = clock or VirtualClock()
        self._late: list[Mail] = []

    @property
    def letters(self) -> list[bytes]:
        """See the class."""
        written = (compose(mail, _OPTIONS, self._clock.now()) for mail in self.taken)
        return [letter.content for letter in written if isinstance(letter, Letter)]

    def to(self, address: str) -> list[Mail]:
        """Return the mails to an address, each once however often it came."""
        return list({mail.id: mail for mail in self.taken if mail.to == address}.values())

    def land(self) -> None:
        """Let the late mails arrive, in the order in which they were sent. Nobody hears of it."""
        self.taken += self._late
        self._late.clear()

    async def send(self, mail: Mail) -> Sent | Refused | Unknown:
        """See ``Mailer.send``."""
        self.calls += 1
        letter = compose(mail, _OPTIONS, self._clock.now())
        if isinstance(letter, Refused):
            return letter
        fault = self._faults("send")
        if fault is Fault.LATE:
            self._late.append(mail)
        elif fault not in _NOTHING_DONE:
            self.taken += [mail] * (2 if fault is Fault.TWICE else 1)
        if fault is Fault.SLOW:
            await self._clock.sleep(self.timeout / 2)
        return Sent() if fault is None else _ANSWERS.get(fault, Sent())

    async def close(self) -> None:
        """See ``Mailer.close``: there is nothing to give up."""
