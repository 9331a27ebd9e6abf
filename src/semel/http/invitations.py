"""Invitations over HTTP: made and seen to by administrators, shown to and accepted by the invited.

A token stands in the path. Log lines have the pattern of a path, never the path itself.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Final

from fastapi import Response
from starlette.types import Scope

from semel import errors
from semel.api_keys import Scope as Needed
from semel.errors import FieldError, InvalidInput, NotFound
from semel.http.asking import PAGE, asked_page, id_in_path
from semel.http.body import JsonBody
from semel.http.idempotency import idempotency_key
from semel.http.limits import Limit, Limited
from semel.http.operations import ANY, KEYED, OF_A_BODY, OF_AN_ADMINISTRATOR, Call, Operation, bearer, reply
from semel.http.schemas import (
    AcceptRequest,
    InvitationAnswer,
    InvitationRequest,
    InvitationsAnswer,
    MadeInvitationAnswer,
    ShownInvitationAnswer,
    SignUpAnswer,
    account_answer,
    invitation_answer,
    shown_invitation_answer,
)
from semel.http.users import check_roles
from semel.invitations import Invite, MadeInvitation, scope_of
from semel.model import Account, Secret
from semel.states import InvitationState

__all__ = ["INVITATIONS"]

_INVITE: Final = JsonBody(InvitationRequest)
_ACCEPT: Final = JsonBody(AcceptRequest)


async def _create(call: Call) -> Response:
    key = idempotency_key(call.headers)
    body = await call.read(_INVITE)
    check_roles(call, (body.role,))
    await _spare_administrators(call, body.email)
    invite = Invite(
        email=body.email,
        role=body.role,
        note=body.note,
        seconds=body.expires_in,
        invited_by=call.administrator.id,
        idempotency_key=key,
    )
    return _made(await call.semel.invite(invite), HTTPStatus.CREATED)


async def _spare_administrators(call: Call, email: str) -> None:
    """Raise ``Forbidden`` where an API key may touch no administrator, and whoever accepts would end one.

    The token proves the email, and is shown to who invites: an account that never proved it would end.
    """
    with suppress(NotFound, InvalidInput):  # what is no email is told with all else that is wrong
        owner = await call.semel.account_by_email(email)
        check_roles(call, (owner.role, *owner.roles))


def _made(made: MadeInvitation, status: HTTPStatus = HTTPStatus.OK) -> Response:
    answer = MadeInvitationAnswer(token=made.token.reveal(), invitation=invitation_answer(made.invitation))
    return reply(answer, status)


async def _list(call: Call) -> Response:
    asked = asked_page(call, "state")
    state = asked.more.get("state")
    if state is not None and state not in set(InvitationState):
        raise InvalidInput(errors=(FieldError("state", "not_allowed", f"Choose one of: {', '.join(InvitationState)}"),))
    chosen = InvitationState(state) if state is not None else None
    page = await call.semel.invitations(asked.cursor, asked.limit, state=chosen)
    return reply(InvitationsAnswer(invitations=tuple(map(invitation_answer, page.invitations)), cursor=page.cursor))


async def _revoke(call: Call) -> Response:
    return reply(invitation_answer(await call.semel.revoke_invitation(await _in_reach(call))))


async def _resend(call: Call) -> Response:
    return _made(await call.semel.resend_invitation(await _in_reach(call)))


async def _in_reach(call: Call) -> str:
    """Return the id of the invitation, if the caller may give its role, which is never another."""
    invitation_id = id_in_path(call)
    check_roles(call, ((await call.semel.parts.invitations.get(invitation_id)).role,))
    return invitation_id


async def _show(call: Call) -> Response:
    invitation = await call.semel.invitation(_token(call.scope))
    return reply(shown_invitation_answer(invitation, call.semel.parts.engine.clock.now()))


async def _accept(call: Call) -> Response:
    if "authorization" in call.headers:
        return await _accept_as(call)
    key = idempotency_key(call.headers)
    body = await call.read(_ACCEPT)
    registered = await call.semel.accept_invitation(
        _token(call.scope),
        password=body.password,
        full_name=body.full_name,
        username=body.username,
        idempotency_key=key,
    )
    if registered.replayed:
        await call.attempt.replayed()
    return _accepted(registered.account, HTTPStatus.CREATED)


async def _accept_as(call: Call) -> Response:
    """Accept for the account of the access token; a body is not read."""
    account = await call.semel.current_account(bearer(call.headers))
    return _accepted(await call.semel.accept_invitation_as(_token(call.scope), account), HTTPStatus.OK)


def _accepted(account: Account, status: HTTPStatus) -> Response:
    return reply(SignUpAnswer(user_id=account.id, account=account_answer(account)), status)


def _token(scope: Scope) -> Secret:
    return Secret(scope["path_params"]["token"])


def _keys(scope: Scope) -> str:
    return scope_of(_token(scope))


_CANNOT_BE_CHANGED: Final = (errors.InvitationUsed, errors.InvitationExpired, errors.RegistrationInFlight)
_CANNOT_BE_ACCEPTED: Final = (errors.InvitationUnknown, *_CANNOT_BE_CHANGED, errors.InvitationRevoked)

INVITATIONS: Final = (
    Operation(
        name="create_invitation",
        method="POST",
        path="/api/invitations",
        summary="Invite an email, once",
        handle=_create,
        status=HTTPStatus.CREATED,
        answer=MadeInvitationAnswer,
        body=InvitationRequest,
        keyed=True,
        needs=Needed.INVITATIONS_WRITE,
        raises=(
            *OF_AN_ADMINISTRATOR,
            *OF_A_BODY,
            *KEYED,
            errors.AlreadyInvited,
            errors.UserAlreadyExists,
            errors.OutcomeUnknown,
            *ANY,
        ),
    ),
    Operation(
        name="list_invitations",
        method="GET",
        path="/api/invitations",
        summary="List invitations",
        handle=_list,
        answer=InvitationsAnswer,
        query=(*PAGE, ("state", "string", "Only those that stand so; a page may then be short though more follow.")),
        needs=Needed.INVITATIONS_READ,
        raises=(*OF_AN_ADMINISTRATOR, errors.InvalidInput, *ANY),
    ),
    Operation(
        name="revoke_invitation",
        method="POST",
        path="/api/invitations/{id}/revoke",
        summary="Take an invitation back",
        handle=_revoke,
        answer=InvitationAnswer,
        needs=Needed.INVITATIONS_WRITE,
        raises=(*OF_AN_ADMINISTRATOR, errors.NotFound, *_CANNOT_BE_CHANGED, errors.OutcomeUnknown, *ANY),
    ),
    Operation(
        name="resend_invitation",
        method="POST",
        path="/api/invitations/{id}/resend",
        summary="Send an invitation again, with a new token",
        handle=_resend,
        answer=MadeInvitationAnswer,
        needs=Needed.INVITATIONS_WRITE,
        raises=(
            *OF_AN_ADMINISTRATOR,
            errors.NotFound,
            *_CANNOT_BE_CHANGED,
            errors.InvitationRevoked,
            errors.OutcomeUnknown,
            *ANY,
        ),
    ),
    Operation(
        name="show_invitation",
        method="GET",
        path="/api/invitations/{token}",
        summary="Show an invitation to who has its token",
        handle=_show,
        answer=ShownInvitationAnswer,
        raises=(errors.InvitationUnknown, *ANY),
    ),
    Operation(
        name="accept_invitation",
        method="POST",
        path="/api/invitations/{token}/accept",
        summary="Accept an invitation: make its account, or take it with the account of the access token (200)",
        handle=_accept,
        status=HTTPStatus.CREATED,
        also=(HTTPStatus.OK,),
        answer=SignUpAnswer,
        body=AcceptRequest,
        keyed=True,
        limited=Limited(Limit.INVITATION, keys=_keys),
        may_bear=True,
        raises=(
            errors.RateLimited,
            *OF_A_BODY,
            *KEYED,
            *_CANNOT_BE_ACCEPTED,
            errors.InvalidToken,
            errors.ProviderUnavailable,
            errors.NotFound,
            errors.UserAlreadyExists,
            errors.IdentityAlreadyExists,
            errors.ApplicationRefused,
            errors.RegistrationWithdrawn,
            errors.ProviderRefused,
            errors.OutcomeUnknown,
            errors.Overloaded,
            *ANY,
        ),
    ),
)
