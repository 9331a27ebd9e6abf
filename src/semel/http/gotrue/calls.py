"""One request to Supabase's API: its body, its query, and whose it is."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope

from semel.assembly import Parts
from semel.config import Settings
from semel.errors import ConfigurationInvalid, InvalidToken
from semel.face import Semel
from semel.gotrue_tokens import GoTrueOptions, GoTrueTokens
from semel.http.body import BodyLimits, read_bytes
from semel.http.gotrue.answers import AuthError, bad_json, banned
from semel.http.limits import Attempt
from semel.http.schemas import secret
from semel.identity_updates import person
from semel.model import Account, Identity, Secret, SessionFamily
from semel.ports import Ref
from semel.registrar import Registrar
from semel.sessions import Person, SessionKeeper, goes_on

__all__ = ["AuthCall", "Body", "Caller", "as_uuid"]

T = TypeVar("T", bound=msgspec.Struct)

_ADMINISTRATORS: Final = frozenset({"service_role", "supabase_admin"})
_UUID: Final = re.compile(
    r"(?:urn:uuid:|\{)?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})\}?", re.IGNORECASE | re.ASCII
)


class Body(Generic[T]):
    """Reads bodies of one type. The content type does not matter, nor does a field that is not known."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind | None, dec_hook=secret)

    def read(self, body: bytes | bytearray) -> T:
        """Return the value; ``null`` says nothing of any field. Raises ``AuthError``."""
        if not body:
            raise bad_json("unexpected end of JSON input")
        try:
            value: T | None = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise bad_json(_expectation(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise bad_json("it is malformed") from None
        return self._kind() if value is None else value


def _expectation(error: msgspec.ValidationError) -> str:
    """Return what the decoder wanted, and of which field of ours: never a name or a value of the caller's."""
    expected, _, at = str(error).partition(" - at ")
    field = re.fullmatch(r"`\$\.([a-z_]+)`", at)
    known = expected if expected.startswith("Expected ") else "Expected another type"
    return f"{known} in {field[1]}" if field else known


class Caller(NamedTuple):
    """Whose token it is. ``session`` is ``None`` for a token that was made without one."""

    account: Account
    identity: Identity
    session: str | None


class AuthCall:
    """A request, and what answers it."""

    def __init__(self, semel: Semel, scope: Scope, receive: Receive, attempt: Attempt) -> None:
        self.headers = Headers(scope=scope)
        self.query = QueryParams(scope.get("query_string", b""))
        self.scope = scope
        self.attempt = attempt
        """The request as the limits see it, once the handler has begun it."""
        self.parameters: Mapping[str, str] = {}
        """What stands in the path."""
        self._semel = semel
        self._receive = receive

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self._semel.settings

    @cached_property
    def options(self) -> GoTrueOptions:
        """Those of this API."""
        options = self.settings.gotrue_options()
        if options is None:
            raise ConfigurationInvalid("this API is switched off")
        return options

    @property
    def parts(self) -> Parts:
        """What Semel works with."""
        return self._semel.parts

    @property
    def registrar(self) -> Registrar:
        """The one way to an account."""
        return self.parts.registrar

    @property
    def sessions(self) -> SessionKeeper:
        """The sessions, which every face of the embedded provider shares."""
        keeper = self.parts.sessions
        if not isinstance(keeper, SessionKeeper):
            raise ConfigurationInvalid("this API needs the embedded provider")
        return keeper

    @cached_property
    def tokens(self) -> GoTrueTokens:
        """The maker of access tokens."""
        return GoTrueTokens(self.parts.keys, self.options)

    async def body(self, of: Body[T]) -> T:
        """Return the body's value. Raises ``AuthError``, or a ``SemelError`` where it is too large or too late."""
        return of.read(await self.raw_body())

    async def raw_body(self) -> bytearray:
        """Return the body as it was sent; see ``read_bytes`` for what it raises."""
        limits = BodyLimits(self.settings.max_body_bytes, self.settings.body_seconds)
        return await read_bytes(self.headers, self._receive, limits)

    async def claims(self) -> dict[str, Any]:
        """Return what the bearer's token says. Raises ``AuthError``."""
        scheme, token = get_authorization_scheme_param(self.headers.get("authorization"))
        if scheme.lower() != "bearer" or not token:
            message = "This endpoint requires a valid Bearer token"
            raise AuthError(HTTPStatus.UNAUTHORIZED, "no_authorization", message)
        try:
            claims = await self.tokens.read(Secret(token), self.parts.engine.clock.now())
        except InvalidToken as error:
            raise _bad_jwt(error.detail) from None
        audience = self.headers.get("x-jwt-aud")
        if audience and claims.get("aud") not in (audience, [audience]):
            raise _bad_jwt("Token audience doesn't match request audience", HTTPStatus.BAD_REQUEST)
        return claims

    async def administrator(self) -> None:
        """Raise ``AuthError`` unless the bearer may do everything."""
        role = (await self.claims()).get("role")
        if not isinstance(role, str) or role not in _ADMINISTRATORS:
            raise AuthError(HTTPStatus.FORBIDDEN, "not_admin", "User not allowed")

    async def caller(self) -> Caller:
        """Return whose token the bearer has. Raises ``AuthError``."""
        claims = await self.claims()
        account_id, session = _subject(claims), _session(claims)
        family = [] if session is None else [Ref(SessionFamily, (session,))]
        refs = [Ref(Account, (account_id,)), Ref(Identity, (account_id,)), *family]
        account, identity, *sessions = await self.parts.engine.store.get_many(refs)
        if not isinstance(account, Account) or not isinstance(identity, Identity):
            message = "User from sub claim in JWT does not exist"
            raise AuthError(HTTPStatus.FORBIDDEN, "user_not_found", message)
        now = self.parts.engine.clock.now()
        if not account.lets_in(now):
            raise banned(HTTPStatus.FORBIDDEN)
        if not all(isinstance(one, SessionFamily) and goes_on(account, one, now) for one in sessions):
            message = "Session from session_id claim in JWT does not exist"
            raise AuthError(HTTPStatus.FORBIDDEN, "session_not_found", message)
        return Caller(account, identity, session)

    async def person(self, account_id: str) -> Person | None:
        """Return an account with its identity, ``None`` where there is none."""
        return await person(self.parts.engine, account_id)

    async def identified(self, account: Account) -> Person:
        """Return an account with its identity."""
        identity = await self.parts.engine.store.get(Identity, account.key)
        if identity is None:  # it has just been deleted
            raise AuthError(HTTPStatus.NOT_FOUND, "user_not_found", "User not found")
        return Person(account, identity)


def as_uuid(text: str) -> str | None:
    """Return a UUID in its usual form; ``None`` where the text is none."""
    found = _UUID.fullmatch(text)
    return str(uuid.UUID(found[1])) if found else None


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise _bad_jwt("invalid claim: missing sub claim")
    account_id = as_uuid(subject)
    if account_id is None:
        raise _bad_jwt("invalid claim: sub claim must be a UUID", HTTPStatus.BAD_REQUEST)
    return account_id


def _session(claims: Mapping[str, Any]) -> str | None:
    given = claims.get("session_id")
    if given is None or given == "":
        return None
    session = as_uuid(given) if isinstance(given, str) else None
    if session is None:
        raise _bad_jwt("invalid claim: session_id claim must be a UUID")
    return session


def _bad_jwt(message: str, status: int = HTTPStatus.FORBIDDEN) -> AuthError:
    return AuthError(status, "bad_jwt", message)
