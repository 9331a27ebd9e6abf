"""Links in mails: made and sent on request, looked at, forgotten. What opening one does is in ``proving``."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Final, cast

from semel import canonical
from semel.canonical import Canonical
from semel.errors import LinkExpired, LinkUnknown, LinkUsed, SemelError
from semel.mail import MailKind
from semel.mail_tokens import NOBODYS, hash_of, id_in
from semel.model import Account, Identifier, Link, Record, Secret
from semel.patience import Patience
from semel.ports import Delete, Insert, Ref, Replace, Write
from semel.protocol import telling
from semel.protocol.engine import Engine
from semel.protocol.linking import Proving, link_for
from semel.states import LinkPurpose

__all__ = ["LinkBook", "expire_link", "refusal", "used", "without_links", "without_open_links"]

_MOST: Final = 10
"""Links that an account keeps, used ones included: they are read whenever all that it owns is."""
_KEPT: Final = timedelta(days=4)
"""For how long at least a link is kept that was opened: for longer than its mails are tried."""
_AGAIN: Final = 600.0
"""How many seconds lie at least between two mails with the link of a first proof that nobody asked for."""


class LinkBook:
    """All links of a store. Asking for one tells nobody whether there is an account."""

    def __init__(self, engine: Engine, proving: Proving, *, allow_special_use: bool) -> None:
        self._engine = engine
        self._proving = proving
        self._allow_special_use = allow_special_use

    def token_of(self, link: Link) -> Secret:
        """Return the token of a link, as its mail carries it."""
        return self._proving.token(link.id)

    def sign_up_token(self, registration: str) -> str:
        """Return what tells the session that signed up, by the id of its registration."""
        return self._proving.sign_up_token(registration)

    async def open(self, token: Secret) -> tuple[Link, Account]:
        """Return the link of a token, and whose it is, without using it.

        Raises ``LinkUnknown``, ``LinkUsed``, ``LinkExpired`` or a ``StoreError``.
        """
        link, account = await self.found(token)
        refused = refusal(link, account, self._engine)
        if refused is not None:
            raise refused
        return link, account

    async def found(self, token: Secret) -> tuple[Link, Account]:
        """Return the link of a token, and whose it is, whatever became of it. Raises ``LinkUnknown``."""
        link = await self._engine.store.get(Link, (id_in(token),))
        right = hmac.compare_digest(link.token_hash if link is not None else NOBODYS, hash_of(token))
        if link is None or not right:
            raise LinkUnknown
        account = await self._engine.store.get(Account, (link.account_id,))
        if account is not None and account.epoch != link.epoch:  # it may have been opened between the two reads
            link = await self._engine.store.get(Link, link.key) or link
        if account is None or link.id not in account.links:
            raise LinkUnknown
        return link, account

    async def recover(self, email: str) -> None:
        """Send whoever owns an email a link that leads to a new password; nothing where there is nobody.

        Raises ``InvalidInput`` for what is no email, ``OutcomeUnknown`` or a ``StoreError``.
        """
        account = await self._owner(self._checked(email))
        if account is not None and account.lets_in(self._engine.clock.now()):
            await self.send(account.id, LinkPurpose.RECOVER)

    async def resend(self, email: str) -> None:
        """Send the link of the first proof once more, where it is awaited. Raises what ``recover`` raises."""
        account = await self._owner(self._checked(email))
        if account is not None and account.awaits_proof:
            await self.send(account.id, LinkPurpose.VERIFY)

    async def told_again(self, email: str) -> None:
        """Tell whoever owns an email that somebody signed up with it again, once an hour at most.

        Whose proof is awaited is sent the link for it. Raises what ``recover`` raises.
        """
        account = await self._owner(self._checked(email))
        if account is None:
            return
        now = self._engine.clock.now()
        if account.awaits_proof:
            sent = [one.created_at for one in await self._links(account) if one.purpose is LinkPurpose.VERIFY]
            if not sent or max(sent) <= self._engine.later(-_AGAIN):
                await self.send(account.id, LinkPurpose.VERIFY)
            return
        kind = MailKind.SIGN_UP_AGAIN
        once = f"{account.id}/{telling.mail_of(kind)}/{now:%Y%m%dT%H}"
        await self._engine.put([telling.person_mail(kind, account.id, once, now, self._engine.options)])

    async def ask_for_email(self, account_id: str, email: str, epoch: int | None = None) -> None:
        """Send a link to an email that an account wants to have. Nothing is held before it is opened.

        ``epoch`` is the account's at which the caller was let in. An email that is the account's already, and that
        nobody has proved, is proved as at any first proof: by a new password, unless who opens the link has signed up.
        Raises what ``recover`` raises, or ``LinkUnknown`` where the account has gone, or is of a later epoch by now.
        """
        checked = self._checked(email)
        account = await self._engine.store.get(Account, (account_id,))
        own = account is not None and account.email_canonical == checked.name.value
        if account is not None and own and account.email_verified_at is None:
            await self.send(account_id, LinkPurpose.VERIFY, epoch=epoch)
        else:
            await self.send(account_id, LinkPurpose.CHANGE_EMAIL, checked, epoch)

    async def send(
        self, account_id: str, purpose: LinkPurpose, email: Canonical | None = None, epoch: int | None = None
    ) -> None:
        """Make a link and its mail; earlier ones for the same purpose end by that.

        It goes to the account's own email, or to the one that it is to prove. Raises ``LinkUnknown`` where the account
        has gone, has no email, or has another ``epoch`` than is given; ``OutcomeUnknown`` or a ``StoreError``.
        """
        with Patience(self._engine) as patience:
            while True:
                account = await self._engine.store.get(Account, (account_id,))
                if account is None or account.email is None or account.email_canonical is None:
                    raise LinkUnknown
                if epoch is not None and account.epoch != epoch:
                    raise LinkUnknown
                to = (email.name.value, email.shown) if email else (account.email_canonical, account.email)
                link = self._new(account, purpose, to)
                earlier = await self._earlier(account, purpose)
                kept = without_links(account, earlier)
                listed = Replace(kept.but(links=(*kept.links, link.id)))
                mail = telling.link_mail(link, link.created_at, self._engine.options)
                if (await patience.put([listed, Insert(link), mail, *map(Delete, earlier)])).done:
                    self._engine.events.emit("link.made", {"account": account_id, "purpose": purpose})
                    return
                await patience.pause()

    def _new(self, account: Account, purpose: LinkPurpose, to: tuple[str, str]) -> Link:
        now = self._engine.clock.now()
        return link_for(account, purpose, self._engine.ids.uuid(), to, now, self._proving)

    async def _earlier(self, account: Account, purpose: LinkPurpose) -> list[Link]:
        """Return links that end by a new one; one that did its work tells its second click so, and is kept."""
        links = await self._links(account)
        ended = [one for one in links if one.purpose is purpose and one.used_at is None]
        # One that changed the email goes last: the mail to the email of before is written from it.
        oldest = sorted(
            (one for one in links if one not in ended), key=lambda one: (one.former is not None, one.created_at)
        )
        return ended + oldest[: max(0, len(links) - len(ended) + 1 - _MOST)]

    async def _links(self, account: Account) -> list[Link]:
        found = await self._engine.store.get_many([Ref(Link, (one,)) for one in account.links])
        return [one for one in found if isinstance(one, Link)]

    def _checked(self, email: str) -> Canonical:
        return canonical.email(email, allow_special_use=self._allow_special_use)

    async def _owner(self, email: Canonical) -> Account | None:
        identifier = await self._engine.store.get(Identifier, email.name)
        if identifier is None or identifier.account_id is None:
            return None
        account = await self._engine.store.get(Account, (identifier.account_id,))
        return account if account is not None and account.email_canonical == email.name.value else None


def without_links(account: Account, links: list[Link]) -> Account:
    """Return the account without these links in its list."""
    gone = {one.id for one in links}
    return account.but(links=tuple(one for one in account.links if one not in gone))


async def without_open_links(engine: Engine, account: Account) -> tuple[Account, list[Link]]:
    """Return the account without its links that are still to be opened, and those: a new password ends them."""
    found = await engine.store.get_many([Ref(Link, (one,)) for one in account.links])
    still_open = [one for one in found if isinstance(one, Link) and one.used_at is None]
    return without_links(account, still_open), still_open


def used(link: Link, now: datetime, former: str | None = None) -> Link:
    """Return the link as opened. It is kept for a while, for the second click, and for the mail to the email before."""
    kept = max(link.expires_at, now + _KEPT)
    return link.but(used_at=now, former=former, due_at=kept)


def refusal(link: Link, account: Account, engine: Engine) -> SemelError | None:
    """Return why a link does nothing any more; ``None`` where it does."""
    if link.used_at is not None:
        return LinkUsed()
    of_before = link.purpose is not LinkPurpose.CHANGE_EMAIL and link.email != account.email_canonical
    dead = of_before or link.epoch != account.epoch or not account.lets_in(engine.clock.now())
    return LinkExpired() if dead or link.expires_at <= engine.clock.now() else None


async def expire_link(engine: Engine, record: Record) -> bool:
    """Forget a link whose time is over, with its place in the account's list."""
    link = cast("Link", record)
    account = await engine.store.get(Account, (link.account_id,))
    listed: list[Write] = [Replace(without_links(account, [link]))] if account is not None else []
    return (await engine.put([Delete(link), *listed])).done
