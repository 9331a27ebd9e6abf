"""The part of the library's face that is a person's own: a proof, a recovery, another email, another password."""

from __future__ import annotations

from abc import ABC, abstractmethod

from semel.arguments import as_secret, check_texts
from semel.assembly import Parts
from semel.credentials import check_unmarked
from semel.model import Account, Link, Secret

__all__ = ["SelfService"]


class SelfService(ABC):
    """What people do for their own accounts. None of it tells a stranger who has an account."""

    @property
    @abstractmethod
    def parts(self) -> Parts:
        """What an open Semel works with."""

    async def link(self, token: str | Secret) -> Link:
        """Return the link of a token, without using it.

        Raises ``LinkUnknown``, ``LinkUsed``, ``LinkExpired`` or a ``StoreError``.
        """
        link, _ = await self.parts.links.open(as_secret("token", token))
        return link

    async def open_link(
        self, token: str | Secret, *, password: str | Secret | None = None, sign_up_token: str | Secret | None = None
    ) -> Account:
        """Do what a link is for, once. Raises what ``Proofs.open`` raises.

        ``password`` is the new one, where the link leads to one. ``sign_up_token`` (see ``sign_up_token``) spares it
        at the first proof.
        """
        secret = None if password is None else as_secret("password", password)
        signed_up = None if sign_up_token is None else as_secret("sign_up_token", sign_up_token)
        return await self.parts.proofs.open(as_secret("token", token), secret, signed_up)

    async def sign_up_token(self, registration_id: str) -> str:
        """Return what the session that signed up is given, and shows again when it opens the link of the first proof.

        Give it to who has signed up just now, and to nobody else.
        """
        return self.parts.links.sign_up_token(registration_id)

    async def recover(self, email: str) -> None:
        """Send whoever owns an email a link that leads to a new password. Raises what ``LinkBook.recover`` raises."""
        check_texts({"email": email})
        await self.parts.links.recover(email)

    async def resend_verification(self, email: str) -> None:
        """Send the link of the first proof once more. Raises what ``LinkBook.resend`` raises."""
        check_texts({"email": email})
        await self.parts.links.resend(email)

    async def tell_owner(self, email: str) -> None:
        """Tell whoever owns an email that somebody signed up with it again. Raises what ``recover`` raises."""
        check_texts({"email": email})
        await self.parts.links.told_again(email)

    async def change_password(self, email: str, password: str | Secret, new_password: str | Secret) -> Account:
        """Set a new password for who knows the present one; all sessions end.

        Raises what ``Passwords.change`` raises.
        """
        check_texts({"email": email})
        present, new = as_secret("password", password), as_secret("new_password", new_password)
        return await self.parts.passwords.change(email, present, new)

    async def change_email(self, email: str, password: str | Secret, new_email: str) -> None:
        """Send a link to the email that an account is to have, for who knows its password.

        Nothing is held before it is opened, and whether somebody has that email is told to its owner alone. Raises what
        ``Passwords.known`` raises, ``InvalidInput``, ``ChangeInProgress`` while a new password may still land,
        ``LinkUnknown`` where another was set meanwhile, ``OutcomeUnknown`` or a ``StoreError``.
        """
        check_texts({"email": email, "new_email": new_email})
        person = await self.parts.passwords.known(email, as_secret("password", password))
        check_unmarked(self.parts.engine, person.identity)
        await self.parts.links.ask_for_email(person.account.id, new_email, person.account.epoch)
