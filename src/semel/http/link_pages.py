"""Where mails lead: a page for each link and each invitation, with a form.

Looking changes nothing, since programs that look through mail follow links; only the form's button does, and without
any script.

A first proof always asks for a new password here: who opens a mail has shown nothing of who signed up. An application
that keeps the ``sign_up_token`` sends it to ``/api/links/{token}`` instead, and the password stays.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from fastapi import Response
from msgspec import UNSET, UnsetType

from semel import errors
from semel.errors import FieldError, InvalidInput, SemelError, UserAlreadyExists
from semel.http.body import FormBody
from semel.http.html import page, refusal, said
from semel.http.invitations import INVITATIONS
from semel.http.limits import Limit, Limited
from semel.http.operations import Call, Operation
from semel.http.proofs import PROOFS, check_new
from semel.http.schemas import AcceptRequest, OpenRequest
from semel.model import Invitation, Link, Secret
from semel.protocol import inviting
from semel.states import InvitationState, LinkPurpose

__all__ = ["INVITATION_PAGES", "LINK_PAGES"]


class _Said(NamedTuple):
    """What the page of a link says before it is opened, and after."""

    title: str
    text: str
    button: str
    done: str
    now: str


_SIGN_IN: Final = "You can sign in with your new password now."
_OF: Final = {
    LinkPurpose.VERIFY: _Said(
        "Verify your email",
        "Choose a password, also if you chose one before: anybody may have signed up with your email.",
        "Verify email",
        "Your email is verified",
        _SIGN_IN,
    ),
    LinkPurpose.RECOVER: _Said(
        "Choose a new password",
        "Whoever is signed in to your account will be signed out.",
        "Set password",
        "Your password is set",
        _SIGN_IN,
    ),
    LinkPurpose.SET_PASSWORD: _Said(
        "Set your password",
        "There is an account for you. Choose its password.",
        "Set password",
        "Your password is set",
        _SIGN_IN,
    ),
    LinkPurpose.CHANGE_EMAIL: _Said(
        "Confirm your new email",
        "Your account is to have this email from now on.",
        "Confirm email",
        "Your email is changed",
        "Sign in with it from now on. Your password is the same.",
    ),
}


class _LinkForm(OpenRequest, frozen=True, kw_only=True):
    email: str | UnsetType = UNSET
    """Shown to people and their password managers; not heeded."""


class _AcceptForm(AcceptRequest, frozen=True, kw_only=True):
    password: Secret | None = None  # type: ignore[assignment]  # a form may be sent with an empty field
    key: str | None = None
    """The idempotency key: a second click is the same acceptance."""
    email: str | UnsetType = UNSET


_LINK: Final = FormBody(_LinkForm)
_ACCEPT: Final = FormBody(_AcceptForm)
_NO_PASSWORD: Final = FieldError("password", "required", "Choose a password")


def _token(call: Call) -> Secret:
    return Secret(call.scope["path_params"]["token"])


async def _show_link(call: Call) -> Response:
    return _link_page(call, await call.semel.link(_token(call)))


def _link_page(call: Call, link: Link, found: tuple[FieldError, ...] = ()) -> Response:
    words = _OF[link.purpose]
    return page(
        call,
        "link.html",
        InvalidInput.status if found else HTTPStatus.OK,
        title=words.title,
        text=words.text,
        button=words.button,
        shown=link.shown,
        leads_to_password=link.purpose is not LinkPurpose.CHANGE_EMAIL,
        found=found,
    )


async def _open_link(call: Call) -> Response:
    body = await call.read(_LINK)
    token = _token(call)
    link = await call.semel.link(token)
    try:
        check_new(body.password)
        await call.semel.open_link(token, password=body.password, sign_up_token=body.sign_up_token)
    except (InvalidInput, errors.ProviderRefused) as error:
        if not error.errors:
            raise
        return _link_page(call, link, error.errors)
    words = _OF[link.purpose]
    return said(call, words.done, words.now)


async def _show_invitation(call: Call) -> Response:
    invitation = await call.semel.invitation(_token(call))
    _check_open(call, invitation)
    return _invitation_page(call, invitation, _AcceptForm(key=call.semel.parts.engine.ids.uuid()))


def _check_open(call: Call, invitation: Invitation) -> None:
    """Raise why it can never be accepted; one that somebody accepts just now may become free again."""
    accepting = invitation.state is InvitationState.PROCESSING
    if not accepting and not inviting.can_be_accepted(invitation, call.semel.parts.engine.clock.now()):
        raise inviting.refusal(invitation)


def _invitation_page(
    call: Call, invitation: Invitation, given: _AcceptForm, error: SemelError | None = None
) -> Response:
    return page(
        call,
        "invitation.html",
        HTTPStatus.OK if error is None else error.status,
        title="You are invited",
        shown=invitation.email,
        role=invitation.role,
        note=invitation.note,
        key=given.key or call.semel.parts.engine.ids.uuid(),
        given=given,
        found=() if error is None else error.errors,
    )


async def _accept(call: Call) -> Response:
    body = await call.read(_ACCEPT)
    token = _token(call)
    invitation = await call.semel.invitation(token)
    try:
        await _accepted(call, token, body)
    except (InvalidInput, UserAlreadyExists, errors.ProviderRefused) as error:
        if not error.errors or any(one.field == "email" for one in error.errors):
            raise
        return _invitation_page(call, invitation, body, error)
    except errors.IdempotencyKeyReused:
        raise errors.InvitationUsed from None  # the page's own key has made the account
    return said(call, "Your account is there", f"Sign in with {invitation.email} and the password that you chose.")


async def _accepted(call: Call, token: Secret, body: _AcceptForm) -> None:
    if body.password is None:
        raise InvalidInput(errors=(_NO_PASSWORD,))
    registered = await call.semel.accept_invitation(
        token,
        password=body.password,
        full_name=body.full_name,
        username=body.username,
        idempotency_key=body.key,
    )
    if registered.replayed:
        await call.attempt.replayed()


_RAISES: Final = {one.name: one.raises for one in (*PROOFS, *INVITATIONS)}
"""A page answers what its operation answers."""

LINK_PAGES: Final = (
    Operation(
        name="link_page",
        method="GET",
        path="/links/{token}",
        summary="The page where a mail leads",
        handle=_show_link,
        raises=_RAISES["show_link"],
        tell=refusal,
    ),
    Operation(
        name="link_form",
        method="POST",
        path="/links/{token}",
        summary="Its form",
        handle=_open_link,
        raises=_RAISES["open_link"],
        tell=refusal,
    ),
)
"""The pages of links. They are no part of the OpenAPI document."""
INVITATION_PAGES: Final = (
    Operation(
        name="invitation_page",
        method="GET",
        path="/invitations/{token}",
        summary="The page where an invitation's mail leads",
        handle=_show_invitation,
        raises=(
            *_RAISES["show_invitation"],
            errors.InvitationUsed,
            errors.InvitationExpired,
            errors.InvitationRevoked,
        ),
        tell=refusal,
    ),
    Operation(
        name="invitation_form",
        method="POST",
        path="/invitations/{token}",
        summary="Its form",
        handle=_accept,
        limited=Limited(Limit.INVITATION),
        raises=_RAISES["accept_invitation"],
        tell=refusal,
    ),
)
"""The pages of invitations, likewise."""
