"""Signing in at a remote provider, and self-heal: an identity that signs in and has no account is given one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from semel import canonical
from semel.errors import (
    AccountInactive,
    EmailNotVerified,
    FieldError,
    InvalidCredentials,
    OutcomeUnknown,
    ProviderUnavailable,
    SemelError,
    UserAlreadyExists,
)
from semel.model import Account, Identifier, Identity, Profile, Secret
from semel.ports import Absent, Found, Ref, Replace, Sessions, SignedIn, Tokens, Unknown, Verified
from semel.protocol import commits
from semel.protocol.commits import Ask
from semel.protocol.ending import past
from semel.protocol.engine import Engine, Outcome
from semel.states import Door, IdentityState

__all__ = ["SignInDoor"]

_TAKEN = FieldError("email", "already_registered", "Email is already registered with another sign-in")


class SignInDoor:
    """Sign-in at a remote provider: the sessions are the provider's; the account, the gate and self-heal are ours."""

    def __init__(self, engine: Engine, sessions: Sessions, *, allow_special_use: bool) -> None:
        self._engine = engine
        self._sessions = sessions
        self._allow_special_use = allow_special_use

    async def sign_in(self, email: str, password: Secret) -> tuple[Account, Tokens]:
        """Return the account and the provider's tokens; makes the account where the identity has none.

        Raises ``InvalidInput``, ``InvalidCredentials``, ``AccountInactive``, ``EmailNotVerified``,
        ``ProviderUnavailable``, ``UserAlreadyExists`` where the email belongs to an account with another identity,
        ``ApplicationRefused`` where the application takes no such account, ``RegistrationInFlight``, ``OutcomeUnknown``
        or a ``StoreError``.
        """
        engine = self._engine
        address = canonical.email(email, allow_special_use=self._allow_special_use).name.value
        deadline = engine.later(engine.options.wait)
        said, began = await self._at_provider(address, password)
        try:
            account = await self._entered(said.identity, deadline)
            if self._proved_since(account, began):
                await self._sessions.sign_out(Secret(said.tokens.access_token))
                said, _ = await self._at_provider(address, password)
                account = await self._entered(said.identity, deadline)
            return await self._seen(account), said.tokens
        except SemelError:
            await self._sessions.sign_out(Secret(said.tokens.access_token))  # the provider has let somebody in
            raise

    async def _entered(self, identity: Found, deadline: datetime) -> Account:
        for _ in range(self._engine.options.rounds):
            account = await self._account(identity, deadline)
            if account is not None:
                return account
        raise OutcomeUnknown(retry_after=self._engine.options.wait)

    async def _at_provider(self, address: str, password: Secret) -> tuple[SignedIn, datetime]:
        """Sign in at the provider; return also when that began."""
        began = self._engine.clock.now()
        said = await self._sessions.sign_in(address, password)
        if isinstance(said, Absent):
            self._engine.events.emit("sign_in.failed", {"door": Door.SIGN_IN})
            raise await self._refused(address, password)
        if isinstance(said, Unknown):
            raise ProviderUnavailable(retry_after=said.retry_after or self._engine.options.provider_timeout)
        return said, began

    def _proved_since(self, account: Account, began: datetime) -> bool:
        """Whether the password may be a stranger's that was right until the email's proof set another, by any clock."""
        proved = account.email_verified_at
        if proved is None or proved <= account.created_at:
            return False
        return proved + timedelta(seconds=self._engine.options.grace) >= began

    async def _refused(self, address: str, password: Secret) -> InvalidCredentials | EmailNotVerified:
        """Return what is told of a sign-in that the provider refused: it may refuse an unconfirmed email by itself."""
        engine = self._engine
        identifier = await engine.store.get(Identifier, ("email", address))
        account = await engine.store.get(Account, (identifier.account_id or "",)) if identifier is not None else None
        if account is None or engine.remote is None or not engine.awaits_proof(account):
            return InvalidCredentials()
        right = await engine.remote.verify_password(account.id, address, password) is Verified.RIGHT
        return EmailNotVerified() if right else InvalidCredentials()

    async def _account(self, identity: Found, deadline: datetime) -> Account | None:
        """Return the identity's account, made now if it has none. ``None``: look again."""
        refs = [Ref(Identity, (identity.identity_id,)), Ref(Account, (identity.identity_id,))]
        record, account = await self._engine.store.get_many(refs)
        if record is None:
            return await self._heal(identity, deadline)
        record = cast("Identity", record)
        if record.state is IdentityState.HELD:
            await past(self._engine, record.registration or "", deadline)
            return None
        if record.state is IdentityState.CONDEMNED:
            self._engine.events.emit("sign_in.failed", {"door": Door.SIGN_IN})
            raise InvalidCredentials
        if account is None:
            return None
        return self._let_in(cast("Account", account))

    def _let_in(self, account: Account) -> Account:
        if not account.lets_in(self._engine.clock.now()):
            raise AccountInactive
        if self._engine.awaits_proof(account):
            raise EmailNotVerified
        return account

    async def _heal(self, identity: Found, deadline: datetime) -> Account | None:
        """Make the account by the same commit as any door: the identity's record is what a removal cannot get past."""
        engine = self._engine
        if identity.email is None:
            raise InvalidCredentials
        address = canonical.email(identity.email, allow_special_use=self._allow_special_use)
        ask = Ask(
            registration=commits.healing(identity.identity_id),
            keyed=True,
            door=Door.SIGN_IN,
            fingerprint="",
            names=(address.name,),
            proved=False,
            profile=Profile(email=address.shown),
        )
        fresh = Identity(id=identity.identity_id, state=IdentityState.HELD, provider_id=identity.provider_id)
        account, writes = commits.whole(ask, fresh, None, engine.clock.now(), engine.options)
        put = await engine.put(writes)
        if put.done:
            engine.events.emit("account.healed", {"account": account.id})
            return self._let_in(account.but(version=put.token))
        if put.outcome is Outcome.REFUSED:
            await self._past_owner(address, identity, deadline)
        return None

    async def _past_owner(self, address: canonical.Canonical, identity: Found, deadline: datetime) -> None:
        taken = await self._engine.store.get(Identifier, address.name)
        if taken is None or taken.attempt_id == identity.identity_id:
            return
        if taken.owned:
            raise UserAlreadyExists(errors=(_TAKEN,))
        await past(self._engine, taken.registration, deadline)

    async def _seen(self, account: Account) -> Account:
        """Write the time of the sign-in; where somebody else writes the account, on top of theirs."""
        for _ in range(self._engine.options.rounds):
            seen = account.but(last_sign_in_at=self._engine.clock.now())
            put = await self._engine.put([Replace(seen)])
            if put.done:
                return seen.but(version=put.token)
            found = await self._engine.store.get(Account, account.key)
            if found is None:
                raise InvalidCredentials
            account = self._let_in(found)
        raise OutcomeUnknown(retry_after=self._engine.options.wait)
