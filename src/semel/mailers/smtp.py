"""Mail by SMTP (RFC 5321), handed to a server that brings it on."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final

import aiosmtplib

from semel.mail import Mail
from semel.mailers.composing import NOT_ALLOWED, Letter, compose
from semel.mailers.options import MailOptions, Relay, Tls
from semel.outgoing import Refused, Sent
from semel.ports import Clock, Unknown

__all__ = ["SmtpMailer"]

_CONNECTIONS: Final = 4
_FAREWELL: Final = 0.5
"""Seconds for a polite end, once all is said."""
_ABOUT_US: Final = frozenset({500, 502, 503, 504, 530, 534, 535, 538})
"""Refusals of how we speak, or of who we are (RFC 5321, 4.2.2; RFC 4954, 6): right settings make them go away."""
_FOR_GOOD: Final = range(500, 600)


class _NotPrivateError(Exception):
    """The server does not offer what the settings ask for. Nothing was said to it."""


class SmtpMailer:
    """``outgoing.Mailer`` over SMTP: a connection for each mail, a few at once.

    The server's certificate is verified as by the system, or by the authorities in the file that ``SSL_CERT_FILE``
    names. No address, body or password is in any answer.
    """

    def __init__(self, options: MailOptions, relay: Relay, clock: Clock) -> None:
        self.timeout = options.timeout + _FAREWELL
        self._options = options
        self._relay = relay
        self._clock = clock
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        self._trust = ssl.create_default_context()

    async def send(self, mail: Mail) -> Sent | Refused | Unknown:
        """See ``Mailer.send``."""
        letter = compose(mail, self._options, self._clock.now())
        if isinstance(letter, Refused):
            return letter
        deadline = asyncio.get_running_loop().time() + self._options.timeout
        try:
            async with asyncio.timeout_at(deadline) as waiting, self._turns:
                waiting.reschedule(None)
                return await self._tried(letter, deadline)
        except TimeoutError:
            return Unknown("too many mails wait for the mail server")

    async def close(self) -> None:
        """See ``Mailer.close``: there is nothing to give up."""

    async def _tried(self, letter: Letter, deadline: float) -> Sent | Refused | Unknown:
        client = self._client()
        try:
            outcome = await self._in_time(client, letter, deadline)
            await _say_goodbye(client)
        finally:
            client.close()
        return outcome

    async def _in_time(self, client: aiosmtplib.SMTP, letter: Letter, deadline: float) -> Sent | Refused | Unknown:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._handed_over(client, letter)
        except TimeoutError:
            return Unknown("the mail server did not answer in time; it may have taken the mail")

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._relay.host,
            port=self._relay.port,
            # By default it asks the network for this machine's name.
            local_hostname=self._options.sender.domain,
            timeout=self._options.timeout,
            use_tls=self._relay.tls is Tls.IMPLICIT,
            start_tls=False,
            tls_context=self._trust,
        )

    async def _handed_over(self, client: aiosmtplib.SMTP, letter: Letter) -> Sent | Refused | Unknown:
        """Go through the dialogue; what breaks it says nothing of the mail."""
        try:
            await self._greeted(client)
            if letter.international and not client.supports_extension("smtputf8"):
                return NOT_ALLOWED
            await client.mail(letter.sender, options=["SMTPUTF8"] if letter.international else [])
        except (aiosmtplib.SMTPException, OSError, _NotPrivateError) as error:
            return Unknown(_why(error))
        try:
            await client.rcpt(letter.to, encoding="utf-8" if letter.international else "ascii")
            await client.data(letter.content)
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Unknown(f"{_why(error)}; it may have taken the mail")
        return Sent()

    async def _greeted(self, client: aiosmtplib.SMTP) -> None:
        """Connect, make the connection private, and sign in, as the settings say."""
        relay = self._relay
        await client.connect()
        await client.ehlo()
        if relay.tls is Tls.STARTTLS:
            if not client.supports_extension("starttls"):
                raise _NotPrivateError
            await client.starttls()
            await client.ehlo()
        if relay.user is not None and relay.password is not None:
            await client.login(relay.user, relay.password.reveal())


def _refusal(error: aiosmtplib.SMTPResponseException) -> Refused | Unknown:
    if error.code in _FOR_GOOD and error.code not in _ABOUT_US:
        return Refused(error.code)
    return Unknown(_why(error))


def _why(error: Exception) -> str:
    """Say what went wrong; the server's own words may quote an address."""
    match error:
        case _NotPrivateError():
            return "the mail server offers no STARTTLS, without which it is given nothing"
        case aiosmtplib.SMTPAuthenticationError(code=code):
            return f"the mail server refuses user and password ({code})"
        case aiosmtplib.SMTPResponseException(code=code):
            return f"the mail server answered {code}"
        case _ if isinstance(error, ssl.SSLCertVerificationError) or isinstance(
            error.__cause__, ssl.SSLCertVerificationError
        ):
            return "the mail server's certificate is not trusted"
        case _:
            return f"the connection to the mail server failed: {type(error).__name__}"


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """End politely. What was said before stands, whatever comes of this."""
    if client.is_connected:
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=_FAREWELL)
