"""Sign-in and refresh at a Keycloak realm's token endpoint, by a client that may use people's passwords."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from semel.model import Secret
from semel.ports import Absent, Unknown, Verified
from semel.providers.http import Answer, Http, Request, nonsense, unknown
from semel.providers.keycloak_answers import Opened, opened, subject
from semel.providers.keycloak_http import TOKEN

__all__ = ["Grants"]

_USERINFO: Final = "/protocol/openid-connect/userinfo"
_NOBODYS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Of a session that has ended or a user that is disabled; of a token without the scope ``openid``."""
_NO_GRANT: Final = "invalid_grant"
"""What the token endpoint says of a password, a user or a refresh token that is not good (RFC 6749, 5.2)."""
_RIGHT_BUT: Final = "Account is not fully set up"
"""Said only after the password was found right: an action is required of the user, or a name is missing."""


class Grants:
    """People's sessions. Every method has a ``deadline``, in the event loop's time."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def sign_in(self, username: str, password: Secret, deadline: float) -> Opened | Absent | Unknown:
        """Open a session. ``Absent`` also for who is disabled, locked out, or not fully set up."""
        return self._session(await self._by_password(username, password, deadline))

    async def refresh(self, refresh_token: Secret, deadline: float) -> Opened | Absent | Unknown:
        """Exchange a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        return self._session(await self._http.send(Request("POST", TOKEN, form=form), deadline))

    async def subject(self, access_token: Secret, deadline: float) -> str | Absent | Unknown:
        """Return the provider's id of whose token it is, while its session goes on. The token is a genuine one."""
        answer = await self._http.send(Request("GET", _USERINFO, bearer=access_token), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            return subject(answer.body) or nonsense(answer)
        return Absent() if answer.status in _NOBODYS else unknown(answer, self._http.name)

    async def end(self, session: Opened, deadline: float) -> None:
        """End a session whose tokens nobody else has, so that nothing hangs on its end."""
        form = {"refresh_token": session.tokens.refresh_token}
        await self._http.send(Request("POST", "/protocol/openid-connect/logout", form=form), deadline)

    async def verify(self, provider_id: str, username: str, password: Secret, deadline: float) -> Verified:
        """Say whether the password opens the user, by a session that is ended at once."""
        answer = await self._by_password(username, password, deadline)
        session = self._session(answer)
        if isinstance(session, Opened):
            await self.end(session, deadline)
            return Verified.RIGHT if session.provider_id == provider_id else Verified.WRONG
        if isinstance(session, Unknown) or isinstance(answer, Unknown):
            return Verified.UNKNOWN
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return Verified.WRONG
        # That an account is disabled is said of a wrong password as well.
        right = answer.body.get("error_description") == _RIGHT_BUT
        return Verified.RIGHT if right else Verified.UNKNOWN

    async def _by_password(self, username: str, password: Secret, deadline: float) -> Answer | Unknown:
        form = {"grant_type": "password", "scope": "openid", "username": username, "password": password.reveal()}
        return await self._http.send(Request("POST", TOKEN, form=form), deadline)

    def _session(self, answer: Answer | Unknown) -> Opened | Absent | Unknown:
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            return opened(answer.body) or nonsense(answer)
        refused = answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED} and answer.code == _NO_GRANT
        return Absent() if refused else unknown(answer, self._http.name)
