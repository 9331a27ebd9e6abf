"""Sign-in, refresh and sign-out at a Supabase Auth server, with the anon key: what any browser may do as well."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from semel.model import Secret
from semel.ports import Absent, Clock, Done, Found, SignedIn, Unknown, Verified
from semel.providers import supabase_answers as answers
from semel.providers.http import Answer, Http, Request, nonsense, unknown

__all__ = ["Grants"]

_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A token as RFC 6750 has it: whatever else a caller sends is none, and must not break a header."""
_SAYS: Final = {"invalid_credentials": Verified.WRONG, "email_not_confirmed": Verified.RIGHT}
"""What a refused sign-in says of the password: that an email is not confirmed is told only after the password was found
right. That the user is banned is told before it is looked at, so it says nothing."""


class Grants:
    """People's sessions. Every method has a ``deadline``, in the event loop's time."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def sign_in(self, email: str, password: Secret, deadline: float) -> SignedIn | Absent | Unknown:
        """Open a session. ``Absent`` also for who is banned or has an unconfirmed email."""
        return self._session(await self._by_password(email, password, deadline), answers.NOT_SIGNED_IN)

    async def refresh(self, refresh_token: Secret, deadline: float) -> SignedIn | Absent | Unknown:
        """Exchange a refresh token."""
        answer = await self._token("refresh_token", {"refresh_token": refresh_token.reveal()}, deadline)
        return self._session(answer, answers.REFRESH_OVER)

    async def whose(self, access_token: Secret, deadline: float) -> Found | Absent | Unknown:
        """Return the user of a token whose session goes on."""
        if _BEARER.fullmatch(access_token.reveal()) is None:
            return Absent()
        answer = await self._http.send(Request("GET", "/user", bearer=access_token), deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            found = answers.user(answer.body, self._clock.now())
            return nonsense(answer) if found is None else Absent() if found.disabled else found
        over = answer.code in answers.NO_TOKEN | answers.ENDED | answers.BARRED
        return Absent() if over else unknown(answer, self._http.name)

    async def sign_out(self, access_token: Secret, deadline: float) -> Done | Absent | Unknown:
        """End the session of a token, and no other of its user's."""
        if _BEARER.fullmatch(access_token.reveal()) is None:
            return Absent()
        request = Request("POST", "/logout", {"scope": "local"}, bearer=access_token)
        answer = await self._http.send(request, deadline)
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.NO_CONTENT or answer.code in answers.ENDED:
            return Done()
        return Absent() if answer.code in answers.NO_TOKEN else unknown(answer, self._http.name)

    async def verify(self, identity_id: str, email: str, password: Secret, deadline: float) -> Verified:
        """Say whether the password opens the identity, by a session that is ended at once."""
        answer = await self._by_password(email, password, deadline)
        if isinstance(answer, Unknown):
            return Verified.UNKNOWN
        if answer.status == HTTPStatus.BAD_REQUEST:
            return _SAYS.get(answer.code or "", Verified.UNKNOWN)
        session = self._session(answer, frozenset())
        if not isinstance(session, SignedIn):
            return Verified.UNKNOWN
        # Whatever comes of it: nobody else has these tokens, and they are forgotten here.
        await self.sign_out(Secret(session.tokens.access_token), deadline)
        return Verified.RIGHT if session.identity.identity_id == identity_id else Verified.WRONG

    async def _by_password(self, email: str, password: Secret, deadline: float) -> Answer | Unknown:
        return await self._token("password", {"email": email, "password": password.reveal()}, deadline)

    async def _token(self, grant: str, body: dict[str, str], deadline: float) -> Answer | Unknown:
        return await self._http.send(Request("POST", "/token", {"grant_type": grant}, body), deadline)

    def _session(self, answer: Answer | Unknown, over: frozenset[str]) -> SignedIn | Absent | Unknown:
        if isinstance(answer, Unknown):
            return answer
        if answer.status == HTTPStatus.OK:
            return answers.signed_in(answer.body, self._clock.now()) or nonsense(answer)
        refused = answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.code in over
        return Absent() if refused else unknown(answer, self._http.name)
