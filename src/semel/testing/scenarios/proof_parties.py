"""Who meets around the proof of an email: people who open links, who change email or password, who switch off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Final

from semel import canonical
from semel.credentials import Passwords
from semel.errors import SemelError
from semel.identity_updates import Change, update_identity
from semel.keys import Keys
from semel.links import LinkBook, expire_link
from semel.model import Account, Link, Name, Secret
from semel.protocol.engine import Engine
from semel.protocol.linking import Proving
from semel.proving import Proofs
from semel.sessions import SessionKeeper, SessionOptions
from semel.states import LinkPurpose
from semel.stores.memory import MemoryStore
from semel.testing.clock import SequentialIds, VirtualClock
from semel.testing.explorer.runs import Make, Ports
from semel.testing.scenarios.parties import EXPIRY, Answer, Setting, finished, upkeep
from semel.upkeep import BUILT_IN, Duty
from semel.upkeep.unproved import expire_unproved

__all__ = [
    "PROVING",
    "all_upkeep",
    "asking",
    "changing",
    "changing_again",
    "entering",
    "expiring",
    "new_password",
    "opening",
    "switching",
    "taking_over",
    "trying",
]

PROVING: Final = Proving(key=b"of the explorer's links", required=True)
_PROTOCOLS: Final = (*(duty for duty in BUILT_IN if duty.name != "forget_event"), EXPIRY)
"""What is done with the outbox has scenarios of its own."""


class Desk:
    """What one process works with."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.book = LinkBook(engine, PROVING, allow_special_use=False)
        self.proofs = Proofs(engine, self.book)

    async def open(self, link: str, password: Secret | None, sign_up_token: Secret | None) -> Account:
        """Open a link by its id: whoever has its mail has its token."""
        return await self.proofs.open(PROVING.token(link), password, sign_up_token)


def opening(
    setting: Setting, link: str, *, password: Secret | None = None, signed_up: tuple[str, Secret] | None = None
) -> Make:
    """Somebody who opens a link that proves an account's own email.

    ``password`` is the new one; ``signed_up`` the registration by whose session it is opened, and that one's password.
    """
    token = Secret(PROVING.sign_up_token(signed_up[0])) if signed_up is not None else None
    known = signed_up[1] if signed_up is not None else password

    async def open_it(desk: Desk) -> Answer:
        account = await desk.open(link, password, token)
        email = Name("email", account.email_canonical or "")
        return Answer(account_id=account.id, password=known, asked=(email,), proved=True, link=link)

    return _at_a_desk(setting, open_it)


def changing(setting: Setting, account_id: str, link: str, emails: Sequence[str], *, last: bool = True) -> Make:
    """Somebody who opens the link of a change of the email, then asks for the next one and opens that link, and so on.

    Of a change without an answer nothing is known: then no other is asked for. ``last``: nobody else changes it.
    """

    async def change(desk: Desk) -> Answer:
        opened = link
        await desk.open(opened, None, None)
        for email in emails[1:]:
            opened = await _asked(desk, account_id, email)
            await desk.open(opened, None, None)
        asked = (Name("email", emails[-1]),) if last else ()
        return Answer(account_id=account_id, asked=asked, proved=True, link=opened)

    return _at_a_desk(setting, change)


def changing_again(setting: Setting, account_id: str, email: str) -> Make:
    """Somebody who asks for another email and opens that link, whatever change there is already."""

    async def change(desk: Desk) -> Answer:
        link = await _asked(desk, account_id, email)
        await desk.open(link, None, None)
        return Answer(account_id=account_id, proved=True, link=link)

    return _at_a_desk(setting, change)


async def _asked(desk: Desk, account_id: str, email: str) -> str:
    """Ask for a link to an email; return its id."""
    await desk.book.ask_for_email(account_id, email)
    account = await desk.engine.store.get(Account, (account_id,))
    return account.links[-1] if account is not None and account.links else ""


def asking(setting: Setting, account_id: str, purpose: LinkPurpose, email: str | None = None) -> Make:
    """Somebody who asks for a link, which ends an earlier one."""

    async def ask(desk: Desk) -> Answer:
        to = canonical.email(email, allow_special_use=False) if email is not None else None
        await desk.book.send(account_id, purpose, to)
        return Answer(did="asked")

    return _at_a_desk(setting, ask)


def entering(setting: Setting, email: str, password: Secret) -> Make:
    """Somebody who signs in with the embedded provider."""
    keys = _keys()

    async def enter(desk: Desk) -> Answer:
        session = await SessionKeeper(desk.engine, keys, SessionOptions()).enter(email, password)
        return Answer(account_id=session.account.id, password=password)

    return _at_a_desk(setting, enter)


@cache
def _keys() -> Keys:
    clock = VirtualClock()
    keys: Keys = finished(Keys.open(MemoryStore(clock.now), clock, SequentialIds("keys")))
    return keys


def taking_over(setting: Setting, email: str, password: Secret, new: str) -> Make:
    """Somebody who knows the password, asks for an email of their own, and opens that link."""

    async def take(desk: Desk) -> Answer:
        account = (await Passwords(desk.engine).known(email, password)).account
        to = canonical.email(new, allow_special_use=False)
        await desk.book.ask_for_email(account.id, to.shown, account.epoch)
        link = (await desk.engine.store.get(Account, account.key) or account).links[-1]
        await desk.open(link, None, None)
        return Answer(account_id=account.id, password=password, asked=(to.name,), proved=True, link=link)

    return _at_a_desk(setting, take)


def new_password(setting: Setting, email: str, present: Secret, new: Secret) -> Make:
    """Somebody who knows the password and sets another."""

    async def change(desk: Desk) -> Answer:
        account = await Passwords(desk.engine).change(email, present, new)
        return Answer(account_id=account.id, password=new)

    return _at_a_desk(setting, change)


def switching(setting: Setting, account_id: str, *states: str) -> Make:
    """An administrator who switches an account ``on`` or ``off``, one after the other."""

    async def switch(desk: Desk) -> Answer:
        for state in states:
            await update_identity(desk.engine, account_id, Change(is_active=state == "on"))
        return Answer(did=states[-1])

    return _at_a_desk(setting, switch)


def trying(first: Make, then: Make) -> Make:
    """Somebody who tries again, otherwise, where nothing is known of the first try."""

    async def party(ports: Ports) -> Answer:
        answer: Answer = await first(ports)
        again = answer.code in {"outcome_unknown", "change_in_progress"}
        return await then(ports) if again else answer

    return party


def expiring(setting: Setting) -> Make:
    """A pass of the one duty that ends accounts whose email nobody proved."""

    async def party(ports: Ports) -> Answer:
        answer: Answer = await upkeep(setting, (Duty("expire_unproved", Account, expire_unproved),))(ports)
        return answer

    return party


def all_upkeep(setting: Setting) -> Make:
    """A pass of all duties."""

    async def party(ports: Ports) -> Answer:
        proofs = (Duty("expire_unproved", Account, expire_unproved), Duty("expire_link", Link, expire_link))
        answer: Answer = await upkeep(setting, (*_PROTOCOLS, *proofs))(ports)
        return answer

    return party


def _at_a_desk(setting: Setting, does: Callable[[Desk], Awaitable[Answer]]) -> Make:
    async def party(ports: Ports) -> Answer:
        try:
            return await does(Desk(setting.engine_over(ports)))
        except SemelError as error:
            return Answer(code=error.code)

    return party
