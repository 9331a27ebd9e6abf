"""The ports of what leaves: mail and events. Ways that they go, and what comes of it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from semel.mail import Mail
from semel.model import OutboxEvent
from semel.ports import Unknown

__all__ = ["Courier", "Mailer", "Refused", "Sent"]


class Sent(msgspec.Struct, frozen=True):
    """The next server has taken the mail. Whether a person gets it is not known here."""


class Refused(msgspec.Struct, frozen=True):
    """Refused for good: by a code of SMTP (RFC 5321) a mail or its recipient, by one of HTTP (RFC 9110) an event."""

    code: int


@runtime_checkable
class Mailer(Protocol):
    """The way that mail goes. Each answer comes within ``timeout`` seconds and is a value, never a raise."""

    timeout: float

    async def send(self, mail: Mail) -> Sent | Refused | Unknown:
        """Hand the mail on. After ``Unknown`` it has gone, or not: send it again, under the same id."""
        ...

    async def close(self) -> None:
        """Give up connections. May be called twice."""
        ...


class Courier(Protocol):
    """The way that events go. Each answer comes within ``timeout`` seconds and is a value, never a raise."""

    timeout: float

    def endpoints(self, event: OutboxEvent) -> tuple[str, ...]:
        """Return the names of those who are to have it; none where its kind is not this courier's."""
        ...

    async def deliver(self, event: OutboxEvent, endpoint: str, attempt: str) -> Sent | Refused | Unknown:
        """Hand the event over, in an attempt of this name. After ``Unknown`` it has gone, or not: send it again."""
        ...
