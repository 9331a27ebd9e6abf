"""Supabase Auth (GoTrue) as a remote identity provider; the sessions are its own.

The server takes our id as its own. What it answers is taken by its error codes, never by their text. Its API is told at
https://supabase.com/docs/reference/api, and more truly by its source at https://github.com/supabase/auth.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from semel.errors import ConfigurationInvalid
from semel.model import Secret
from semel.ports import (
    Absent,
    Clock,
    Done,
    Exists,
    Found,
    FoundPage,
    NewIdentity,
    Rejected,
    SignedIn,
    Unknown,
    Verified,
)
from semel.providers import supabase_answers as answers
from semel.providers.http import Answer, Http, Limits, Place, Request, trust
from semel.providers.supabase_admin import AdminUsers, change
from semel.providers.supabase_grants import Grants
from semel.providers.supabase_http import SPEECH, Key
from semel.providers.supabase_options import SupabaseOptions

__all__ = ["SupabaseProvider", "open_supabase"]

_PROBES: Final = Request("GET", "/admin/users", {"page": "1", "per_page": "1"}), Request("GET", "/settings")


class SupabaseProvider:
    """A remote provider (``ports.RemoteProvider``, ``ports.Sessions``): a Supabase project.

    No confirmation of an email is taken back. A password has at most 72 bytes.
    """

    def __init__(self, options: SupabaseOptions, clock: Clock) -> None:
        self.timeout = options.timeout
        limits = Limits(options.timeout, options.connections, options.queue)
        place = Place(options.base, limits, trust(options.base), SPEECH, clock)
        self._service = Http(place, "service key", Key(options.service_key))
        self._anon = Http(place, "anon key", Key(options.anon_key))
        self._users = AdminUsers(self._service, clock, confirm=options.confirm_emails)
        self._grants = Grants(self._anon, clock)

    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        """See ``RemoteProvider.create``."""
        return answers.too_long(identity.password) or await self._users.create(identity, self._deadline())

    async def find(self, identity_id: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find``. One that was deleted softly is found without an email, and disabled."""
        return await self._users.find(identity_id, self._deadline())

    async def find_by_email(self, email: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find_by_email``."""
        return await self._users.find_by_email(email, self._deadline())

    async def update(
        self,
        identity_id: str,
        *,
        email: str | None = None,
        password: Secret | None = None,
        confirmed: bool | None = None,
        disabled: bool | None = None,
    ) -> Done | Absent | Exists | Rejected | Unknown:
        """See ``RemoteProvider.update``. A new password ends the identity's sessions."""
        if confirmed is False:
            return Rejected("The identity provider takes no confirmation back")
        wanted = change(email, password, confirmed=confirmed, disabled=disabled)
        return answers.too_long(password) or await self._users.update(identity_id, wanted, self._deadline())

    async def delete(self, provider_id: str) -> Done | Unknown:
        """See ``RemoteProvider.delete``."""
        return await self._users.delete(provider_id, self._deadline())

    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        """See ``RemoteProvider.page``. Of several made in one microsecond the server may list one twice, one never."""
        return await self._users.page(cursor, limit, self._deadline())

    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:  # noqa: ARG002 - the server knows the email
        """See ``RemoteProvider.verify_password``. Of who is disabled it is unknown: the server does not look."""
        deadline = self._deadline()
        found = await self._users.find(identity_id, deadline)
        if not isinstance(found, Found):
            return Verified.ABSENT if isinstance(found, Absent) else Verified.UNKNOWN
        if found.email is None:
            return Verified.WRONG
        return await self._grants.verify(identity_id, found.email, password, deadline)

    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.sign_in``. ``Absent`` also while the email is not confirmed."""
        return await self._grants.sign_in(email, password, self._deadline())

    async def refresh(self, refresh_token: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.refresh``."""
        return await self._grants.refresh(refresh_token, self._deadline())

    async def whose(self, access_token: Secret) -> Found | Absent | Unknown:
        """See ``Sessions.whose``."""
        return await self._grants.whose(access_token, self._deadline())

    async def sign_out(self, access_token: Secret) -> Done | Absent | Unknown:
        """See ``Sessions.sign_out``."""
        return await self._grants.sign_out(access_token, self._deadline())

    async def close(self) -> None:
        """See ``RemoteProvider.close``."""
        await self._service.close()
        await self._anon.close()

    async def check(self) -> None:
        """Ask once with each key. Raises ``ConfigurationInvalid`` where a key or the address is surely wrong.

        A server that does not answer is none of that: it may come.
        """
        asking = self._service, self._anon
        asked = [http.send(probe, self._deadline()) for http, probe in zip(asking, _PROBES, strict=True)]
        for http, answer in zip(asking, await asyncio.gather(*asked), strict=True):
            if isinstance(answer, Answer):
                _check(answer, http.name.replace(" ", "_"))

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.timeout


async def open_supabase(options: SupabaseOptions, clock: Clock) -> SupabaseProvider:
    """Return a provider whose keys the server takes, if it answers. Raises ``ConfigurationInvalid``."""
    provider = SupabaseProvider(options, clock)
    try:
        await provider.check()
    except BaseException:
        await provider.close()
        raise
    return provider


def _check(answer: Answer, key: str) -> None:
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise ConfigurationInvalid(f"{key} is refused by the identity provider: copy it anew from the project's page")
    elsewhere = answer.status == HTTPStatus.OK and not isinstance(answer.body, dict)
    if elsewhere or answer.status == HTTPStatus.NOT_FOUND:
        raise ConfigurationInvalid("url leads to no Supabase Auth server: there is none at its /auth/v1")
