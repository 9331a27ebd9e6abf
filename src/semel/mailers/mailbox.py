"""Mail that goes nowhere: a Maildir on this machine, for development."""

from __future__ import annotations

import asyncio
import errno
import mailbox
import re
import stat
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from typing_extensions import override

from semel.errors import ConfigurationInvalid
from semel.mail import Mail
from semel.mailers.composing import compose
from semel.mailers.options import MailOptions
from semel.outgoing import Refused, Sent
from semel.ports import Clock, Unknown

__all__ = ["KEPT", "KeptMail", "LocalMailbox", "kept_mails"]

KEPT: Final = 200
"""The newest so many mails are kept."""
_TIMEOUT: Final = 5.0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PARTS: Final = ("tmp", "new", "cur")
_MADE: Final = re.compile(r"(\d+)\.M(\d+)P\d+Q(\d+)\.")
"""How Python names a mail in a Maildir: seconds, microseconds, process, number."""
_LINK: Final = re.compile(r"https?://[^\s<>\"]+")


class KeptMail(msgspec.Struct, frozen=True):
    """A mail in the local mailbox. Its repr has neither the address nor anything of the body."""

    id: str
    at: datetime | None
    """When it was written; ``None`` where it does not say."""
    to: str
    subject: str
    text: str
    html: str | None

    @property
    def links(self) -> tuple[str, ...]:
        """The links of its text, each once, in their order."""
        return tuple(dict.fromkeys(found.rstrip(".,;:!?)") for found in _LINK.findall(self.text)))

    @override
    def __repr__(self) -> str:
        """Show which mail it is."""
        return f"KeptMail(id={self.id!r}, …)"


class LocalMailbox:
    """``outgoing.Mailer`` into a directory that is its owner's alone. Any number of processes may write to it and read.

    Raises ``ConfigurationInvalid`` where others may look into the directory.
    """

    def __init__(self, options: MailOptions, clock: Clock) -> None:
        _refuse_open(options.directory)
        self.timeout = _TIMEOUT
        self._options = options
        self._clock = clock

    async def send(self, mail: Mail) -> Sent | Refused | Unknown:
        """See ``Mailer.send``."""
        letter = compose(mail, self._options, self._clock.now())
        if isinstance(letter, Refused):
            return letter
        try:
            async with asyncio.timeout(_TIMEOUT):
                await asyncio.to_thread(_keep, self._options.directory, letter.content)
        except TimeoutError:
            return Unknown("the local mailbox took too long; it may have taken the mail")
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            return Unknown(f"the local mailbox cannot be written to ({name})")
        except mailbox.Error as error:
            return Unknown(f"the local mailbox cannot be written to ({type(error).__name__})")
        return Sent()

    async def close(self) -> None:
        """See ``Mailer.close``: there is nothing to give up."""


def kept_mails(directory: Path, to: str | None = None) -> list[KeptMail]:
    """Return the mails of the local mailbox, the newest first; those to one address, in any case, if one is named.

    Raises ``OSError`` where the directory cannot be read; one that is not there has none.
    """
    if not all((directory / part).is_dir() for part in _PARTS):
        return []
    mails = map(_read, _newest_first(directory))
    return [mail for mail in mails if to is None or mail.to.casefold() == to.strip().casefold()]


def _refuse_open(directory: Path) -> None:
    try:
        mode = directory.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationInvalid(f"directory cannot be looked at ({error.strerror})") from None
    if mode & _OTHERS:
        raise ConfigurationInvalid("directory must be its owner's alone: chmod 700, or name another one")


def _keep(directory: Path, content: bytes) -> None:
    """Add a mail, and let go of the oldest."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    # The library makes them too, but not where several begin at once.
    for path in (directory, *(directory / part for part in _PARTS)):
        path.mkdir(mode=0o700, exist_ok=True)
    box = mailbox.Maildir(directory, create=False)
    box.add(content.replace(b"\r\n", b"\n"))
    for key in sorted(box.keys(), key=_age, reverse=True)[KEPT:]:
        box.discard(key)


def _newest_first(directory: Path) -> Iterator[bytes]:
    box = mailbox.Maildir(directory, create=False)
    for key in sorted(box.keys(), key=_age, reverse=True):
        try:
            yield box.get_bytes(key)
        except (KeyError, FileNotFoundError):  # another process has let go of it meanwhile
            continue


def _age(key: str) -> tuple[int, ...]:
    """Return what sorts keys by time; a mail that somebody else put there is older than all."""
    made = _MADE.match(key)
    return tuple(map(int, made.groups())) if made else ()


def _read(content: bytes) -> KeptMail:
    message = cast("EmailMessage", message_from_bytes(content, policy=cast("Any", default)))
    sent = message["Date"]
    return KeptMail(
        id=str(message["Message-ID"] or "").strip(" <>").partition("@")[0],
        at=sent.datetime if sent is not None else None,
        to=", ".join(one.addr_spec for one in message["To"].addresses) if message["To"] is not None else "",
        subject=str(message["Subject"] or ""),
        text=_body(message, "plain") or "",
        html=_body(message, "html"),
    )


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content())
