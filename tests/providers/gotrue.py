"""The endpoints of Supabase Auth that the adapter uses, over the state of the fake provider.

It answers as the real server was recorded to: see ``gotrue-transcripts.jsonl``. A lost race and a duplicate id are
500s, the listing's filter is a LIKE, and a create looks before it inserts, so that racers do meet.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, NewIdentity, SignedIn, Verified
from semel.testing import FakeProvider
from tests.providers.web import Asked, Reply

SERVICE_KEY: Final = "service-key-of-the-tests-never-to-be-seen"
ANON_KEY: Final = "anon-key-of-the-tests-never-to-be-seen"
NOW: Final = "2026-01-01T00:00:00.123456789Z"

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EMAIL: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+")


def problem(status: int, code: str, message: str) -> Reply:
    """Return an error as the server words it for this version of its API."""
    named = {"x-sb-error-code": code, "x-supabase-api-version": "2024-01-01"}
    return Reply(status, {"code": code, "message": message}, named)


_NO_USER: Final = problem(404, "user_not_found", "User not found")
_FAILED: Final = problem(500, "unexpected_failure", "Database error creating new user")
_WRONG: Final = problem(400, "invalid_credentials", "Invalid login credentials")
_NO_REFRESH: Final = problem(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")


class GoTrue:
    """Answers requests below ``/auth/v1``. ``provider`` has the state; ``names`` are the users' ``full_name``."""

    def __init__(self) -> None:
        self.provider = FakeProvider()
        self.names: dict[str, str] = {}
        self.owners: dict[str, str] = {}

    async def __call__(self, asked: Asked) -> Reply | None:
        path = asked.path.removeprefix("/auth/v1")
        admin = path.startswith("/admin/")
        if asked.headers.get("apikey") != (SERVICE_KEY if admin else ANON_KEY):
            return Reply(401, {"message": "Invalid API key"})
        if admin and asked.headers.get("authorization") != f"Bearer {SERVICE_KEY}":
            return problem(403, "not_admin", "User not allowed")
        endpoints: dict[tuple[str, str], Callable[[Asked], Awaitable[Reply]]] = {
            ("POST", "/admin/users"): self._create,
            ("GET", "/admin/users"): self._list,
            ("POST", "/token"): self._token,
            ("POST", "/logout"): self._logout,
            ("GET", "/user"): self._me,
            ("GET", "/settings"): _settings,
        }
        if user := re.fullmatch(r"/admin/users/(.+)", path):
            return await self._one(asked, user[1])
        endpoint = endpoints.get((asked.method, path))
        return Reply(404, "404 page not found") if endpoint is None else await endpoint(asked)

    async def _create(self, asked: Asked) -> Reply:
        body: Mapping[str, Any] = asked.body
        if not _EMAIL.fullmatch(body.get("email", "").lower()):
            return problem(400, "validation_failed", "Unable to validate email address: invalid format")
        email, password = body["email"].lower(), body.get("password", "")
        if len(password.encode()) > 72:
            return problem(500, "unexpected_failure", "Internal Server Error")
        if self._with_email(email) is not None:
            return problem(422, "email_exists", "A user with this email address has already been registered")
        await asyncio.sleep(0)
        made = await self.provider.create(
            NewIdentity(body["id"], email, Secret(password), confirmed=body.get("email_confirm", False))
        )
        if isinstance(made, Exists):
            return _FAILED
        self.names[body["id"]] = body.get("user_metadata", {}).get("full_name", "")
        return await self._shown(body["id"])

    async def _list(self, asked: Asked) -> Reply:
        query = asked.query
        number, size = int(query.get("page", 1)), int(query.get("per_page", 50))
        like = re.escape(query.get("filter", "")).replace("%", ".*").replace("_", ".")
        hits = [
            each
            for each in reversed(self.provider.everybody())
            if re.search(like, each.email or "") or re.search(like, self.names.get(each.identity_id, ""), re.IGNORECASE)
        ]
        users = [_user(each) for each in hits[(number - 1) * size : number * size]]
        headers = {"x-total-count": str(len(hits)), "link": '</admin/users?page=0>; rel="last"'}
        if number * size < len(hits):
            headers["link"] = f'</admin/users?page={number + 1}>; rel="next", {headers["link"]}'
        return Reply(200, {"users": users, "aud": "authenticated"}, headers)

    async def _one(self, asked: Asked, user_id: str) -> Reply:
        if not _UUID.fullmatch(user_id):
            return problem(404, "validation_failed", "user_id must be an UUID")
        if isinstance(await self.provider.find(user_id), Absent):
            return _NO_USER
        if asked.method == "DELETE":
            await self.provider.delete(user_id)
            return Reply(200, {})
        return await (self._update(user_id, asked.body) if asked.method == "PUT" else self._shown(user_id))

    async def _update(self, user_id: str, body: Mapping[str, Any]) -> Reply:
        password = body.get("password")
        if password is not None and len(password) < 6:
            return problem(422, "weak_password", "Password should be at least 6 characters.")
        done = await self.provider.update(
            user_id,
            email=body.get("email"),
            password=None if password is None else Secret(password),
            confirmed=body.get("email_confirm") or None,
            disabled=body["ban_duration"] != "none" if "ban_duration" in body else None,
        )
        if not isinstance(done, Done):
            return problem(500, "unexpected_failure", "Error updating user")
        return await self._shown(user_id)

    async def _shown(self, user_id: str) -> Reply:
        found = await self.provider.find(user_id)
        assert isinstance(found, Found)
        return Reply(200, _user(found))

    async def _token(self, asked: Asked) -> Reply:
        body: Mapping[str, str] = asked.body
        if asked.query["grant_type"] == "refresh_token":
            return self._session(await self.provider.refresh(Secret(body["refresh_token"])), _NO_REFRESH)
        found, password = self._with_email(body["email"].lower()), Secret(body["password"])
        if found is not None and found.disabled:
            return problem(400, "user_banned", "User is banned")
        right = found and await self.provider.verify_password(found.identity_id, None, password) is Verified.RIGHT
        if found is None or not right:
            return _WRONG
        if not found.confirmed:
            return problem(400, "email_not_confirmed", "Email not confirmed")
        return self._session(await self.provider.sign_in(found.email or "", password), _WRONG)

    def _session(self, signed_in: object, refusal: Reply) -> Reply:
        if not isinstance(signed_in, SignedIn):
            return refusal
        tokens = signed_in.tokens
        self.owners[tokens.access_token] = signed_in.identity.identity_id
        session = {"access_token": tokens.access_token, "token_type": "bearer", "expires_in": tokens.expires_in}
        return Reply(200, {**session, "refresh_token": tokens.refresh_token, "user": _user(signed_in.identity)})

    async def _logout(self, asked: Asked) -> Reply:
        token = asked.headers["authorization"].removeprefix("Bearer ")
        if token not in self.owners:
            return problem(403, "bad_jwt", "invalid JWT: unable to parse or verify signature")
        before = self.provider.state
        await self.provider.sign_out(Secret(token))
        if self.provider.state == before:
            return problem(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return Reply(204)

    async def _me(self, asked: Asked) -> Reply:
        token = asked.headers["authorization"].removeprefix("Bearer ")
        if token not in self.owners:
            return problem(403, "bad_jwt", "invalid JWT: unable to parse or verify signature")
        found = await self.provider.find(self.owners[token])
        if isinstance(found, Found) and found.disabled:
            return problem(403, "user_banned", "User is banned")
        if not isinstance(await self.provider.whose(Secret(token)), Found):
            return problem(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return await self._shown(self.owners[token])

    def _with_email(self, email: str) -> Found | None:
        return next((each for each in self.provider.everybody() if each.email == email), None)


async def _settings(_: Asked) -> Reply:
    return Reply(200, {"disable_signup": True})


def _user(found: Found) -> dict[str, Any]:
    user: dict[str, Any] = {"id": found.identity_id, "aud": "authenticated", "email": found.email or "", "phone": ""}
    if found.confirmed:
        user["email_confirmed_at"] = NOW
    if found.disabled:
        user["banned_until"] = (datetime.now(UTC) + timedelta(days=36_500)).isoformat()
    return {**user, "created_at": NOW, "updated_at": NOW, "is_anonymous": False}
