"""The administrator's list of users, newest first, by page and by filter."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from fastapi import Response

from semel.http.gotrue.answers import invalid, reply
from semel.http.gotrue.calls import AuthCall
from semel.http.gotrue.users import ROLE, user_body
from semel.model import Account, Identity
from semel.newest import Listed, by_age
from semel.ports import Ref
from semel.sessions import Person

__all__ = ["like", "list_users"]

_PER_PAGE: Final = 50
_MOST: Final = 2**64 - 1
_AT_ONCE: Final = 100


class _Asked(NamedTuple):
    page: int
    per_page: int


async def list_users(call: AuthCall) -> Response:
    """Show a page of users. Whatever page is asked for, every account is read."""
    await call.administrator()
    asked = _Asked(_number(call, "page", 1), _number(call, "per_page", _PER_PAGE))
    if asked.per_page == 0:
        raise invalid("Bad Pagination Parameters: per_page must be above 0")
    first = (max(asked.page, 1) - 1) * asked.per_page
    matches = _matching(call.query.get("filter", ""))
    oldest_first = _oldest_first(call.query.get("sort", ""))
    listed = await by_age(call.parts.engine.store, matches, first, asked.per_page, oldest_first=oldest_first)
    autoconfirm = call.options.autoconfirm
    users = [user_body(one, autoconfirm=autoconfirm, with_identities=False) for one in await _people(call, listed)]
    headers = {"x-total-count": str(listed.total), "link": _links(call, asked, listed.total)}
    return reply({"users": users, "aud": ROLE}, headers=headers)


async def _people(call: AuthCall, listed: Listed) -> list[Person]:
    """Return the accounts with their identities; who has gone meanwhile is left out."""
    found: list[Person] = []
    for start in range(0, len(listed.accounts), _AT_ONCE):
        accounts = listed.accounts[start : start + _AT_ONCE]
        identities = await call.parts.engine.store.get_many([Ref(Identity, one.key) for one in accounts])
        pairs = zip(accounts, identities, strict=True)
        found += [Person(account, identity) for account, identity in pairs if isinstance(identity, Identity)]
    return found


def _number(call: AuthCall, name: str, default: int) -> int:
    given = call.query.get(name, "")
    if not given:
        return default
    if not (given.isascii() and given.isdecimal()):
        raise invalid(f"Bad Pagination Parameters: {name} must be a number")
    if len(given.lstrip("0")) > len(str(_MOST)) or int(given) > _MOST:
        raise invalid(f"Bad Pagination Parameters: {name} is out of range")
    return int(given)


def _oldest_first(sort: str) -> bool:
    """Return whether the list is turned round; it is sorted by nothing else than the time of creation."""
    field, _, direction = sort.strip().partition(" ")
    if field not in {"", "created_at"} or direction.strip().lower() not in {"", "asc", "desc"}:
        raise invalid("Bad Sort Parameters: give created_at, with asc or desc")
    return direction.strip().lower() == "asc"


def _links(call: AuthCall, asked: _Asked, total: int) -> str:
    """Return the header ``Link`` (RFC 8288), the path as behind the gateway, where clients look for it."""
    last = -(-total // asked.per_page)
    path = call.scope["path"].removeprefix(call.scope.get("root_path", ""))

    def link(page: int, relation: str) -> str:
        query = urlencode(sorted({**call.query, "page": str(page)}.items()))
        return f'<{path}?{query}>; rel="{relation}"'

    following = [link(asked.page + 1, "next")] if asked.page < last else []
    return ", ".join([*following, link(last, "last")])


def _matching(pattern: str) -> Callable[[Account], bool]:
    if not pattern:
        return lambda _: True
    in_email, in_name = like(pattern), like(pattern.lower())

    def matches(account: Account) -> bool:
        name = msgspec.json.decode(account.attributes).get("full_name", account.full_name)
        return in_email(account.email_canonical or "") or (isinstance(name, str) and in_name(name.lower()))

    return matches


def like(pattern: str) -> Callable[[str], bool]:
    """Return the test of SQL's ``LIKE '%pattern%'``: ``%`` stands for anything, ``_`` for one character.

    Part after part is looked for, each from where the last one ended, so no pattern costs more than its length times
    that of the text.
    """
    parts = [re.compile(_part(part), re.DOTALL) for part in _parted(pattern)]

    def test(text: str) -> bool:
        at = 0
        for part in parts:
            found = part.search(text, at)
            if found is None:
                return False
            at = found.end()
        return True

    return test


def _parted(pattern: str) -> list[list[str]]:
    """Return the parts between percent signs, character by character; a wildcard is the empty text."""
    parts: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            parts.append([])
        elif character == "_":
            parts[-1].append("")
        else:
            parts[-1].append(next(characters, "\\") if character == "\\" else character)
    return [part for part in parts if part]


def _part(characters: list[str]) -> str:
    return "".join(re.escape(one) if one else "." for one in characters)
