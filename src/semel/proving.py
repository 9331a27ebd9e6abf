"""Opening a link: what proves an email, by one conditional commit. Whoever comes second is told so.

Proof beats possession (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022): a stranger may have
signed up with the email first. So who opens the link of a first proof without the session that signed up sets a new
password, and the stranger's dies with its sessions.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from semel.credentials import (
    as_proved,
    change_in_progress,
    check_password,
    check_unmarked,
    ends_sessions,
    mark,
    proved_identifier,
    raised,
    send_password,
    told,
)
from semel.email_changes import Claim, claimed, finish_change, moved, pended
from semel.errors import LinkExpired, LinkUsed, OutcomeUnknown, StoreInconsistent, StoreRejected
from semel.links import LinkBook, refusal, used, without_links
from semel.model import Account, ApiKey, Identifier, Identity, Link, Name, Secret
from semel.patience import Patience
from semel.ports import Delete, Exists, Ref, RemoteProvider, Replace, Write
from semel.protocol import commits, telling
from semel.protocol.ending import past
from semel.protocol.engine import Engine
from semel.states import IdentityState, LinkPurpose
from semel.upkeep.wishes import send

__all__ = ["Proofs"]

_PAGE = 100
_TRIES = 2
"""How often the provider is asked for an email: what had it may have gone by the first."""


class _Step(msgspec.Struct, frozen=True):
    """What opening a link writes, and what its account will be."""

    after: Account
    writes: list[Write]
    marked: Identity | None = None
    """The identity, where the provider is asked next."""


Make: TypeAlias = Callable[[Link, Account], Awaitable[_Step | None]]


class Proofs:
    """Opens links. Safe with any number of servers over one store: each link is used once."""

    def __init__(self, engine: Engine, book: LinkBook) -> None:
        self._engine = engine
        self._book = book

    async def open(self, token: Secret, password: Secret | None = None, sign_up_token: Secret | None = None) -> Account:
        """Do what the link is for, once, and return the account as it is then.

        ``password`` is the new one, where the link leads to one; ``sign_up_token`` what the sign-up was answered with.
        Raises ``LinkUnknown``, ``LinkUsed``, ``LinkExpired``, ``InvalidInput`` where a password is missing or not good
        enough, ``ChangeInProgress``, ``UserAlreadyExists`` where another account has proved the email by now,
        ``ProviderRefused``, ``Overloaded``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        link, account = await self._book.open(token)
        opening = _Opening(self._engine, self._book, token)
        if link.purpose is LinkPurpose.CHANGE_EMAIL:
            return await opening.change_email()
        if link.purpose is LinkPurpose.VERIFY and password is None and self._signed_up(account, sign_up_token):
            return await opening.prove()
        return await opening.set_password(check_password(password, account))

    def _signed_up(self, account: Account, sign_up_token: Secret | None) -> bool:
        made = self._book.sign_up_token(account.registration)
        given = sign_up_token.reveal() if sign_up_token is not None else ""
        return hmac.compare_digest(made.encode(), given.encode("utf-8", "surrogatepass"))


class _Opening:
    """One request that opens a link."""

    def __init__(self, engine: Engine, book: LinkBook, token: Secret) -> None:
        self._engine = engine
        self._book = book
        self._token = token
        self._credential: str | None = None
        self._stays = False
        self._deadline = engine.later(engine.options.wait)

    async def run(self, make: Make) -> _Step:
        """Commit what ``make`` says, for the link and the account as they are at each try."""
        ours: dict[int, _Step] = {}
        with Patience(self._engine) as patience:
            while True:
                link, account = await self._book.found(self._token)
                if link.version in ours:
                    return ours[link.version]
                self._check(link, account, patience)
                await self._check_settled(account)
                step = await make(link, account)
                if step is not None:
                    done = await self._put(step, patience, ours)
                    if done is not None:
                        self._engine.events.emit("link.opened", {"account": account.id, "purpose": link.purpose})
                        return done
                await patience.pause()

    def _check(self, link: Link, account: Account, patience: Patience) -> None:
        refused = refusal(link, account, self._engine)
        if refused is not None and patience.doubt and not isinstance(refused, LinkUsed):
            raise OutcomeUnknown  # a commit of ours may still land
        if refused is not None:
            raise refused

    async def _check_settled(self, account: Account) -> None:
        """Raise ``ChangeInProgress`` while the provider is being asked for another email: that may end either way."""
        if account.pending_email is not None:
            raise change_in_progress(self._engine, (await self._identity(account)).wanted_until)

    async def _put(self, step: _Step, patience: Patience, ours: dict[int, _Step]) -> _Step | None:
        try:
            put = await patience.put(step.writes)
        except StoreRejected:
            if self._stays:
                raise
            self._stays = True  # the application's own rows may refer to the account that ends
            return None
        marked = step.marked.but(version=put.token) if step.marked is not None else None
        at_rest = _Step(step.after.but(version=put.token), step.writes, marked)
        ours[put.token] = at_rest
        return at_rest if put.done else None

    async def prove(self) -> Account:
        """The first proof by the session that signed up; a remote provider comes to say that the email is confirmed."""
        step = await self.run(self._proved)
        if step.marked is not None:
            await send(self._engine, step.marked)  # whatever it answers, the durable wish asks again
        return step.after

    async def _proved(self, link: Link, account: Account) -> _Step:
        now = self._engine.clock.now()
        identity: Identity | None = None
        after = as_proved(raised(account, now), now)
        writes = [
            Replace(used(link, now)),
            *await ends_sessions(self._engine, account),
            *await proved_identifier(self._engine, account),
        ]
        after, ended = await self._without_others(after, link, drops=())
        if self._engine.remote is not None:
            identity = await self._identity(account)
            check_unmarked(self._engine, identity)  # a new password of this very link may be on its way
            identity = commits.wished(identity, now, self._engine.options, confirmed=True)
            writes.append(Replace(identity))
        told = telling.updated(account.id, self._engine.ids.uuid(), now, self._engine.options)
        return _Step(after, [Replace(after), *writes, *ended, told], identity)

    async def set_password(self, password: Secret) -> Account:
        """Set the new password; the email is proved by that."""
        if self._engine.remote is None:

            async def make(link: Link, account: Account) -> _Step:
                return await self._with_password(link, account, password)

            return (await self.run(make)).after
        return await self._set_outside(self._engine.remote, password)

    async def _with_password(self, link: Link, account: Account, password: Secret) -> _Step:
        engine, now = self._engine, self._engine.clock.now()
        identity = await self._identity(account)
        identity = await self._enrolled(identity, password)
        after, writes = await self._taken_over(link, account, now)
        after = as_proved(after, now)
        writes += [Replace(identity), Replace(used(link, now)), *told(engine, account, now)]
        return _Step(after, [Replace(after), *await proved_identifier(engine, account), *writes])

    async def _set_outside(self, remote: RemoteProvider, password: Secret) -> Account:
        """At a remote provider the link proves the email, and is used, once the provider has taken the password."""

        async def make(link: Link, account: Account) -> _Step:
            marked = mark(self._engine, await self._identity(account))
            after, writes = await self._taken_over(link, account, self._engine.clock.now())
            goes_on = link.but(epoch=after.epoch)
            return _Step(after, [Replace(after), Replace(marked), Replace(goes_on), *writes], marked)

        step = await self.run(make)
        if step.marked is None:
            raise LinkExpired
        link, _ = await self._book.found(self._token)
        return await send_password(self._engine, remote, step.marked, password, link)

    async def _identity(self, account: Account) -> Identity:
        identity = await self._engine.store.get(Identity, account.key)
        if identity is None or identity.state is not IdentityState.OWNED:
            raise StoreInconsistent("The account has no identity of its own")
        return identity

    async def _enrolled(self, identity: Identity, password: Secret) -> Identity:
        """Give the identity its credential; the password is hashed once for a request."""
        if self._credential is None and self._engine.embedded is not None:
            self._credential = (await self._engine.embedded.enrol(identity, password)).credential
        return identity.but(credential=self._credential)

    async def _taken_over(self, link: Link, account: Account, now: datetime) -> tuple[Account, list[Write]]:
        """Return the account as it goes to who proves its email by a new password, and what else is written for that.

        One that was never proved may be a stranger's: what else the stranger gave it to be known by, or to be let in
        with, goes. A username lets nobody in; it goes with a recovery alone.
        """
        kept = {"email"} if link.purpose is LinkPurpose.RECOVER else {"email", "username"}
        never = account.email_verified_at is None and link.purpose is not LinkPurpose.SET_PASSWORD
        drops = tuple(one for one in account.identifiers if never and one.kind not in kept)
        writes = await ends_sessions(self._engine, account)
        after, ended = await self._without_others(raised(account, now), link, drops)
        if never:
            ended += await self._revoked_keys(account, now)
        return after, [*writes, *ended]

    async def _without_others(
        self, account: Account, link: Link, drops: tuple[Name, ...]
    ) -> tuple[Account, list[Write]]:
        """Return the account without its other open links, which the new epoch ends, and without these identifiers."""
        refs = [*(Ref(Link, (one,)) for one in account.links), *(Ref(Identifier, one) for one in drops)]
        found = await self._engine.store.get_many(refs)
        links = [one for one in found if isinstance(one, Link) and one.id != link.id and one.used_at is None]
        names = [one for one in found if isinstance(one, Identifier) and one.account_id == account.id]
        after = without_links(account, links)
        after = after.but(identifiers=tuple(one for one in account.identifiers if one not in drops))
        if any(one.kind == "username" for one in drops):
            after = after.but(username=None, username_canonical=None)
        return after, [*map(Delete, links), *map(Delete, names)]

    async def _revoked_keys(self, account: Account, now: datetime) -> list[Write]:
        """Return the writes that take back what a stranger may have made with the account: API keys, and their keys."""
        keys: dict[str, ApiKey] = {}
        cursor: str | None = None
        while True:
            page = await self._engine.store.page(ApiKey, cursor, _PAGE)
            keys.update({one.id: one for one in page.records if isinstance(one, ApiKey)})
            cursor = page.cursor
            if cursor is None:
                break
        makers, found = {account.id}, [account.id]
        while found:
            found = [one.id for one in keys.values() if one.created_by in found and one.id not in makers]
            makers.update(found)
        made = [one for one in keys.values() if one.id in makers and one.revoked_at is None]
        return [Replace(one.but(revoked_at=now)) for one in made]

    async def change_email(self) -> Account:
        """Give the account the email that the link proves."""
        step = await self.run(self._moving)
        if step.marked is None:
            return step.after
        for _ in range(_TRIES):
            said = await send(self._engine, step.marked)
            ended = await finish_change(self._engine, step.after, step.marked, said)
            if ended is not None:
                return ended
            if not isinstance(said, Exists):
                break
        now = await self._engine.store.get(Account, step.after.key)
        if now is not None and (now.email_canonical, now.pending_email) == (step.marked.wanted_email, None):
            return now  # upkeep was faster
        raise OutcomeUnknown(retry_after=2 * self._engine.options.provider_timeout)

    async def _moving(self, link: Link, account: Account) -> _Step | None:
        name = Name("email", link.email)
        claim = await claimed(self._engine, account, name)
        if isinstance(claim, str):
            await past(self._engine, claim, self._deadline)
            return None
        if claim is None:
            return None
        if self._engine.remote is not None:
            return await self._pending(link, account, claim)
        return await self._moved(link, account, claim)

    async def _moved(self, link: Link, account: Account, claim: Claim) -> _Step:
        engine, now = self._engine, self._engine.clock.now()
        name = claim.identifier.name
        old = await engine.store.get(Identifier, ("email", account.email_canonical or ""))
        after = as_proved(raised(moved(account, name, link.shown), now), now)
        after, ended = await self._without_others(after, link, drops=())
        opened = used(link, now, account.email)
        writes = [Replace(after), Replace(opened), *claim.writes(engine, stays=self._stays), *ended]
        writes += await ends_sessions(engine, account)
        if old is not None and old.account_id == account.id and old.name != name:
            writes += [Delete(old), telling.former_mail(opened, now, engine.options)]
        return _Step(after, [*writes, telling.updated(account.id, engine.ids.uuid(), now, engine.options)])

    async def _pending(self, link: Link, account: Account, claim: Claim) -> _Step:
        engine, now = self._engine, self._engine.clock.now()
        name = claim.identifier.name
        if name.value == account.email_canonical:
            return await self._moved(link, account, claim)
        after, identity = pended(account, await self._identity(account), name, link.shown, engine)
        opened = used(link, now, account.email)
        writes = [Replace(after), Replace(identity), Replace(opened), *claim.writes(engine, stays=self._stays)]
        return _Step(after, writes, identity)
