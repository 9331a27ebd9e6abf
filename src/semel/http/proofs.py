"""Proving an email, recovery, another email, another password: over HTTP.

What is asked for an email is answered before it is looked for, so that neither the answer nor its time tells whether
there is an account. A token stands in the path; log lines have the pattern of a path, never the path itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from fastapi import Response
from msgspec.structs import replace
from starlette.background import BackgroundTask

from semel import canonical, errors, passwords
from semel.errors import EmailNotVerified, InvalidCredentials, InvalidInput, SemelError
from semel.face import Semel
from semel.http.body import JsonBody
from semel.http.limits import Limit, Limited
from semel.http.operations import ANY, OF_A_BODY, Call, Operation, reply
from semel.http.schemas import (
    AskedAnswer,
    EmailChangeRequest,
    EmailRequest,
    LinkAnswer,
    OpenedAnswer,
    OpenRequest,
    PasswordChangeRequest,
    account_answer,
)
from semel.model import Secret
from semel.states import LinkPurpose

__all__ = ["PROOFS", "afterwards", "check_new", "unproved_hidden"]

_EMAIL: Final = JsonBody(EmailRequest)
_OPEN: Final = JsonBody(OpenRequest)
_NEW_EMAIL: Final = JsonBody(EmailChangeRequest)
_NEW_PASSWORD: Final = JsonBody(PasswordChangeRequest)
_ASKED: Final = AskedAnswer(message="If there is such an account, a mail is on its way")


_EITHER: Final = "Email or password is wrong, or the email is still to be verified: then open the link in the mail"
"""What is told of all three, where nothing may tell a new account from a taken email."""


@contextmanager
def unproved_hidden(call: Call) -> Iterator[None]:
    """Tell an account that awaits its proof from a wrong password only where sign-ups tell who has an account.

    Else whoever signs up, and in afterwards, would learn from that whether the email was new.
    """
    try:
        yield
    except (EmailNotVerified, InvalidCredentials):
        if call.semel.settings.enumeration == "open":
            raise
        raise InvalidCredentials(_EITHER) from None


def check_new(password: Secret | None, field: str = "password") -> None:
    """Refuse what nobody may choose for a password, before anything is looked at. Raises ``InvalidInput``."""
    faults = passwords.check(password) if password is not None else []
    if faults:
        raise InvalidInput(errors=tuple(replace(one, field=field) for one in faults))


def afterwards(semel: Semel, name: str, work: Callable[[], Awaitable[None]]) -> BackgroundTask:
    """Return what runs once the answer has been sent. The caller asks again where it fails; operators are told."""

    async def run() -> None:
        try:
            await work()
        except SemelError as error:
            semel.parts.engine.events.emit("mail.not_asked", {"for": name, "code": error.code})

    return BackgroundTask(run)


async def _asked(call: Call, name: str, work: Callable[[str], Awaitable[None]]) -> Response:
    body = await call.read(_EMAIL)
    await call.attempt.on(body.email)
    canonical.email(body.email, allow_special_use=call.semel.settings.allow_special_use_emails)
    answer = reply(_ASKED, HTTPStatus.ACCEPTED)
    answer.background = afterwards(call.semel, name, lambda: work(body.email))
    return answer


async def _recover(call: Call) -> Response:
    return await _asked(call, "recovery", call.semel.recover)


async def _resend(call: Call) -> Response:
    return await _asked(call, "verification", call.semel.resend_verification)


async def _show(call: Call) -> Response:
    link = await call.semel.link(_token(call))
    needs_password = link.purpose is not LinkPurpose.CHANGE_EMAIL
    return reply(
        LinkAnswer(purpose=link.purpose, email=link.shown, expires_at=link.expires_at, leads_to_password=needs_password)
    )


async def _open(call: Call) -> Response:
    body = await call.read(_OPEN)
    check_new(body.password)
    account = await call.semel.open_link(_token(call), password=body.password, sign_up_token=body.sign_up_token)
    return reply(OpenedAnswer(account=account_answer(account)))


def _token(call: Call) -> Secret:
    return Secret(call.scope["path_params"]["token"])


async def _change_password(call: Call) -> Response:
    body = await call.read(_NEW_PASSWORD)
    check_new(body.new_password, "new_password")
    await call.attempt.on(body.email)
    with unproved_hidden(call):
        account = await call.semel.change_password(body.email, body.password, body.new_password)
    return reply(OpenedAnswer(account=account_answer(account)))


async def _change_email(call: Call) -> Response:
    body = await call.read(_NEW_EMAIL)
    try:
        canonical.email(body.new_email, allow_special_use=call.semel.settings.allow_special_use_emails)
    except InvalidInput as error:
        error.errors = tuple(replace(one, field="new_email") for one in error.errors)
        raise
    await call.attempt.on(body.email)
    await call.attempt.on(body.new_email, Limit.RESEND)  # else one account fills anybody's mailbox
    with unproved_hidden(call):
        await call.semel.change_email(body.email, body.password, body.new_email)
    return reply(AskedAnswer(message="A mail is on its way to the new address"), HTTPStatus.ACCEPTED)


_OF_A_PASSWORD: Final = (
    errors.RateLimited,
    *OF_A_BODY,
    errors.InvalidCredentials,
    errors.AccountInactive,
    errors.EmailNotVerified,
    errors.Overloaded,
    errors.OutcomeUnknown,
    errors.ProviderUnavailable,
)
_OF_A_LINK: Final = (errors.LinkUnknown, errors.LinkUsed, errors.LinkExpired)

PROOFS: Final = (
    Operation(
        name="recover",
        method="POST",
        path="/api/auth/recover",
        summary="Ask for a link that leads to a new password; the answer never tells whether there is an account",
        handle=_recover,
        status=HTTPStatus.ACCEPTED,
        answer=AskedAnswer,
        body=EmailRequest,
        limited=Limited(Limit.RECOVERY),
        raises=(errors.RateLimited, *OF_A_BODY, *ANY),
    ),
    Operation(
        name="resend_verification",
        method="POST",
        path="/api/auth/resend",
        summary="Ask for the link of the first proof once more",
        handle=_resend,
        status=HTTPStatus.ACCEPTED,
        answer=AskedAnswer,
        body=EmailRequest,
        limited=Limited(Limit.RESEND),
        raises=(errors.RateLimited, *OF_A_BODY, *ANY),
    ),
    Operation(
        name="change_password",
        method="POST",
        path="/api/auth/password",
        summary="Set a new password, for who knows the present one; all sessions end",
        handle=_change_password,
        answer=OpenedAnswer,
        body=PasswordChangeRequest,
        limited=Limited(Limit.SIGN_IN),
        raises=(*_OF_A_PASSWORD, errors.ChangeInProgress, errors.ProviderRefused, errors.NotFound, *ANY),
    ),
    Operation(
        name="change_email",
        method="POST",
        path="/api/auth/email",
        summary="Ask for a link to the email that the account is to have, for who knows its password",
        handle=_change_email,
        status=HTTPStatus.ACCEPTED,
        answer=AskedAnswer,
        body=EmailChangeRequest,
        limited=Limited(Limit.SIGN_IN),
        raises=(*_OF_A_PASSWORD, errors.ChangeInProgress, errors.LinkUnknown, *ANY),
    ),
    Operation(
        name="show_link",
        method="GET",
        path="/api/links/{token}",
        summary="Show what a link in a mail is for; nothing is changed by looking",
        handle=_show,
        answer=LinkAnswer,
        raises=(*_OF_A_LINK, *ANY),
    ),
    Operation(
        name="open_link",
        method="POST",
        path="/api/links/{token}",
        summary="Do what a link in a mail is for, once",
        handle=_open,
        answer=OpenedAnswer,
        body=OpenRequest,
        raises=(
            *OF_A_BODY,
            *_OF_A_LINK,
            errors.ChangeInProgress,
            errors.UserAlreadyExists,
            errors.RegistrationInFlight,
            errors.ProviderRefused,
            errors.NotFound,
            errors.Overloaded,
            errors.OutcomeUnknown,
            *ANY,
        ),
    ),
)
"""All that the server does for a person's own account."""
