"""What became of each mail, as events: without addresses, subjects and links."""

from __future__ import annotations

from semel.mail import Mail
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Events, Unknown

__all__ = ["ObservedMailer"]


class ObservedMailer:
    """A mailer that tells what came of each mail, and changes nothing else."""

    def __init__(self, mailer: Mailer, events: Events) -> None:
        self.timeout = mailer.timeout
        self._mailer = mailer
        self._events = events

    async def send(self, mail: Mail) -> Sent | Refused | Unknown:
        """See ``Mailer.send``."""
        outcome = await self._mailer.send(mail)
        about = {"mail": mail.id, "kind": mail.kind}
        match outcome:
            case Sent():
                self._events.emit("mail.sent", about)
            case Refused(code=code):
                self._events.emit("mail.refused", {**about, "code": code})
            case Unknown(why=why):
                self._events.emit("mail.unknown", {**about, "why": why})
        return outcome

    async def close(self) -> None:
        """See ``Mailer.close``."""
        await self._mailer.close()
