"""Sessions of a remote provider: they are its own and passed through. Semel adds the account and the gate."""

from __future__ import annotations

from semel.errors import AccountInactive, EmailNotVerified, InvalidToken, ProviderUnavailable, SemelError
from semel.healing import SignInDoor
from semel.model import Account, Secret
from semel.ports import Absent, Sessions, Tokens, Unknown
from semel.protocol.engine import Engine

__all__ = ["RemoteSessions"]


class RemoteSessions:
    """Signs people in at a remote provider, with the methods of ``SessionKeeper``."""

    def __init__(self, engine: Engine, sessions: Sessions, *, allow_special_use: bool) -> None:
        self._engine = engine
        self._sessions = sessions
        self._door = SignInDoor(engine, sessions, allow_special_use=allow_special_use)

    async def sign_in(self, email: str, password: Secret) -> tuple[Account, Tokens]:
        """See ``SignInDoor.sign_in``."""
        return await self._door.sign_in(email, password)

    async def refresh(self, token: Secret) -> tuple[Account, Tokens]:
        """Exchange a refresh token at the provider.

        Raises ``InvalidToken`` also where the identity has no account: signing in makes it; ``AccountInactive``,
        ``EmailNotVerified``, ``ProviderUnavailable`` or a ``StoreError``.
        """
        said = await self._sessions.refresh(token)
        if isinstance(said, Unknown):
            raise self._unavailable(said)
        if isinstance(said, Absent):
            raise InvalidToken
        try:
            return await self._owner(said.identity.identity_id), said.tokens
        except SemelError:
            await self._sessions.sign_out(Secret(said.tokens.access_token))  # nobody else has these tokens
            raise

    async def _owner(self, account_id: str) -> Account:
        account = await self._engine.store.get(Account, (account_id,))
        if account is None:
            raise InvalidToken
        if not account.lets_in(self._engine.clock.now()):
            raise AccountInactive
        if self._engine.awaits_proof(account):
            raise EmailNotVerified
        return account

    async def sign_out(self, access_token: Secret) -> None:
        """End the session at the provider.

        Raises ``InvalidToken`` where the token ends nothing, or ``ProviderUnavailable``.
        """
        said = await self._sessions.sign_out(access_token)
        if isinstance(said, Absent):
            raise InvalidToken
        if isinstance(said, Unknown):
            raise self._unavailable(said)

    async def authenticate(self, access_token: Secret) -> Account:
        """Return the account that the provider's token speaks for: it is asked each time.

        Raises ``InvalidToken`` also where the account is switched off or awaits its proof, ``ProviderUnavailable`` or a
        ``StoreError``.
        """
        said = await self._sessions.whose(access_token)
        if isinstance(said, Unknown):
            raise self._unavailable(said)
        account = None
        if not isinstance(said, Absent):
            account = await self._engine.store.get(Account, (said.identity_id,))
        if account is None or not account.lets_in(self._engine.clock.now()) or self._engine.awaits_proof(account):
            raise InvalidToken
        return account

    def _unavailable(self, said: Unknown) -> ProviderUnavailable:
        return ProviderUnavailable(retry_after=said.retry_after or self._engine.options.provider_timeout)
