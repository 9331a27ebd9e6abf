"""Who may administer: an account with an administrator's role, by its access token; an API key, within its scopes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from semel.api_keys import ApiKeyBook, Scope, is_api_key
from semel.errors import Forbidden, InvalidToken
from semel.model import Account, Secret
from semel.remote_sessions import RemoteSessions
from semel.sessions import SessionKeeper

__all__ = ["Caller", "Gate"]

_ALL: Final = frozenset(Scope)


class Caller(msgspec.Struct, frozen=True):
    """Who administers, and what that may be."""

    id: str
    """The account's id, or the API key's."""
    kind: str
    """``account`` or ``key``."""
    scopes: frozenset[str]
    epoch: int | None = None
    """The account's, when it was let in."""

    @property
    def realm(self) -> str:
        """The scope of the caller's idempotency keys: those of different callers never meet."""
        return f"{self.kind}/{self.id}"

    def check(self, *scopes: str) -> None:
        """Raise ``Forbidden`` where a scope is missing."""
        if not self.scopes.issuperset(scopes):
            raise Forbidden(f"This needs an API key with the scope {' and '.join(scopes)}, or an administrator")


class Gate:
    """Lets administrators in, and nobody else."""

    def __init__(
        self, sessions: SessionKeeper | RemoteSessions | None, api_keys: ApiKeyBook, admin_roles: Iterable[str]
    ) -> None:
        self._sessions = sessions
        self._api_keys = api_keys
        self._admin_roles = frozenset(admin_roles)

    async def caller(self, token: Secret, needs: Scope) -> Caller:
        """Return whose token it is. Raises ``InvalidToken``, ``Forbidden`` or a ``StoreError``."""
        caller = await self._by_key(token) if is_api_key(token) else await self._by_account(token)
        caller.check(needs)
        return caller

    async def _by_key(self, token: Secret) -> Caller:
        key = await self._api_keys.open(token)
        return Caller(key.id, "key", frozenset(key.scopes))

    async def _by_account(self, token: Secret) -> Caller:
        if self._sessions is None:
            raise InvalidToken("The identity provider signs nobody in here: use an API key")
        account = await self._sessions.authenticate(token)
        return Caller(account.id, "account", _ALL if self.administers(account) else frozenset(), account.epoch)

    def administers(self, account: Account) -> bool:
        """Tell whether an account is an administrator's."""
        return self.is_an_administrators((account.role or "", *account.roles))

    def is_an_administrators(self, roles: Iterable[str | None]) -> bool:
        """Tell whether one of the roles makes an account an administrator's."""
        return not self._admin_roles.isdisjoint(role for role in roles if role is not None)
