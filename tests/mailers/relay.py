"""A real mail server on this machine, which takes mail or fails as told."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from typing_extensions import override

from semel.mailers.options import MailOptions
from semel.model import Secret

USER, PASSWORD = "semel", "a pass:word/with@signs"
USER_INFO = "semel:a%20pass%3Aword%2Fwith%40signs@"
OK = "250 OK"
_TURNS = 5
"""Of the event loop, in which a connection that is aborted closes its socket."""


@dataclass
class Relay:
    """What the server does at each command, and what it took. A command in ``hangs`` is never answered."""

    port: int = 0
    mail: str = OK
    rcpt: str = OK
    data: str = OK
    hangs: str | None = None
    breaks: str | None = None
    """The command at which it breaks the connection, once it has done what was asked."""
    takes: float = 0.01
    """Seconds for each answer: more than none, so that those that come at once are here at once."""
    taken: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    connections: set[asyncio.BaseTransport] = field(default_factory=set)
    ever: list[tuple[asyncio.Transport, TransportSocket]] = field(default_factory=list)
    """All connections that there were."""
    most_at_once: int = 0
    private: set[bool] = field(default_factory=set)
    """Whether mails came by a private connection."""
    users: list[bytes] = field(default_factory=list)

    async def arrived(self) -> list[bytes]:
        return self.taken

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._answer("mail", server, self.mail)

    async def handle_RCPT(  # noqa: N802 - the same
        self, server: SMTP, _: Session, envelope: Envelope, address: str, __: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._answer("rcpt", server, self.rcpt)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        if self.data == OK:
            assert isinstance(envelope.content, bytes)
            self.taken.append(envelope.content)
            self.recipients += envelope.rcpt_tos
            self.private.add(session.ssl is not None or _end(server).get_extra_info("sslcontext") is not None)
        return await self._answer("data", server, self.data)

    async def handle_QUIT(self, server: SMTP, *_: object) -> str:  # noqa: N802 - the same
        return await self._answer("quit", server, "221 Bye")

    async def _answer(self, command: str, server: SMTP, answer: str) -> str:
        if self.hangs == command:
            await asyncio.Event().wait()
        if self.breaks == command:
            _end(server).abort()
        await asyncio.sleep(self.takes)
        return answer

    def check(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, said: Any) -> AuthResult:  # noqa: ANN401
        right = isinstance(said, LoginPassword) and (said.login, said.password) == (USER.encode(), PASSWORD.encode())
        self.users.append(mechanism.encode())
        return AuthResult(success=right, handled=False)


def _end(server: SMTP) -> asyncio.Transport:
    return cast("asyncio.Transport", server.transport)


@asynccontextmanager
async def running(
    relay: Relay,
    *,
    context: ssl.SSLContext | None = None,
    starttls: bool = True,
    **options: Any,  # noqa: ANN401 - as aiosmtpd takes them
) -> AsyncIterator[Relay]:
    """Run it on a port of this machine: with a context TLS is offered (STARTTLS), or there from the first byte."""
    loop = asyncio.get_running_loop()
    begins = {"tls_context": context, "require_starttls": True} if context is not None and starttls else {}

    def connected() -> SMTP:
        return _Counted(relay, hostname="localhost", loop=loop, **begins, **options)

    inner = None if starttls else context
    if inner is not None:
        begins["auth_require_tls"] = False  # it does not see that the connection is private
    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=inner)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for connection, _ in relay.ever:
            connection.abort()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        assert all(end.fileno() < 0 for _, end in relay.ever), "a connection outlives its server"


class _Counted(SMTP):
    """A connection that counts itself."""

    def __init__(self, relay: Relay, **options: Any) -> None:  # noqa: ANN401 - as aiosmtpd takes them
        super().__init__(relay, **options)
        self._relay = relay
        self._first: asyncio.BaseTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._first is None:  # STARTTLS makes it once more
            self._first = transport
            self._relay.connections.add(transport)
            self._relay.ever.append((cast("asyncio.Transport", transport), transport.get_extra_info("socket")))
            self._relay.most_at_once = max(self._relay.most_at_once, len(self._relay.connections))

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._relay.connections.discard(self._first)
        super().connection_lost(error)


def certified(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a server shows that the authority vouches for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def options(relay: Relay, tls: str = "none", user_info: str = "", seconds: float = 5.0) -> MailOptions:
    url = f"smtp://{user_info}127.0.0.1:{relay.port}?tls={tls}"
    return MailOptions(smtp_url=Secret(url), mail_from="Exämple Inc. <noreply@example.org>", timeout=seconds)
