"""Users of a Keycloak realm by its admin API, with the token of a service account.

Every method has a ``deadline``, in the event loop's time, for all of its requests together. No search has an empty
value: that one lists everybody.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, FoundPage, NewIdentity, Rejected, Unknown
from semel.providers import keycloak_answers as answers
from semel.providers.http import Answer, Http, Request, nonsense, unknown
from semel.providers.keycloak_answers import ID, Proofs, User

__all__ = ["AdminUsers", "Change"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What an id of ours is; also what may stand in a search for an attribute, of which anything malformed is dropped."""
_IN_A_PATH: Final = re.compile(r"(?!\.+$)[\w.:@+-]{1,255}", re.ASCII)
"""What an id of Keycloak's may be. Those of federated users have colons, and their source's name of the user."""
_LOCATION: Final = re.compile(r"/users/([^/?#]+)$")
_PER_PAGE: Final = 500
"""Pages are read by the server row by row: a few hundred take a second where they are cold."""

Change = dict[str, Any]
"""What a request is to change, by the names of the admin API."""


class AdminUsers:
    """The users. ``own_usernames`` makes those who have a username under it, all others under our id."""

    def __init__(self, http: Http, proofs: Proofs, *, own_usernames: bool) -> None:
        self._http = http
        self._proofs = proofs
        self._own_usernames = own_usernames

    async def create(self, new: NewIdentity, deadline: float) -> Done | Exists | Rejected | Unknown:
        """Make a user: the server makes all of it in one transaction, and at most one under a username and an email."""
        username = (new.username if self._own_usernames else None) or new.id
        refusal = answers.unsendable(new.password, email=new.email, username=username, full_name=new.full_name)
        if refusal is not None:
            return refusal
        first, _, last = (new.full_name or "").rpartition(" ")
        wanted = {
            "username": username,
            "email": new.email,
            "emailVerified": new.confirmed,
            "enabled": True,
            "firstName": first or last or None,
            "lastName": last if first else None,
            "attributes": self._proofs.attributes(new.id, username),
            "credentials": _credentials(new.password),
        }
        answer = await self._http.send(Request("POST", "/users", body=_given(wanted)), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.CREATED:
            made = _LOCATION.search(answer.headers.get("location", ""))
            return Done(made[1]) if made else nonsense(answer)
        refused = answers.refused(answer, self._http.name)
        return await self._name_taken(new, username, deadline) or refused if isinstance(refused, Exists) else refused

    async def find(self, identity_id: str, deadline: float) -> User | Absent | Unknown:
        """Return the user that carries our id, or whose own id it is, if it carries none of ours."""
        if _UUID.fullmatch(identity_id) is not None:
            wanted = {"q": f"{ID}:{identity_id}"} if self._own_usernames else _exactly("username", identity_id)
            there = await self._listed(wanted, deadline)
            if isinstance(there, Unknown):
                return there
            ours = next((user for user in there if user.found.identity_id == identity_id), None)
            if ours is not None:
                return ours
        user = await self.named(identity_id, deadline)
        return user if not isinstance(user, User) or user.found.identity_id == identity_id else Absent()

    async def named(self, provider_id: str, deadline: float) -> User | Absent | Unknown:
        """Return the user with the provider's id."""
        if _IN_A_PATH.fullmatch(provider_id) is None:
            return Absent()
        answer = await self._http.send(Request("GET", f"/users/{provider_id}"), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.OK:
            return Absent() if answers.gone(answer) else self._said(answer)
        user = self._proofs.user(answer.body)
        return user if user is not None and user.found.provider_id == provider_id else nonsense(answer)

    async def find_by_email(self, email: str, deadline: float) -> Found | Absent | Unknown:
        """Return the user with exactly this email; where the realm has let several have it, one of ours, if any is."""
        there = await self._with("email", email, deadline)
        if isinstance(there, Unknown):
            return there
        those = [user.found for user in there if user.found.email == email.lower()]
        ours = (found for found in those if found.identity_id != found.provider_id)
        return next(ours, those[0] if those else Absent())

    async def update(
        self, identity_id: str, change: Change, deadline: float
    ) -> Done | Absent | Exists | Rejected | Unknown:
        """Change a user: the server does all of it in one transaction.

        It ends no sessions by that: we do, with a new password, and those of who is disabled.

        The attributes are left out, which leaves them: named, they would have to be all of them.
        """
        user = await self.find(identity_id, deadline)
        if not isinstance(user, User):
            return user
        answer = await self._http.send(Request("PUT", f"/users/{user.found.provider_id}", body=change), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.NO_CONTENT:
            return Absent() if answers.gone(answer) else answers.refused(answer, self._http.name)
        ends = "credentials" in change or change.get("enabled") is False
        return await self._end_sessions(user.found.provider_id, deadline) if ends else Done()

    async def _end_sessions(self, provider_id: str, deadline: float) -> Done | Absent | Unknown:
        answer = await self._http.send(Request("POST", f"/users/{provider_id}/logout"), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.NO_CONTENT:
            return Done()
        return Absent() if answers.gone(answer) else self._said(answer)

    async def delete(self, provider_id: str, deadline: float) -> Done | Unknown:
        """Delete a user. Of several at once the server answers some with 500 or 400: those are settled by a look."""
        if _IN_A_PATH.fullmatch(provider_id) is None:
            return Unknown("the identity provider has no user of such an id")
        answer = await self._http.send(Request("DELETE", f"/users/{provider_id}"), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.NO_CONTENT or answers.gone(answer):
            return Done()
        left = await self.named(provider_id, deadline)
        return Done() if isinstance(left, Absent) else self._said(answer)

    async def page(self, cursor: str | None, limit: int, deadline: float) -> FoundPage | Unknown:
        """Return the next users by their usernames. A cursor is a number of rows, which shift as users come and go."""
        first, most = int(cursor or 0), min(limit, _PER_PAGE)
        there = await self._listed({"first": str(first), "max": str(most)}, deadline)
        if isinstance(there, Unknown):
            return there
        return FoundPage(tuple(user.found for user in there), str(first + most) if len(there) >= most else None)

    async def end_session(self, session_id: str, deadline: float) -> Done | Unknown:
        """End a session; one that has ended counts as done."""
        if _IN_A_PATH.fullmatch(session_id) is None:
            return Unknown("the identity provider has no session of such an id")
        answer = await self._http.send(Request("DELETE", f"/sessions/{session_id}"), deadline)
        if isinstance(answer, Unknown):
            return answer
        ended = answer.status == HTTPStatus.NO_CONTENT
        # The word is misspelt there, and may be corrected some day.
        over = answer.status == HTTPStatus.NOT_FOUND and (answer.code or "").endswith("sion not found")
        return Done() if ended or over else self._said(answer)

    async def _name_taken(self, new: NewIdentity, username: str, deadline: float) -> Rejected | Unknown | None:
        """Say whether a username is in the way that no look for our id or the email would find.

        An email that is anybody's username is taken too. ``None`` where it is not that, or not known.
        """
        for field, name in (("email", new.email), ("username", username if username != new.id else None)):
            there = await self._with("username", name or "", deadline)
            holder = None if isinstance(there, Unknown) else next(iter(there), None)
            if holder is None or name is None or holder.username != name.lower():
                continue
            found = holder.found
            if found.identity_id == new.id or found.email == (new.email or "").lower():
                continue
            if found.identity_id != found.provider_id:
                return Unknown(f"another identity of ours has this {field} as its username")
            return Rejected(f"This {field} is taken as a username at the identity provider", field)
        return None

    async def _with(self, field: str, text: str, deadline: float) -> list[User] | Unknown:
        """Return the users with the field; none for what could be nobody's."""
        return await self._listed(_exactly(field, text), deadline) if text and "\0" not in text else []

    async def _listed(self, query: dict[str, str], deadline: float) -> list[User] | Unknown:
        answer = await self._http.send(Request("GET", "/users", {"briefRepresentation": "false", **query}), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != HTTPStatus.OK:
            return self._said(answer)
        users = self._proofs.users(answer.body)
        return nonsense(answer) if users is None else users

    def _said(self, answer: Answer) -> Unknown:
        return unknown(answer, self._http.name)


def change(email: str | None, password: Secret | None, *, confirmed: bool | None, disabled: bool | None) -> Change:
    """Return an update's body. ``None`` leaves as it is."""
    enabled = None if disabled is None else not disabled
    return _given(
        {"email": email, "emailVerified": confirmed, "enabled": enabled, "credentials": _credentials(password)}
    )


def _credentials(password: Secret | None) -> list[dict[str, Any]] | None:
    if password is None:
        return None
    return [{"type": "password", "value": password.reveal(), "temporary": False}]


def _exactly(field: str, text: str) -> dict[str, str]:
    return {field: text, "exact": "true"}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
