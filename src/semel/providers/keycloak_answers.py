"""What the answers of a Keycloak server mean: users, and whose they are; refusals; sessions.

Its admin API is told at https://www.keycloak.org/docs-api/latest/rest-api/index.html, its errors nowhere: what is not
listed here says nothing.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from semel.model import Secret
from semel.ports import Exists, Found, Rejected, Tokens, Unknown
from semel.providers.http import Answer, unknown

__all__ = ["ID", "PROOF", "Opened", "Proofs", "User", "gone", "opened", "refused", "subject", "unsendable"]

ID: Final = "semel_id"
"""The attribute that says our id."""
PROOF: Final = "semel_proof"
"""The attribute that proves that we said it."""

_FIELDS: Final[Mapping[str, str]] = {
    "email": "email",
    "firstName": "full_name",
    "lastName": "full_name",
    "username": "username",
}
"""Fields as the realm's user profile names them, and as callers know them."""
_OF_THE_DATABASE: Final = "Could not "
"""How a 400 begins that stands for an error of the database, the commit's own among them."""
_REFUSED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)


_LATEST: Final = 253_402_300_800_000
"""The year 10000, in milliseconds since 1970."""


class User(msgspec.Struct, frozen=True):
    """A user, and under which username."""

    username: str
    found: Found


class Opened(msgspec.Struct, frozen=True):
    """A session that was opened, or goes on, and the provider's id of whose it is."""

    provider_id: str
    tokens: Tokens


class _User(msgspec.Struct, frozen=True):
    id: str
    username: str
    email: str | None = None
    emailVerified: bool = False  # noqa: N815 - Keycloak's name
    enabled: bool = False
    attributes: dict[str, list[str]] = {}
    createdTimestamp: int | None = None  # noqa: N815 - in milliseconds since 1970


class _Session(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    expires_in: int
    id_token: str


class _Subject(msgspec.Struct, frozen=True):
    sub: str


class Proofs:
    """Tells the users that we made from others: an HMAC over our id and the username, which the realm keeps unique.

    So a proof that somebody copies to another user proves nothing there, and one that nobody wrote cannot be made up.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def attributes(self, identity_id: str, username: str) -> dict[str, list[str]]:
        """Return what makes a user recognised as ours."""
        return {ID: [identity_id], PROOF: [self._proof(identity_id, username)]}

    def user(self, body: object) -> User | None:
        """Return the user that a body tells of, ``None`` where it tells of none."""
        try:
            read = msgspec.convert(body, _User)
        except msgspec.ValidationError:
            return None
        said, proof = read.attributes.get(ID, []), read.attributes.get(PROOF, [])
        ours = len(said) == len(proof) == 1 and self._proves(proof[0], said[0], read.username)
        whose = said[0] if ours else read.id
        email = read.email or None
        confirmed = email is not None and read.emailVerified
        found = Found(read.id, whose, email, confirmed, not read.enabled, _moment(read.createdTimestamp))
        return User(read.username, found)

    def users(self, body: object) -> list[User] | None:
        """Return the users of a list, ``None`` where the body is no list of users."""
        read = [self.user(each) for each in body] if isinstance(body, list) else [None]
        return [each for each in read if each is not None] if None not in read else None

    def _proof(self, identity_id: str, username: str) -> str:
        # Keycloak keeps usernames in lower case; a space is in none of them.
        said = f"{identity_id} {username.lower()}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, said, "sha256").hex()

    def _proves(self, proof: str, identity_id: str, username: str) -> bool:
        return hmac.compare_digest(proof.encode(), self._proof(identity_id, username).encode())


def _moment(milliseconds: int | None) -> datetime | None:
    """Return when that was; ``None`` for what is no time, which an import may leave there."""
    if milliseconds is None or not 0 < milliseconds < _LATEST:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def opened(body: object) -> Opened | None:
    """Return the session that an answer of the token endpoint tells of, ``None`` where it tells of none."""
    try:
        session = msgspec.convert(body, _Session)
        # It came from the endpoint itself, which stands for its signature (OpenID Connect Core 1.0, 3.1.3.7).
        payload = session.id_token.split(".")[1]
        subject = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=="), type=_Subject)
    except (ValueError, msgspec.MsgspecError, IndexError):
        return None
    return Opened(subject.sub, Tokens(session.access_token, session.refresh_token, session.expires_in))


def subject(body: object) -> str | None:
    """Return the id of the user whom an answer of the userinfo endpoint tells of (OpenID Connect Core 1.0, 5.3.2)."""
    try:
        return msgspec.convert(body, _Subject).sub
    except msgspec.ValidationError:
        return None


def gone(answer: Answer) -> bool:
    """Whether the server itself says that it has no such user: any other 404 is a proxy's, or of no such realm."""
    return answer.status == HTTPStatus.NOT_FOUND and answer.code == "User not found"


def refused(answer: Answer, who: str) -> Exists | Rejected | Unknown:
    """Return what an answer to a create or an update comes to that did not do it."""
    if answer.status == HTTPStatus.CONFLICT:
        return Exists()
    if answer.status not in _REFUSED or answer.code is None:
        return unknown(answer, who)
    if answer.code.startswith(_OF_THE_DATABASE):
        return unknown(answer, who)
    field = next(_named(answer.body), None)
    if field is None and "assword" in answer.code:
        field = "password"
    return Rejected(f"The identity provider does not take this {field or 'identity'} ({answer.code})", field)


def unsendable(password: Secret | None, **texts: str | None) -> Rejected | None:
    """Return the refusal of what the server answers with an outage, or with less than was asked; ``None`` for others.

    A NUL is 500 over PostgreSQL; an empty password makes a user without one.
    """
    for field, text in texts.items():
        if text is not None and "\0" in text:
            return Rejected(f"The identity provider does not take this {field}", field)
    if password is not None and not password.reveal():
        return Rejected("The identity provider does not take an empty password", "password")
    return None


def _named(body: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the fields that a refusal names. Its parameters may quote what was sent, and are not looked at."""
    errors = body.get("errors") if isinstance(body, dict) else None
    for each in errors if isinstance(errors, list) else [body]:
        field = each.get("field") if isinstance(each, dict) else None
        if isinstance(field, str) and field in _FIELDS:
            yield _FIELDS[field]
