"""Accounts over HTTP, for administrators: make, list, see, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from fastapi import Response
from msgspec import UNSET
from msgspec.structs import replace

from semel import errors
from semel.administration import AccountUpdate
from semel.api_keys import Scope
from semel.deletion import delete_account
from semel.errors import InvalidInput, PreconditionFailed
from semel.face import AccountPage
from semel.http.asking import PAGE, Asked, asked_page, etag, expected_version, id_in_path
from semel.http.body import JsonBody
from semel.http.idempotency import idempotency_key
from semel.http.operations import ANY, KEYED, OF_A_BODY, OF_AN_ADMINISTRATOR, Call, Operation, reply
from semel.http.schemas import AccountAnswer, UserChange, UserRequest, UsersAnswer, account_answer
from semel.intents import Intent
from semel.model import Account
from semel.states import Door

__all__ = ["USERS", "check_roles"]

_NEW: Final = JsonBody(UserRequest)
_CHANGE: Final = JsonBody(UserChange)


async def _create(call: Call) -> Response:
    key = idempotency_key(call.headers)
    body = await call.read(_NEW)
    check_roles(call, (body.role, *body.roles))
    intent = Intent(
        door=Door.ADMIN,
        email=body.email,
        password=body.password,
        username=body.username,
        full_name=body.full_name,
        role=body.role,
        roles=body.roles,
        attributes=body.attributes,
        inactive=not body.is_active,
        sets_password=body.password is None,
        idempotency_key=key,
        scope=call.administrator.realm,
    )
    account = (await call.semel.parts.registrar.register(intent)).account
    headers = {"location": f"/api/users/{account.id}", **etag(account)}
    return reply(account_answer(account), HTTPStatus.CREATED, headers)


def check_roles(call: Call, roles: Iterable[str | None]) -> None:
    """Raise ``Forbidden`` where an API key would give an administrator's role, and has not the scope for that."""
    if call.semel.parts.gate.is_an_administrators(roles):
        call.administrator.check(Scope.ADMINISTRATORS_WRITE)


def _not_an_administrators(call: Call, version: int | None = None) -> Callable[[Account], None]:
    """Return what raises ``Forbidden`` where an API key would touch an administrator without the scope for that.

    With ``version`` it raises ``PreconditionFailed`` for an account at another one.
    """

    def allowed(account: Account) -> None:
        if version not in {None, account.version}:
            raise PreconditionFailed
        check_roles(call, (account.role, *account.roles))

    return allowed


async def _list(call: Call) -> Response:
    asked = asked_page(call, "q")
    words = asked.more.get("q")
    if words is None:
        page = await call.semel.accounts(asked.cursor, asked.limit)
    else:
        page = await _found(call, words, asked)
    return reply(UsersAnswer(users=tuple(map(account_answer, page.accounts)), cursor=page.cursor))


async def _found(call: Call, words: str, asked: Asked) -> AccountPage:
    try:
        return await call.semel.search_accounts(words, asked.cursor, asked.limit)
    except InvalidInput as error:
        error.errors = tuple(replace(one, field="q" if one.field == "words" else one.field) for one in error.errors)
        raise


async def _show(call: Call) -> Response:
    account = await call.semel.account(id_in_path(call))
    return reply(account_answer(account), headers=etag(account))


async def _change(call: Call) -> Response:
    user_id, version = id_in_path(call), expected_version(call)
    body = await call.read(_CHANGE)
    given = (body.role, *(() if body.roles is UNSET else body.roles))
    check_roles(call, [role for role in given if isinstance(role, str)])
    update = AccountUpdate(
        username=body.username,
        full_name=body.full_name,
        role=body.role,
        roles=body.roles,
        attributes=body.attributes,
        is_active=body.is_active,
        onboarding_completed=body.onboarding_completed,
    )
    allowed = _not_an_administrators(call)
    account = await call.semel.update_account(user_id, update, version=version, allowed=allowed)
    return reply(account_answer(account), headers=etag(account))


async def _delete(call: Call) -> Response:
    user_id, allowed = id_in_path(call), _not_an_administrators(call, expected_version(call))
    await delete_account(call.semel.parts.engine, user_id, allowed)
    return Response(status_code=HTTPStatus.NO_CONTENT)


USERS: Final = (
    Operation(
        name="create_user",
        method="POST",
        path="/api/users",
        summary="Make an account, once",
        handle=_create,
        status=HTTPStatus.CREATED,
        answer=AccountAnswer,
        body=UserRequest,
        keyed=True,
        needs=Scope.USERS_WRITE,
        raises=(
            *OF_AN_ADMINISTRATOR,
            *OF_A_BODY,
            *KEYED,
            errors.UserAlreadyExists,
            errors.IdentityAlreadyExists,
            errors.RegistrationInFlight,
            errors.ApplicationRefused,
            errors.RegistrationWithdrawn,
            errors.ProviderRefused,
            errors.OutcomeUnknown,
            errors.Overloaded,
            *ANY,
        ),
    ),
    Operation(
        name="list_users",
        method="GET",
        path="/api/users",
        summary="List accounts",
        handle=_list,
        answer=UsersAnswer,
        query=(*PAGE, ("q", "string", "Only those whose email, username or full name contains this.")),
        needs=Scope.USERS_READ,
        raises=(*OF_AN_ADMINISTRATOR, errors.InvalidInput, *ANY),
    ),
    Operation(
        name="show_user",
        method="GET",
        path="/api/users/{id}",
        summary="Show an account",
        handle=_show,
        answer=AccountAnswer,
        needs=Scope.USERS_READ,
        raises=(*OF_AN_ADMINISTRATOR, errors.NotFound, *ANY),
    ),
    Operation(
        name="update_user",
        method="PATCH",
        path="/api/users/{id}",
        summary="Change an account: all that is given, or nothing",
        handle=_change,
        answer=AccountAnswer,
        body=UserChange,
        conditional=True,
        needs=Scope.USERS_WRITE,
        raises=(
            *OF_AN_ADMINISTRATOR,
            *OF_A_BODY,
            errors.NotFound,
            errors.UserAlreadyExists,
            errors.PreconditionFailed,
            errors.OutcomeUnknown,
            *ANY,
        ),
    ),
    Operation(
        name="delete_user",
        method="DELETE",
        path="/api/users/{id}",
        summary="End an account and all that it owns",
        handle=_delete,
        status=HTTPStatus.NO_CONTENT,
        conditional=True,
        needs=Scope.USERS_WRITE,
        raises=(*OF_AN_ADMINISTRATOR, errors.NotFound, errors.PreconditionFailed, errors.OutcomeUnknown, *ANY),
    ),
)
