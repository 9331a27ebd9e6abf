"""A Keycloak realm as a remote identity provider; the sessions are its own.

Keycloak lets nobody choose an id without full power over the realm. So ours is the username, which the realm keeps
unique, or stands in an attribute beside the person's own; an HMAC in another one proves that we wrote it.
"""

from __future__ import annotations

import asyncio

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
from semel.providers import keycloak_answers as answers
from semel.providers.http import Http, Limits, Place, trust
from semel.providers.keycloak_admin import AdminUsers, change
from semel.providers.keycloak_answers import Opened, Proofs, User
from semel.providers.keycloak_check import check
from semel.providers.keycloak_grants import Grants
from semel.providers.keycloak_http import SPEECH, ServiceToken, client
from semel.providers.keycloak_options import KeycloakOptions
from semel.providers.keycloak_tokens import AccessTokens

__all__ = ["KeycloakProvider", "open_keycloak"]


class KeycloakProvider:
    """A remote provider (``ports.RemoteProvider``, ``ports.Sessions``): a realm of a Keycloak server.

    ``proof_key`` is the key of the proofs: what was made under another one is somebody else's.
    """

    def __init__(self, options: KeycloakOptions, proof_key: bytes, clock: Clock) -> None:
        self.timeout = options.timeout
        self._options = options
        self._checked = True
        self._checking = asyncio.Lock()
        limits, trusted = Limits(options.timeout, options.connections, options.queue), trust(options.realm_url)
        realm = Place(options.realm_url, limits, trusted, SPEECH, clock)
        admin = Place(options.admin_url, limits, trusted, SPEECH, clock)
        self._client = Http(realm, "client", client(options.client_id, options.client_secret))
        self._token = ServiceToken(self._client, clock, options.timeout)
        self._admin = Http(admin, "service account", self._token)
        self._sign_in = Http(realm, "client for sign-in", client(*options.sign_in))
        self._users = AdminUsers(self._admin, Proofs(proof_key), own_usernames=options.own_usernames)
        self._grants = Grants(self._sign_in)
        self._tokens = AccessTokens(self._client, clock)

    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        """See ``RemoteProvider.create``. In a realm that was looked at in vain nothing is made before it answers."""
        deadline = self._deadline()
        unfit = None if self._checked else await self._unfit(deadline)
        return unfit or await self._users.create(identity, deadline)

    async def find(self, identity_id: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find``."""
        user = await self._users.find(identity_id, self._deadline())
        return user.found if isinstance(user, User) else user

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
        """See ``RemoteProvider.update``."""
        wanted = change(email, password, confirmed=confirmed, disabled=disabled)
        refusal = answers.unsendable(password, email=email)
        return refusal or await self._users.update(identity_id, wanted, self._deadline())

    async def delete(self, provider_id: str) -> Done | Unknown:
        """See ``RemoteProvider.delete``."""
        return await self._users.delete(provider_id, self._deadline())

    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        """See ``RemoteProvider.page``. While users are deleted, others may be missed."""
        return await self._users.page(cursor, limit, self._deadline())

    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:  # noqa: ARG002 - the user is known by its username
        """See ``RemoteProvider.verify_password``. Of who is disabled it is unknown; who is locked out looks wrong."""
        deadline = self._deadline()
        user = await self._users.find(identity_id, deadline)
        if not isinstance(user, User):
            return Verified.ABSENT if isinstance(user, Absent) else Verified.UNKNOWN
        return await self._grants.verify(user.found.provider_id, user.username, password, deadline)

    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.sign_in``. ``Absent`` also for who is locked out, or not fully set up."""
        deadline = self._deadline()
        session = await self._grants.sign_in(email, password, deadline)
        said = await self._whose(session, deadline)
        if isinstance(session, Opened) and not isinstance(said, SignedIn):
            await self._grants.end(session, deadline)
        return said

    async def refresh(self, refresh_token: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.refresh``."""
        deadline = self._deadline()
        return await self._whose(await self._grants.refresh(refresh_token, deadline), deadline)

    async def whose(self, access_token: Secret) -> Found | Absent | Unknown:
        """See ``Sessions.whose``. The token must have the scope ``openid``, as those of ``sign_in`` have."""
        deadline = self._deadline()
        session = await self._tokens.session(access_token, deadline)
        if not isinstance(session, str):
            return session
        subject = await self._grants.subject(access_token, deadline)
        if not isinstance(subject, str):
            return subject
        user = await self._users.named(subject, deadline)
        if not isinstance(user, User):
            return user
        return Absent() if user.found.disabled else user.found

    async def sign_out(self, access_token: Secret) -> Done | Absent | Unknown:
        """See ``Sessions.sign_out``."""
        deadline = self._deadline()
        session = await self._tokens.session(access_token, deadline)
        return await self._users.end_session(session, deadline) if isinstance(session, str) else session

    async def close(self) -> None:
        """See ``RemoteProvider.close``."""
        await self._token.close()
        for http in (self._client, self._admin, self._sign_in):
            await http.close()

    async def check(self) -> None:
        """Ask whether the realm is as it must be. Raises ``ConfigurationInvalid`` where it surely is not.

        A server that does not answer is none of that: it may come, and is asked again before the first create.
        """
        await self._check(self._deadline())

    async def _check(self, deadline: float) -> None:
        ways = (self._client, self._admin, self._sign_in)
        self._checked = await check(ways, self._options, deadline)

    async def _unfit(self, deadline: float) -> Unknown | None:
        """Look again, once for all who wait; return why nothing can be made, ``None`` where the realm is as it must be.

        A realm that drops what it does not know takes a user and loses whose it is, without a word.
        """
        try:
            async with asyncio.timeout_at(deadline), self._checking:
                if not self._checked:
                    await self._check(deadline)
        except TimeoutError:
            return Unknown("the identity provider did not answer in time")
        except ConfigurationInvalid as error:
            return Unknown(f"the identity provider is not set up: {error.detail}")
        return None if self._checked else Unknown("the identity provider does not say whether it is set up")

    async def _whose(self, session: Opened | Absent | Unknown, deadline: float) -> SignedIn | Absent | Unknown:
        if not isinstance(session, Opened):
            return session
        user = await self._users.named(session.provider_id, deadline)
        return SignedIn(user.found, session.tokens) if isinstance(user, User) else user

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.timeout


async def open_keycloak(options: KeycloakOptions, proof_key: bytes, clock: Clock) -> KeycloakProvider:
    """Return a provider whose realm is as it must be, if it answers. Raises ``ConfigurationInvalid``."""
    provider = KeycloakProvider(options, proof_key, clock)
    try:
        await provider.check()
    except BaseException:
        await provider.close()
        raise
    return provider
