"""The tables of the five systems, as records, and what a request of theirs is answered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, ClassVar, Final

import msgspec
from typing_extensions import override

from semel.errors import SemelError
from semel.model import Record, Secret
from semel.ports import Done, Exists, Insert, NewIdentity, RemoteProvider, Write
from semel.testing.explorer import Make, Ports

__all__ = [
    "CREATED",
    "REGISTERED",
    "Email",
    "Entity",
    "Handler",
    "Invitation",
    "Invited",
    "RequestError",
    "Response",
    "Responses",
    "User",
    "new_identity",
    "new_user",
    "request",
]

_PASSWORD: Final = Secret("correct horse")


class User(Record, frozen=True, kw_only=True):
    """An account under an id of its own: the row of ``users`` or ``profiles``."""

    TYPE: ClassVar[str] = "user"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    email: str
    invitation: str | None = None


class Email(Record, frozen=True, kw_only=True):
    """An entry of the unique index on the emails of users: what PostgreSQL refuses with 23505."""

    TYPE: ClassVar[str] = "email"
    KEY: ClassVar[tuple[str, ...]] = ("email",)

    email: str


class Entity(Record, frozen=True, kw_only=True):
    """An account under the provider's name for the person, instead of an id of its own."""

    TYPE: ClassVar[str] = "entity"
    KEY: ClassVar[tuple[str, ...]] = ("person",)

    person: str
    id: str
    sign_ins: int = 0


class Invited(StrEnum):
    """Where an invitation stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    ACCEPTED = "accepted"


class Invitation(Record, frozen=True, kw_only=True):
    """A link that makes one account."""

    TYPE: ClassVar[str] = "invitation"
    KEY: ClassVar[tuple[str, ...]] = ("token",)

    token: str
    state: Invited = Invited.PENDING


class Response(msgspec.Struct, frozen=True):
    """What the browser is told."""

    status: int
    says: str
    final: bool = False
    """Whether it is a refusal that stays: coming back meets the same."""

    @override
    def __str__(self) -> str:
        return f"{self.status} {self.says}"


class Responses(msgspec.Struct, frozen=True):
    """What the browsers of several requests to one server are told."""

    each: tuple[Response, ...]

    @override
    def __str__(self) -> str:
        return "; ".join(map(str, self.each))


class RequestError(Exception):
    """A request ends with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response


Handler = Callable[[Ports], Coroutine[Any, Any, Response]]
"""What a server does for one request."""

CREATED: Final = Response(201, "created")
REGISTERED: Final = Response(409, "already registered", final=True)
_FAILED: Final = Response(500, "internal server error")


def request(handler: Handler) -> Make:
    """Return a request to a server that answers whatever goes wrong inside with 500, as servers do."""

    async def party(ports: Ports) -> Response:
        try:
            return await handler(ports)
        except RequestError as error:
            return error.response
        except SemelError:
            return _FAILED

    return party


async def new_identity(provider: RemoteProvider, identity_id: str, email: str) -> None:
    """Make the identity. Raises ``RequestError`` where the provider refuses, or does not answer."""
    answer = await provider.create(NewIdentity(identity_id, email, _PASSWORD, confirmed=False))
    if isinstance(answer, Exists):
        raise RequestError(REGISTERED)
    if not isinstance(answer, Done):
        raise RequestError(_FAILED)


def new_user(user_id: str, email: str, invitation: str | None = None) -> list[Write]:
    """Return the insert of a row into a table in which emails are unique."""
    return [Insert(User(id=user_id, email=email, invitation=invitation)), Insert(Email(email=email))]
