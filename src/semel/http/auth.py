"""Signing up, signing in, and what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from fastapi import Response
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from semel import canonical, errors
from semel.errors import FieldError, InvalidInput
from semel.face import SignedInAccount
from semel.http.body import JsonBody
from semel.http.idempotency import HEADER, idempotency_key
from semel.http.limits import Limit, Limited
from semel.http.operations import ANY, OF_A_BODY, Call, Operation, bearer, reply
from semel.http.proofs import afterwards, unproved_hidden
from semel.http.schemas import (
    AccountAnswer,
    PendingAnswer,
    RefreshRequest,
    SignInAnswer,
    SignInRequest,
    SignUpAnswer,
    SignUpRequest,
    account_answer,
)
from semel.intents import ANYBODY, Intent, registration_id
from semel.model import Identifier
from semel.protocol.engine import Registered
from semel.registrar import TAKEN

__all__ = ["AUTH"]

_SENT_AS: Final = {"full_name": "name", "idempotency_key": HEADER}
"""Where an argument of the library goes by another name over the wire."""

_PENDING: Final = "Open the link in the mail that is on its way to you"
_SIGN_UP: Final = JsonBody(SignUpRequest)
_SIGN_IN: Final = JsonBody(SignInRequest)
_REFRESH: Final = JsonBody(RefreshRequest)


async def _sign_up(call: Call) -> Response:
    key = idempotency_key(call.headers)
    body = await call.read(_SIGN_UP)
    if call.semel.settings.enumeration != "open":
        return await _masked(call, key, body)
    registered = await _register(call, key, body)
    if registered.replayed:
        await call.attempt.replayed()
    account = account_answer(registered.account)
    token: str | UnsetType = UNSET
    if call.semel.parts.engine.awaits_proof(registered.account):
        token = await call.semel.sign_up_token(registered.account.registration)
    return reply(SignUpAnswer(user_id=account.id, account=account, sign_up_token=token), HTTPStatus.CREATED)


async def _register(call: Call, key: str | None, body: SignUpRequest) -> Registered:
    with _named_as_sent():
        return await call.semel.register(
            email=body.email,
            password=body.password,
            full_name=body.name,
            username=body.username,
            role=body.role,
            attributes=body.attributes,
            idempotency_key=key,
        )


async def _masked(call: Call, key: str | None, body: SignUpRequest) -> Response:
    """Answer the same whether the email is new or taken; its owner is told by mail, once the answer is sent.

    Whoever comes again under a key is told the same again, whatever became of it. Only a taken username shows.
    """
    scope = _key_scope(call, body.email)
    known = registration_id(scope, key) if key is not None else call.semel.parts.engine.ids.uuid()
    taken = False
    try:
        known = (await _register_hidden(call, key, body, scope)).account.registration
    except errors.UserAlreadyExists as error:
        others = tuple(one for one in error.errors if one.field != "email")
        if others:
            raise errors.UserAlreadyExists(errors=others) from None
        taken = True
    except (errors.IdentityAlreadyExists, errors.IdempotencyKeyReused, errors.RegistrationWithdrawn):
        await _check_username(call, body.username, known)  # else the email, or the key, was used before
    answer = reply(
        PendingAnswer(message=_PENDING, sign_up_token=await call.semel.sign_up_token(known)), HTTPStatus.ACCEPTED
    )
    if taken:
        answer.background = afterwards(call.semel, "sign_up", lambda: call.semel.tell_owner(body.email))
    return answer


def _key_scope(call: Call, email: str) -> str:
    """Return the scope of keys: one for each email.

    A key that was sent with a taken email has no registration. In one scope for all it would make an account for
    another email, where that of a new one would not: and a mail to that other email would tell.
    """
    try:
        name = canonical.email(email, allow_special_use=call.semel.settings.allow_special_use_emails).name
    except InvalidInput:
        return ANYBODY  # it is refused, together with what else is wrong
    return f"{ANYBODY}/{name.value}"


async def _register_hidden(call: Call, key: str | None, body: SignUpRequest, scope: str) -> Registered:
    """Register. Without a key nothing is taken for a double click: a taken email has none, so two answers differ."""
    intent = Intent(
        email=body.email,
        password=body.password,
        full_name=body.name,
        username=body.username,
        role=body.role,
        attributes=body.attributes,
        idempotency_key=key,
        scope=scope,
        strict=key is None,
    )
    with _named_as_sent():
        return await call.semel.parts.registrar.register(intent)


async def _check_username(call: Call, username: str | None, registration: str) -> None:
    """Raise ``UserAlreadyExists`` where another registration's account has the username, as at any sign-up."""
    if username is None:
        return
    found = await call.semel.parts.engine.store.get(Identifier, canonical.username(username).name)
    if found is not None and found.owned and found.registration != registration:
        raise errors.UserAlreadyExists(errors=(TAKEN["username"],))


@contextmanager
def _named_as_sent() -> Iterator[None]:
    """Name what is wrong as it goes over the wire."""
    try:
        yield
    except InvalidInput as error:
        error.errors = tuple(map(_as_sent, error.errors))
        raise


def _as_sent(fault: FieldError) -> FieldError:
    return replace(fault, field=_SENT_AS.get(fault.field, fault.field))


async def _sign_in(call: Call) -> Response:
    body = await call.read(_SIGN_IN)
    await call.attempt.on(body.email)
    with unproved_hidden(call):
        return _signed_in(await call.semel.sign_in(body.email, body.password))


async def _refresh(call: Call) -> Response:
    body = await call.read(_REFRESH)
    return _signed_in(await call.semel.refresh(body.refresh_token))


def _signed_in(signed_in: SignedInAccount) -> Response:
    tokens = signed_in.tokens
    return reply(
        SignInAnswer(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_type=tokens.token_type,
            expires_in=tokens.expires_in,
            account=account_answer(signed_in.account),
        )
    )


async def _sign_out(call: Call) -> Response:
    await call.semel.sign_out(bearer(call.headers))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _me(call: Call) -> Response:
    return reply(account_answer(await call.semel.current_account(bearer(call.headers))))


AUTH: Final = (
    Operation(
        name="sign_up",
        method="POST",
        path="/api/auth/signup",
        summary="Create an account, once",
        handle=_sign_up,
        status=HTTPStatus.CREATED,
        masked=PendingAnswer,
        answer=SignUpAnswer,
        body=SignUpRequest,
        keyed=True,
        limited=Limited(Limit.SIGN_UP, keys=ANYBODY),
        raises=(
            errors.RateLimited,
            *OF_A_BODY,
            errors.IdempotencyKeyInvalid,
            errors.UserAlreadyExists,
            errors.IdentityAlreadyExists,
            errors.RegistrationInFlight,
            errors.ApplicationRefused,
            errors.RegistrationWithdrawn,
            errors.IdempotencyKeyReused,
            errors.ProviderRefused,
            errors.OutcomeUnknown,
            errors.Overloaded,
            *ANY,
        ),
    ),
    Operation(
        name="sign_in",
        method="POST",
        path="/api/auth/login",
        summary="Sign in with email and password",
        handle=_sign_in,
        answer=SignInAnswer,
        body=SignInRequest,
        limited=Limited(Limit.SIGN_IN),
        raises=(
            errors.RateLimited,
            *OF_A_BODY,
            errors.InvalidCredentials,
            errors.AccountInactive,
            errors.EmailNotVerified,
            errors.UserAlreadyExists,
            errors.ApplicationRefused,
            errors.RegistrationInFlight,
            errors.OutcomeUnknown,
            errors.Overloaded,
            errors.ProviderUnavailable,
            *ANY,
        ),
    ),
    Operation(
        name="refresh",
        method="POST",
        path="/api/auth/refresh",
        summary="Exchange a refresh token for new tokens",
        handle=_refresh,
        answer=SignInAnswer,
        body=RefreshRequest,
        raises=(
            *OF_A_BODY,
            errors.InvalidToken,
            errors.AccountInactive,
            errors.EmailNotVerified,
            errors.OutcomeUnknown,
            errors.ProviderUnavailable,
            *ANY,
        ),
    ),
    Operation(
        name="sign_out",
        method="POST",
        path="/api/auth/logout",
        summary="End the session of the access token",
        handle=_sign_out,
        status=HTTPStatus.NO_CONTENT,
        bearer=True,
        raises=(errors.InvalidToken, errors.OutcomeUnknown, errors.ProviderUnavailable, *ANY),
    ),
    Operation(
        name="me",
        method="GET",
        path="/api/me",
        summary="The account of the access token",
        handle=_me,
        answer=AccountAnswer,
        bearer=True,
        raises=(errors.InvalidToken, errors.ProviderUnavailable, *ANY),
    ),
)
