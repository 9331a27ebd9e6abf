"""Every door in one table: how an intent is sent, what is answered, and which records an account from there has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from httpx import Response

from semel import Door, Invite
from semel.errors import SemelError
from semel.intents import federated_intent, federated_key
from semel.mail import MailKind
from semel.protocol.engine import Registered
from semel.protocol.telling import mail_of
from tests.doors.house import House, Server
from tests.gotrue.tokens import key as gotrue_key

ISSUER = "https://issuer.example.org"
_IN_2100 = 4_102_444_800


@dataclass(frozen=True)
class Wanted:
    """One intent to have an account. ``word`` stands in everything that is said of the person, and nowhere else."""

    word: str
    key: str
    password: str = field(repr=False)
    email: str
    full_name: str
    username: str
    token: str = field(default="", repr=False)
    """Of the invitation, at that door."""

    def again(self, number: int = 0) -> Wanted:
        """Return another intent of the same person: another key, other words."""
        return replace(
            self, key=str(uuid4()), full_name=f"{self.full_name} {number}", username=f"{self.username}{number}"
        )

    @property
    def head(self) -> dict[str, str]:
        return {"Idempotency-Key": f'"{self.key}"'}


class Answer(NamedTuple):
    """What a caller is told: the status over HTTP, the code of an error and the fields that it names, the account."""

    status: int
    code: str | None = None
    fields: frozenset[str] = frozenset()
    account_id: str | None = None


def _email() -> frozenset[str]:
    return frozenset({"email"})


REUSED = Answer(422, "idempotency_key_reused")
WITHDRAWN = Answer(410, "registration_withdrawn")
TAKEN = Answer(409, "user_already_exists", _email())
USED = Answer(409, "invitation_used")

Send = Callable[[Server, Wanted], Awaitable[Answer]]


async def _as_is(_: House, wanted: Wanted) -> Wanted:
    return wanted


@dataclass(frozen=True)
class Row:
    """A door. A success has the status ``made``, and is the same for the same key.

    ``others`` is what those are told who lose a race under other keys, ``reused`` what the same key with other words
    is; ``None``: the account, as it is. ``owns`` are the kinds of identifier, ``more`` what its account has besides
    what all have.
    """

    name: str
    door: Door
    send: Send
    others: Answer | None = TAKEN
    reused: Answer | None = REUSED
    owns: tuple[str, ...] = ("email", "username")
    more: tuple[str, ...] = ()
    made: int = 201
    prepare: Callable[[House, Wanted], Awaitable[Wanted]] = _as_is
    before: tuple[str, ...] = ()
    """What is there before, and again after a failure."""
    has_password: bool = True
    embedded_only: bool = False
    proving: bool = False
    """Whether who signs up must prove the email."""

    async def wanted(self, house: House, word: str | None = None) -> Wanted:
        """Return a new intent; of the person whose word this is, or of somebody new."""
        word = word or f"w{uuid4().hex[:16]}"
        key = federated_key(ISSUER, word) if self.door is Door.FEDERATED else str(uuid4())
        password = f"Pass-{uuid4().hex}"
        house.passwords.append(password)
        made = Wanted(word, key, password, f"{word}@example.org", f"Name {word}", word)
        return await self.prepare(house, made)

    def success(self, account_id: str | None) -> Answer:
        return Answer(self.made, account_id=account_id)

    def conflicts(self, number: int) -> dict[str, int]:
        """Return what is counted where so many lose a race under other keys."""
        if self.others is None:
            return {f"{self.door} replayed": number}
        if self.others == USED:
            return {f"{self.door} {USED.code}": number}
        return {f"{self.door} {TAKEN.code}": number, f"{self.door} email": number}

    def leaves(self, accounts: int, *, remote: bool) -> Counter[str]:
        """Return the records that so many accounts of this door have: the same from every door, but for the table."""
        names = [
            "account",
            "identity owned",
            "told account.created",
            f"registration completed at the door {self.door}",
            *(f"{kind} owned" for kind in self.owns),
            *self.more,
            *(["at the provider"] if remote else []),
        ]
        return times(names, accounts)


def times(names: Iterable[str], number: int) -> Counter[str]:
    """Count each of the names so often."""
    return +Counter({name: number * count for name, count in Counter(names).items()})


def _told(error: SemelError) -> Answer:
    return Answer(error.status, error.code, frozenset(fault.field for fault in error.errors))


async def _asked(registering: Awaitable[Registered]) -> Answer:
    """Return what a caller of the library is told, as one over HTTP would be."""
    try:
        return Answer(201, account_id=(await registering).account.id)
    except SemelError as error:
        return _told(error)


def _over_http(answer: Response, *path: str) -> Answer:
    body: Any = answer.json()
    if answer.is_success:
        for name in path:
            body = body[name]
        return Answer(int(answer.status_code), account_id=body)
    fields = frozenset(fault["field"] for fault in body.get("errors", ()))
    code = body.get("error_code") or body["code"]
    return Answer(int(answer.status_code), code, fields)


async def _sign_up(server: Server, wanted: Wanted) -> Answer:
    return await _asked(server.semel.register(**_fields(wanted), email=wanted.email))


async def _admin(server: Server, wanted: Wanted) -> Answer:
    return await _asked(server.semel.register(**_fields(wanted), email=wanted.email, door=Door.ADMIN))


def _fields(wanted: Wanted) -> dict[str, Any]:
    return {
        "password": wanted.password,
        "full_name": wanted.full_name,
        "username": wanted.username,
        "idempotency_key": wanted.key,
    }


async def _accept(server: Server, wanted: Wanted) -> Answer:
    return await _asked(server.semel.accept_invitation(wanted.token, **_fields(wanted)))


async def _federated(server: Server, wanted: Wanted) -> Answer:
    intent = federated_intent(ISSUER, wanted.word, email=wanted.email, full_name=wanted.full_name)
    mine = msgspec.structs.replace(intent, idempotency_key=wanted.key)
    return await _asked(server.semel.parts.registrar.register(mine))


def _body(wanted: Wanted, *, name: str = "full_name") -> dict[str, str]:
    return {"password": wanted.password, name: wanted.full_name, "username": wanted.username}


async def _post(server: Server, path: str, body: Mapping[str, Any], head: Mapping[str, str], *found: str) -> Answer:
    return _over_http(await server.client.post(path, json=body, headers=head), *found)


async def _sign_up_http(server: Server, wanted: Wanted) -> Answer:
    body = {"email": wanted.email, **_body(wanted, name="name")}
    return await _post(server, "/api/auth/signup", body, wanted.head, "user_id")


async def _admin_http(server: Server, wanted: Wanted) -> Answer:
    body = {"email": wanted.email, **_body(wanted)}
    return await _post(server, "/api/users", body, {**server.admin, **wanted.head}, "id")


async def _admin_without_password(server: Server, wanted: Wanted) -> Answer:
    body = {"email": wanted.email, "full_name": wanted.full_name, "username": wanted.username}
    return await _post(server, "/api/users", body, {**server.admin, **wanted.head}, "id")


async def _accept_http(server: Server, wanted: Wanted) -> Answer:
    return await _post(server, f"/api/invitations/{wanted.token}/accept", _body(wanted), wanted.head, "user_id")


async def _gotrue(server: Server, wanted: Wanted) -> Answer:
    body = {"email": wanted.email, "password": wanted.password, "data": {"full_name": wanted.full_name}}
    return await _post(server, "/auth/v1/signup", body, wanted.head, "user", "id")


async def _gotrue_admin(server: Server, wanted: Wanted) -> Answer:
    body = {"email": wanted.email, "password": wanted.password, "user_metadata": {"full_name": wanted.full_name}}
    head = {"Authorization": f"Bearer {gotrue_key('service_role', exp=_IN_2100)}", **wanted.head}
    return await _post(server, "/auth/v1/admin/users", body, head, "id")


async def _invited(house: House, wanted: Wanted) -> Wanted:
    note, year = f"For {wanted.word}", 365 * 86_400.0
    invite = Invite(email=wanted.email, note=note, role="Editor", seconds=year, invited_by="the tests")
    made = await house.servers[0].semel.invite(invite)
    return replace(wanted, token=made.token.reveal())


_INVITED = ("invitation pending", "invited", "told invitation.created", "told mail.invitation")
_ACCEPTED = ("invitation accepted", "told invitation.accepted", *_INVITED[1:])
_INVITATION: dict[str, Any] = {"others": USED, "prepare": _invited, "before": _INVITED, "more": _ACCEPTED}

_PROVING: dict[str, Any] = {"proving": True, "more": ("link", f"told {mail_of(MailKind.VERIFY_EMAIL)}")}
_SET_PASSWORD = ("link", f"told {mail_of(MailKind.SET_PASSWORD)}")

DOORS = (
    Row("sign-up", Door.SIGNUP, _sign_up),
    Row("sign-up-http", Door.SIGNUP, _sign_up_http),
    Row("sign-up-proving", Door.SIGNUP, _sign_up, **_PROVING),
    Row("sign-up-http-proving", Door.SIGNUP, _sign_up_http, **_PROVING),
    Row("admin", Door.ADMIN, _admin),
    Row("admin-http", Door.ADMIN, _admin_http),
    Row("admin-no-password", Door.ADMIN, _admin_without_password, more=_SET_PASSWORD, has_password=False),
    Row("invitation", Door.INVITATION, _accept, **_INVITATION),
    Row("invitation-http", Door.INVITATION, _accept_http, **_INVITATION),
    # The owner is the answer, whatever the issuer says of the person today; and an email of theirs owns nothing.
    Row("federated", Door.FEDERATED, _federated, None, None, owns=("federated",), has_password=False),
    Row(
        "gotrue-sign-up",
        Door.SIGNUP,
        _gotrue,
        Answer(422, "user_already_exists"),
        owns=("email",),
        made=200,
        embedded_only=True,
    ),
    Row(
        "gotrue-admin",
        Door.ADMIN,
        _gotrue_admin,
        Answer(422, "email_exists"),
        owns=("email",),
        made=200,
        embedded_only=True,
    ),
)
