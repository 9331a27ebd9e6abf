"""Users of a Supabase Auth server by its admin API, with the service key.

Every method has a ``deadline``, in the event loop's time, for all of its requests together.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from semel.model import Secret
from semel.ports import Absent, Clock, Done, Exists, Found, FoundPage, NewIdentity, Rejected, Unknown
from semel.providers import supabase_answers as answers
from semel.providers.http import Answer, Http, Request, nonsense, unknown
from semel.providers.supabase_http import more, total

__all__ = ["AdminUsers", "Change"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What an id may be: of anything else the path would lead elsewhere, or to everybody."""
_FOREVER: Final = "876000h"
"""A hundred years: a ban has a duration, and its longest unit is the hour."""
_PER_PAGE: Final = 10_000
"""The server knows no maximum, and one page that holds all cannot shift while it is read."""
_PAGES: Final = 20

Change = dict[str, Any]
"""What a request is to change, by the names of the admin API."""


class AdminUsers:
    """The users. ``confirm`` makes each with its email confirmed."""

    def __init__(self, http: Http, clock: Clock, *, confirm: bool) -> None:
        self._http = http
        self._clock = clock
        self._confirm = confirm

    async def create(self, new: NewIdentity, deadline: float) -> Done | Exists | Rejected | Unknown:
        """Make a user: the server makes all of it in one transaction."""
        wanted = {
            "id": new.id,
            "email": new.email,
            "password": new.password and new.password.reveal(),
            "email_confirm": new.confirmed or self._confirm,
            "user_metadata": new.full_name and {"full_name": new.full_name},
        }
        answer = await self._http.send(Request("POST", "/admin/users", body=_given(wanted)), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            return await self._made(answer, new.id, deadline)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return await self._settled(new, answer, deadline)
        return answers.refused(answer, self._http.name)

    async def find(self, identity_id: str, deadline: float) -> Found | Absent | Unknown:
        """Return the user with this id."""
        if _UUID.fullmatch(identity_id) is None:
            return Absent()
        answer = await self._http.send(Request("GET", f"/admin/users/{identity_id}"), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.OK:
            return Absent() if answers.gone(answer) else unknown(answer, self._http.name)
        found = answers.user(answer.body, self._clock.now())
        return found if found is not None and found.identity_id == identity_id else nonsense(answer)

    async def find_by_email(self, email: str, deadline: float) -> Found | Absent | Unknown:
        """Return the user with exactly this email.

        The server's filter looks for a part, takes ``%`` and ``_`` for wildcards, and looks at names as well: it shows
        more than was asked for, never less. Absence is told only of a list that came as a whole, since pages shift
        while users come and go.
        """
        if not email:
            return Absent()
        for number in range(1, _PAGES + 1):
            query = {"filter": email, "page": str(number), "per_page": str(_PER_PAGE)}
            read = await self._listed(query, deadline)
            if isinstance(read, Unknown):
                return read
            answer, users = read
            if found := next((user for user in users if user.email == email), None):
                return found
            whole = len(users) < _PER_PAGE and len(users) >= (total(answer) or 0)
            if number == 1 and whole:
                return Absent()
            if not users:
                break
        return Unknown("the identity provider lists too many users to be sure")

    async def update(
        self, identity_id: str, change: Change, deadline: float
    ) -> Done | Absent | Exists | Rejected | Unknown:
        """Change a user: the server does all of it in one transaction. A new password ends the user's sessions."""
        if _UUID.fullmatch(identity_id) is None:
            return Absent()
        answer = await self._http.send(Request("PUT", f"/admin/users/{identity_id}", body=change), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            now = answers.user(answer.body, self._clock.now())
            return Done() if now is not None and now.identity_id == identity_id else nonsense(answer)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and "email" in change:
            # A taken email is answered so, as is whatever goes wrong.
            holder = await self.find_by_email(change["email"], deadline)
            return Exists() if isinstance(holder, Found) and holder.identity_id != identity_id else self._said(answer)
        return Absent() if answers.gone(answer) else answers.refused(answer, self._http.name)

    async def delete(self, provider_id: str, deadline: float) -> Done | Unknown:
        """Delete a user. Never softly: that would keep the id."""
        if _UUID.fullmatch(provider_id) is None:
            return Done()
        answer = await self._http.send(Request("DELETE", f"/admin/users/{provider_id}"), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            return Done() if isinstance(answer.body, dict) else nonsense(answer)
        return Done() if answers.gone(answer) else self._said(answer)

    async def page(self, cursor: str | None, limit: int, deadline: float) -> FoundPage | Unknown:
        """Return the next users, newest first. A cursor keeps to the size that its first page had."""
        number, _, size = (cursor or f"1.{min(limit, _PER_PAGE)}").partition(".")
        read = await self._listed({"page": number, "per_page": size}, deadline)
        if isinstance(read, Unknown):
            return read
        answer, users = read
        follows = more(answer)
        follows = len(users) >= int(size) if follows is None else follows
        return FoundPage(tuple(users), f"{int(number) + 1}.{size}" if users and follows else None)

    def _said(self, answer: Answer) -> Unknown:
        return unknown(answer, self._http.name)

    async def _made(self, answer: Answer, identity_id: str, deadline: float) -> Done | Unknown:
        made = answers.user(answer.body, self._clock.now())
        if made is None:
            return nonsense(answer)
        if made.identity_id == identity_id:
            return Done()
        # Nobody would find again what has an id of the server's choice.
        await self.delete(made.provider_id, deadline)
        return Unknown("the identity provider does not take our id: its version is too old")

    async def _settled(self, new: NewIdentity, answer: Answer, deadline: float) -> Exists | Unknown:
        """Say what a create came to that was answered 500: nothing that its text says tells one case from another.

        The email or the id is taken; or the user was made, and the answer of the database got lost; or nothing was
        done. So ``Exists`` where our id or the email is there.
        """
        there: Found | Absent | Unknown = await self.find(new.id, deadline)
        if isinstance(there, Absent) and new.email is not None:
            there = await self.find_by_email(new.email, deadline)
        if isinstance(there, Absent):
            return self._said(answer)
        return Exists() if isinstance(there, Found) else there

    async def _listed(self, query: dict[str, str], deadline: float) -> tuple[Answer, list[Found]] | Unknown:
        answer = await self._http.send(Request("GET", "/admin/users", query), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.OK:
            return self._said(answer)
        users = answers.listed(answer.body, self._clock.now())
        return nonsense(answer) if users is None else (answer, users)


def change(email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None) -> Change:
    """Return an update's body. ``None`` leaves as it is."""
    ban = None if disabled is None else _FOREVER if disabled else "none"
    return _given(
        {"email": email, "password": password and password.reveal(), "email_confirm": confirmed, "ban_duration": ban}
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
