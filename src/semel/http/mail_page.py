"""The local mailbox as a page, for development alone: whoever sees it can sign in as everybody.

A setting switches it on, and it is refused beside a mail server and on any address but this machine's. At each request
it is looked at again who asks: a page of the network that has a name lead here (DNS rebinding), a proxy or a tunnel on
this machine, and a page of another origin are all told that there is nothing.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from fastapi import Response
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from semel.errors import NotFound
from semel.http.html import PAGES
from semel.http.problems import answer
from semel.mailers.mailbox import KeptMail, kept_mails
from semel.mailers.options import is_loopback

__all__ = ["mail_page"]

_NOTHING_ELSE: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PAGE_POLICY: Final = f"{_NOTHING_ELSE}; frame-src 'self'; frame-ancestors 'none'"
_MAIL_POLICY: Final = (
    f"{_NOTHING_ELSE}; img-src data:; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""A mail runs nothing, loads nothing from anywhere, and is of no origin; its links open pages of their own."""
_NEW_PAGE: Final = '<base target="_blank">'
_HOST: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:@/\[\]]+))(?::\d+)?")
_BY_A_PROXY: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def mail_page(directory: Path) -> list[Route]:
    """Return the routes of the page over a local mailbox."""
    page = _MailPage(directory)
    paths = ("/mail", "/mail/{mail_id}", "/mail/{mail_id}/html")
    return [Route(path, page, methods=["GET"], include_in_schema=False) for path in paths]


class _MailPage:
    """The list, a mail, and the HTML of a mail, as one ASGI application."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = answer(NotFound(), scope)
        if _from_here(scope):
            mails = await asyncio.to_thread(kept_mails, self._directory)
            response = _shown(mails, scope) or response
        await response(scope, receive, send)


def _shown(mails: list[KeptMail], scope: Scope) -> Response | None:
    mail_id = scope["path_params"].get("mail_id")
    if mail_id is None:
        return _html(PAGES.get_template("mails.html").render(mails=mails), _PAGE_POLICY)
    found = next((one for one in mails if one.id == mail_id), None)
    if found is None:
        return None
    if scope["path"].endswith("/html"):
        return None if found.html is None else _html(_NEW_PAGE + found.html, _MAIL_POLICY)
    return _html(PAGES.get_template("mail.html").render(mail=found), _PAGE_POLICY)


def _html(text: str, policy: str) -> Response:
    return Response(text, media_type="text/html", headers={"content-security-policy": policy})


def _from_here(scope: Scope) -> bool:
    """Tell whether a browser on this machine asks, by a name of this machine, for a person who looks at the page."""
    headers = Headers(scope=scope)
    ends = [scope.get("client"), scope.get("server")]
    hosts = headers.getlist("host")
    return (
        all(end is not None and is_loopback(end[0]) for end in ends)
        and len(hosts) == 1
        and is_loopback(_named(hosts[0]))
        and not any(name in headers for name in _BY_A_PROXY)
        and "origin" not in headers
        and _own_or_navigation(headers)
    )


def _named(host: str) -> str:
    """Return the name or address in a ``Host`` (RFC 9110, 7.2); of one that is none, nothing."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1] or found[2]


def _own_or_navigation(headers: Headers) -> bool:
    """Refuse what another origin's page fetches; that it links here is no harm."""
    own = headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
    return own or headers.get("sec-fetch-mode") == "navigate"
