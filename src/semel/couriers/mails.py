"""The outbox's mails: written when they are sent, by whoever knows their kind, and handed to the mailer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from semel.errors import SemelError
from semel.mail import Mail
from semel.model import OutboxEvent
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Unknown

__all__ = ["ENDPOINT", "MailCourier", "MailWriter"]

ENDPOINT: Final = "mail"
"""The one endpoint of every mail."""


class MailWriter(Protocol):
    """Writes the mails of one kind of event, at the time they are sent: the event itself has no word of them."""

    async def mail_for(self, event: OutboxEvent) -> Mail | None:
        """Return the mail, with the event's delivery id; ``None`` where nothing is to be sent any more.

        Raises a ``SemelError`` where it cannot be written now: it is tried again.
        """
        ...


class MailCourier:
    """``outgoing.Courier`` for the kinds of events that have a writer."""

    def __init__(self, mailer: Mailer, writers: Mapping[str, MailWriter]) -> None:
        self.timeout = mailer.timeout
        self._mailer = mailer
        self._writers = writers

    def endpoints(self, event: OutboxEvent) -> tuple[str, ...]:
        """See ``Courier.endpoints``."""
        return (ENDPOINT,) if event.kind in self._writers else ()

    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        """See ``Courier.deliver``. What need not be sent any more counts as sent."""
        del endpoint, attempt
        try:
            mail = await self._writers[event.kind].mail_for(event)
        except SemelError as error:
            return Unknown(error.detail)
        return Sent() if mail is None else await self._mailer.send(mail)
