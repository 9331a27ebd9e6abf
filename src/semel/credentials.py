"""Setting a password: one commit with the embedded provider; at a remote one, one update at a time.

An update without an answer may land late, and no wish may hold a password. So the identity's record says, before the
update is sent, until when no other one is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from semel import passwords
from semel.errors import (
    AccountInactive,
    ChangeInProgress,
    EmailNotVerified,
    FieldError,
    InvalidCredentials,
    InvalidInput,
    LinkExpired,
    NotFound,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    StoreInconsistent,
)
from semel.links import used
from semel.mail import MailKind
from semel.model import Account, Identifier, Identity, Link, Secret, SessionFamily
from semel.patience import Patience
from semel.ports import Absent, Delete, Done, Ref, Rejected, RemoteProvider, Replace, Unknown, Verified, Write
from semel.protocol import telling
from semel.protocol.engine import Engine
from semel.sessions import Person, person_by_email
from semel.states import Door, IdentityState

__all__ = [
    "Passwords",
    "as_proved",
    "change_in_progress",
    "check_password",
    "check_unmarked",
    "ends_sessions",
    "mark",
    "proved_identifier",
    "raised",
    "send_password",
    "told",
]

_REQUIRED: Final = FieldError("password", "required", "Set a new password: somebody else may have signed up")


def check_password(password: Secret | None, account: Account, field: str = "password") -> Secret:
    """Return a password that an account may have. Raises ``InvalidInput``."""
    if password is None:
        raise InvalidInput(errors=(_REQUIRED,))
    faults = passwords.check(password, [name.value for name in account.identifiers])
    if faults:
        raise InvalidInput(errors=tuple(msgspec.structs.replace(one, field=field) for one in faults))
    return password


def raised(account: Account, now: datetime) -> Account:
    """Return the account with a new epoch: its sessions and the links of before are dead."""
    return account.but(epoch=account.epoch + 1, sessions=(), updated_at=now)


def as_proved(account: Account, now: datetime) -> Account:
    """Return the account as its email's proof leaves it: it awaits it no longer."""
    return account.but(email_verified_at=account.email_verified_at or now, due_at=None)


async def ends_sessions(engine: Engine, account: Account) -> list[Write]:
    """Return the writes that take away the sessions that a new epoch ends."""
    families = await engine.store.get_many([Ref(SessionFamily, (one,)) for one in account.sessions])
    return [Delete(one) for one in families if one is not None]


def change_in_progress(engine: Engine, until: datetime | None) -> ChangeInProgress:
    """Return what is told while an earlier change may still land."""
    wait = (until - engine.clock.now()).total_seconds() if until is not None else engine.options.wait
    return ChangeInProgress(retry_after=max(1.0, wait))


class Passwords:
    """Changes passwords for who knows the present one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def known(self, email: str, password: Secret) -> Person:
        """Return whose email and password these are.

        Raises ``InvalidCredentials`` for an unknown email and a wrong password alike, after the same work;
        ``AccountInactive`` or ``EmailNotVerified`` only after a right one; ``Overloaded``, ``ProviderUnavailable`` or a
        ``StoreError``.
        """
        person = await person_by_email(self._engine, email)
        if not await self._right(person, password) or person is None:
            self._engine.events.emit("sign_in.failed", {"door": Door.SIGN_IN, "reason": InvalidCredentials.code})
            raise InvalidCredentials
        if not person.account.lets_in(self._engine.clock.now()):
            raise AccountInactive
        if self._engine.awaits_proof(person.account):
            raise EmailNotVerified
        return person

    async def _right(self, person: Person | None, password: Secret) -> bool:
        engine = self._engine
        if engine.embedded is not None:
            return await engine.embedded.verify(person.identity if person else None, password)
        if engine.remote is None or person is None or person.identity.state is not IdentityState.OWNED:
            return False
        said = await engine.remote.verify_password(person.account.id, person.account.email_canonical, password)
        if said is Verified.UNKNOWN:
            raise ProviderUnavailable(retry_after=engine.options.provider_timeout)
        return said is Verified.RIGHT

    async def change(self, email: str, password: Secret, new: Secret) -> Account:
        """Set a new password for who knows the present one; all sessions end.

        Raises what ``known`` raises, ``InvalidInput``, ``ChangeInProgress``, ``ProviderRefused``, ``OutcomeUnknown``.
        """
        person = await self.known(email, password)
        check_password(new, person.account, "new_password")
        if self._engine.remote is not None:
            return await self._change_outside(self._engine.remote, person, new)
        ours: set[int] = set()
        with Patience(self._engine) as patience:
            while True:
                if person.identity.version in ours:
                    return person.account
                put, account = await self._put(person, new, patience)
                ours.add(put)
                if account is not None:
                    return account
                await patience.pause()
                person = await self._again(email, password, person, ours)

    async def _again(self, email: str, password: Secret, before: Person, ours: set[int]) -> Person:
        """Return the person as it is by now; where the credential is another, the password must be right again."""
        person = await person_by_email(self._engine, email)
        known = {before.identity.version, *ours}
        if person is None or person.identity.version not in known:
            return await self.known(email, password)
        return person

    async def _put(self, person: Person, new: Secret, patience: Patience) -> tuple[int, Account | None]:
        engine, now = self._engine, self._engine.clock.now()
        if engine.embedded is None:
            raise NotFound
        account = raised(person.account, now)
        identity = await engine.embedded.enrol(person.identity, new)
        ended = await ends_sessions(engine, person.account)
        put = await patience.put([Replace(account), Replace(identity), *ended, *told(engine, account, now)])
        return put.token, account.but(version=put.token) if put.done else None

    async def _change_outside(self, remote: RemoteProvider, person: Person, new: Secret) -> Account:
        engine = self._engine
        marked = mark(engine, person.identity)
        account = raised(person.account, engine.clock.now())
        if not (await engine.put([Replace(account), Replace(marked)])).done:
            raise change_in_progress(engine, None)
        return await send_password(engine, remote, marked, new)


def told(engine: Engine, account: Account, now: datetime) -> list[Write]:
    """Return what the outbox is told of a new password."""
    mail = telling.person_mail(MailKind.PASSWORD_CHANGED, account.id, engine.ids.uuid(), now, engine.options)
    return [telling.updated(account.id, engine.ids.uuid(), now, engine.options), mail]


def check_unmarked(engine: Engine, identity: Identity) -> None:
    """Raise ``ChangeInProgress`` while a new password may still land: who knows the old one must change nothing."""
    if identity.secret_until is not None and identity.secret_until > engine.clock.now():
        raise change_in_progress(engine, identity.secret_until)


def mark(engine: Engine, identity: Identity) -> Identity:
    """Return the identity as it stands while a password is being sent. Raises ``ChangeInProgress``."""
    check_unmarked(engine, identity)
    return identity.but(secret_until=engine.later(engine.options.removal_horizon))


async def send_password(
    engine: Engine, remote: RemoteProvider, marked: Identity, password: Secret, link: Link | None = None
) -> Account:
    """Send a password once, for an identity that a commit has marked; take the mark back once there is an answer.

    ``link`` proves the email, and is used, once the provider has taken the password: until then the one of before may
    be a stranger's, and must let nobody in. Raises ``ProviderRefused``; ``NotFound`` where the account has gone;
    ``StoreInconsistent`` where the provider has no such identity; ``OutcomeUnknown``, and then the mark stands.
    """
    confirmed = True if link is not None else None
    said = await remote.update(marked.id, password=password, confirmed=confirmed)
    if isinstance(said, Unknown):
        raise OutcomeUnknown(retry_after=engine.options.removal_horizon)
    done = isinstance(said, Done)
    account = await _settle(engine, marked, link if done else None, changed=done)
    if done:
        return account
    if isinstance(said, Absent):
        raise StoreInconsistent("The account has no identity at the identity provider")
    message = said.message if isinstance(said, Rejected) else "The identity provider refuses it"
    raise ProviderRefused(errors=(FieldError("password", "refused", message),))


async def _settle(engine: Engine, marked: Identity, link: Link | None, *, changed: bool) -> Account:
    refs = [Ref(Account, marked.key), Ref(Identity, marked.key), *([Ref(Link, link.key)] if link is not None else [])]
    with Patience(engine) as patience:
        while True:
            account, identity, *links = await engine.store.get_many(refs)
            if not isinstance(account, Account) or not isinstance(identity, Identity) or account.released:
                raise NotFound
            if identity.secret_until != marked.secret_until:
                return account
            now = engine.clock.now()
            after = as_proved(account, now) if link is not None else account
            writes: list[Write] = [Replace(after), Replace(identity.but(secret_until=None))]
            writes += [Replace(used(one, now)) for one in links if isinstance(one, Link)]
            writes += await proved_identifier(engine, account) if link is not None else []
            put = await patience.put([*writes, *(told(engine, account, now) if changed else [])])
            if put.done:
                return after.but(version=put.token)
            await patience.pause()


async def proved_identifier(engine: Engine, account: Account) -> list[Write]:
    """Return the write that says that the email is proved, where nobody has said so yet.

    Raises ``LinkExpired`` where the email is the account's no longer.
    """
    found = await engine.store.get(Identifier, ("email", account.email_canonical or ""))
    if found is None or found.account_id != account.id:
        raise LinkExpired
    return [] if found.proved else [Replace(found.but(proved=True))]
