"""Pages for people: HTML that runs nothing and loads nothing from anywhere, and forms that lead back to this server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import jinja2
from fastapi import Response

from semel import errors
from semel.errors import SemelError
from semel.http.operations import Call
from semel.http.problems import headers_of
from semel.passwords import LENGTH

__all__ = ["PAGES", "page", "refusal", "said"]

_DIRECTORY: Final = Path(__file__).parent / "pages"
PAGES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_DIRECTORY),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
)
"""The templates of all pages."""
_STYLE: Final = (_DIRECTORY / "style.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
"""Said by each page itself: in an application of somebody else's nobody else says it. The token stands in the path, so
no other site is told the address, and nobody keeps the page."""

_TO_DO: Final[Mapping[type[SemelError], str]] = {
    errors.LinkUnknown: "It may be misspelt, or a newer mail has another. Open the newest mail, or ask for another.",
    errors.LinkUsed: "It did what it is for, once. You can sign in.",
    errors.LinkExpired: "Nothing was changed. Ask for another.",
    errors.UserAlreadyExists: "Another account has this email by now. Sign in with that.",
    errors.InvitationUnknown: "The link may be misspelt, or a newer mail has another. Open the newest mail.",
    errors.InvitationUsed: "The account is there. Sign in.",
    errors.InvitationExpired: "Ask whoever invited you for another.",
    errors.InvitationRevoked: "Ask whoever invited you.",
    errors.RateLimited: "Please come back in a while.",
}
"""What people can do about an error; of all others the error's own words are shown."""
_LATER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def page(call: Call, template: str, status: int = HTTPStatus.OK, /, **values: object) -> Response:
    """Return a page. ``values`` are what its template says; whatever people wrote is escaped."""
    product = call.semel.settings.product_name
    text = PAGES.get_template(template).render(style=_STYLE, product=product, most=LENGTH.stop - 1, **values)
    return Response(text, status, _HEADERS, "text/html; charset=utf-8")


def said(call: Call, title: str, text: str, status: int = HTTPStatus.OK, *, again: bool = False) -> Response:
    """Return a page that says one thing."""
    return page(call, "said.html", status, title=title, text=text, again=again)


def refusal(call: Call, error: SemelError) -> Response:
    """Return the page that tells of an error, and what to do about it."""
    later = error.status in _LATER or error.retry_after is not None
    answer = said(call, error.title, _TO_DO.get(type(error), error.detail), error.status, again=later)
    answer.headers.update(headers_of(error))
    return answer
