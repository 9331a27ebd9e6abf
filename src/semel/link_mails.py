"""The mails of links and of what became of them, written from the records as they stand when they are sent."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from semel.errors import ConfigurationInvalid
from semel.links import LinkBook
from semel.mail import Mail, MailKind
from semel.mails import About, Templates
from semel.model import Account, Link, OutboxEvent
from semel.ports import Ref
from semel.protocol.engine import Engine
from semel.protocol.telling import mail_of

__all__ = ["KINDS", "LinkMails"]

_WITH_LINK: Final = frozenset({MailKind.VERIFY_EMAIL, MailKind.RECOVER, MailKind.SET_PASSWORD, MailKind.CHANGE_EMAIL})
_OWN: Final = frozenset({MailKind.PASSWORD_CHANGED, MailKind.SIGN_UP_AGAIN})
KINDS: Final = tuple(map(mail_of, (*_WITH_LINK, *_OWN, MailKind.EMAIL_CHANGED)))
"""The kinds of events whose mails are written here."""


class LinkMails:
    """Writes mails (``couriers.mails.MailWriter``). ``leads_to`` is what their links begin with."""

    def __init__(self, engine: Engine, book: LinkBook, templates: Templates, leads_to: str | None) -> None:
        self._engine = engine
        self._book = book
        self._templates = templates
        self._leads_to = leads_to

    async def mail_for(self, event: OutboxEvent) -> Mail | None:
        """Return the mail; ``None`` where its link is no longer good, or its account has gone.

        Raises ``ConfigurationInvalid`` or a ``StoreError``.
        """
        refs = [Ref(Account, (event.account_id,)), Ref(Link, (event.subject or "",))]
        account, link = await self._engine.store.get_many(refs)
        if not isinstance(account, Account):
            return None
        kind = MailKind(event.kind.removeprefix("mail."))
        if kind in _OWN:
            return self._written(event, kind, account.email, About(name=account.full_name))
        if not isinstance(link, Link):
            return None
        if kind is MailKind.EMAIL_CHANGED:
            return self._written(event, kind, link.former, About(name=account.full_name))
        return self._with_link(event, kind, link, account)

    def _with_link(self, event: OutboxEvent, kind: MailKind, link: Link, account: Account) -> Mail | None:
        good = link.used_at is None and self._engine.clock.now() < link.expires_at and link.epoch == account.epoch
        if not good or not account.lets_in(self._engine.clock.now()):
            return None
        if self._leads_to is None:
            raise ConfigurationInvalid("SEMEL_PUBLIC_URL is missing: links in mails must lead somewhere")
        # A name that a stranger gave is not shown to whoever proves the email for the first time.
        name = account.full_name if account.email_verified_at is not None else None
        token = quote(self._book.token_of(link).reveal(), safe="")
        about = About(link=f"{self._leads_to}/links/{token}", expires_at=link.expires_at, name=name)
        return self._written(event, kind, link.shown, about)

    def _written(self, event: OutboxEvent, kind: MailKind, to: str | None, about: About) -> Mail | None:
        if to is None:
            return None
        said = self._templates.render(kind, about)
        return Mail(id=event.delivery_id, kind=kind, to=to, subject=said.subject, text=said.text, html=said.html)
