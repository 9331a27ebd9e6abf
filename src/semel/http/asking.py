"""What requests ask for outside their bodies: a page, an id in the path, a version in ``If-Match``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from starlette.datastructures import QueryParams

from semel.errors import FieldError, InvalidInput, NotFound, PreconditionFailed
from semel.http.operations import Call
from semel.model import Account

__all__ = ["PAGE", "Asked", "asked_page", "etag", "expected_version", "id_in_path"]

PAGE: Final = (
    ("cursor", "string", "Where the page before ended."),
    ("limit", "integer", "How many to show, 1 to 1000; 100 without it."),
)
"""The query of a list, as the document has it."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG: Final = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')


class Asked(NamedTuple):
    """Which page, and what else the query says."""

    cursor: str | None
    limit: int
    more: dict[str, str]


def asked_page(call: Call, *more: str) -> Asked:
    """Return which page a query asks for. Raises ``InvalidInput`` for what is no number or not known here."""
    query = QueryParams(call.scope.get("query_string", b""))
    known = {"cursor", "limit", *more}
    if not known.issuperset(query.keys()) or len(query.multi_items()) != len(query):
        message = f"Send nothing but these in the query, each once: {', '.join(sorted(known))}"
        raise InvalidInput(errors=(FieldError("", "unknown_field", message),))
    limit = query.get("limit", "100")
    if not re.fullmatch(r"[0-9]{1,4}", limit):
        raise InvalidInput(errors=(FieldError("limit", "out_of_range", "Ask for 1 to 1000 at a time"),))
    if "\0" in (query.get("cursor") or ""):
        raise InvalidInput(errors=(FieldError("cursor", "malformed", "Give the cursor of a page"),))
    return Asked(query.get("cursor") or None, int(limit), {name: query[name] for name in more if name in query})


def id_in_path(call: Call) -> str:
    """Return the id in the path. Raises ``NotFound`` for what can be none."""
    named: str = call.scope["path_params"]["id"]
    if not _UUID.fullmatch(named):
        raise NotFound
    return named


def etag(account: Account) -> dict[str, str]:
    """Return the header that names an account's version (RFC 9110, 8.8.3)."""
    return {"etag": f'"{account.version}"'}


def expected_version(call: Call) -> int | None:
    """Return the version that the account must have by ``If-Match`` (RFC 9110, 13.1.1); ``None`` for any.

    Raises ``PreconditionFailed`` where the header names none that an account can have.
    """
    if "if-match" not in call.headers:
        return None
    given = ", ".join(call.headers.getlist("if-match"))
    if given.strip() == "*":
        return None
    strong = [value for weak, value in _TAG.findall(given) if not weak]
    if len(strong) != 1 or not re.fullmatch(r"-?[0-9]{1,19}", strong[0]):
        raise PreconditionFailed("Send one strong ETag in If-Match, as an answer had it, or *")
    return int(strong[0])
