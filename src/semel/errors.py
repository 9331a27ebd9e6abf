"""Every error Semel raises, in one tree.

::

    SemelError
    ├── InvalidInput                 invalid_input            422
    ├── UserAlreadyExists            user_already_exists      409
    ├── IdentityAlreadyExists        identity_already_exists  409
    ├── IdempotencyKeyReused         idempotency_key_reused   422
    ├── RegistrationInFlight         registration_in_flight   409
    ├── OutcomeUnknown               outcome_unknown          503
    ├── RegistrationWithdrawn        registration_withdrawn   410
    ├── ApplicationRefused           application_refused      409
    ├── ProviderRefused              provider_refused         422
    ├── ProviderUnavailable          provider_unavailable     503
    ├── InvalidCredentials           invalid_credentials      401
    ├── InvalidToken                 invalid_token            401
    ├── AccountInactive              account_inactive         403
    ├── EmailNotVerified             email_not_verified       403
    ├── Forbidden                    forbidden                403
    ├── PreconditionFailed           precondition_failed      412
    ├── NotFound                     not_found                404
    ├── InvitationUnknown            invitation_unknown       404
    ├── InvitationUsed               invitation_used          409
    ├── InvitationExpired            invitation_expired       410
    ├── InvitationRevoked            invitation_revoked       410
    ├── AlreadyInvited               already_invited          409
    ├── LinkUnknown                  link_unknown             404
    ├── LinkUsed                     link_used                409
    ├── LinkExpired                  link_expired             410
    ├── ChangeInProgress             change_in_progress       409
    ├── EventNotDead                 event_not_dead           409
    ├── Overloaded                   overloaded               503
    ├── RateLimited                  rate_limited             429
    ├── ConfigurationInvalid         configuration_invalid    500
    ├── MalformedBody                malformed_body           400
    ├── IdempotencyKeyInvalid        idempotency_key_invalid  400
    ├── MethodNotAllowed             method_not_allowed       405
    ├── RequestTimeout               request_timeout          408
    ├── BodyTooLarge                 body_too_large           413
    ├── UnsupportedMediaType         unsupported_media_type   415
    ├── RequestHeadTooLarge          request_head_too_large   431
    ├── MalformedRequest             malformed_request        400
    ├── InternalError                internal_error           500
    ├── NotReady                     not_ready                503
    └── StoreError
        ├── StoreInconsistent        store_inconsistent       503
        ├── StoreUnavailable         store_unavailable        503
        ├── StoreRejected            store_rejected           503
        └── CommitFailed             (never leaves the engine)
            ├── WriteRefused
            └── CommitUnknown

A code is stable: library, HTTP and command line show the same one. ``status`` is the HTTP status (RFC 9110) it is
answered with. No error carries what the caller typed, so none can carry a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec
from typing_extensions import override

__all__ = [
    "AccountInactive",
    "AlreadyInvited",
    "ApplicationRefused",
    "BodyTooLarge",
    "ChangeInProgress",
    "CommitFailed",
    "CommitUnknown",
    "ConfigurationInvalid",
    "EmailNotVerified",
    "EventNotDead",
    "FieldError",
    "Forbidden",
    "IdempotencyKeyInvalid",
    "IdempotencyKeyReused",
    "IdentityAlreadyExists",
    "IdentityOutcome",
    "InternalError",
    "InvalidCredentials",
    "InvalidInput",
    "InvalidToken",
    "InvitationExpired",
    "InvitationRevoked",
    "InvitationUnknown",
    "InvitationUsed",
    "LinkExpired",
    "LinkUnknown",
    "LinkUsed",
    "MalformedBody",
    "MalformedRequest",
    "MethodNotAllowed",
    "NotFound",
    "NotReady",
    "OutcomeUnknown",
    "Overloaded",
    "PreconditionFailed",
    "ProviderRefused",
    "ProviderUnavailable",
    "RateLimited",
    "RegistrationInFlight",
    "RegistrationWithdrawn",
    "RequestHeadTooLarge",
    "RequestTimeout",
    "SemelError",
    "StoreError",
    "StoreInconsistent",
    "StoreRejected",
    "StoreUnavailable",
    "UnsupportedMediaType",
    "UserAlreadyExists",
    "WriteRefused",
    "every_error",
]


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field, as the caller named it: a stable ``code``, and a ``message`` for people."""

    field: str
    code: str
    message: str


class IdentityOutcome(StrEnum):
    """What became of the identity that a failed registration had made at a remote provider, or may have made."""

    REMOVED = "removed"
    """The provider has none: it has deleted it, or never made it. Upkeep still looks, for as long as a request of ours
    could land late."""
    REMOVAL_DUE = "removal_due"
    """It may still be there. Its removal is durable, and upkeep ends it."""


class SemelError(Exception):
    """The root of the tree.

    ``detail`` is a sentence for people; ``errors`` names fields; ``retry_after`` is in seconds, where coming back makes
    sense; ``registration_id`` names the registration, so that the caller and an operator can speak of it; ``identity``
    says what became of the identity, where the registration failed after one was made, or may have been.
    """

    code: ClassVar[str] = "semel_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Semel error"

    def __init__(
        self,
        detail: str = "",
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        registration_id: str | None = None,
        identity: IdentityOutcome | None = None,
    ) -> None:
        super().__init__(detail, errors, retry_after, registration_id, identity)
        self.detail = detail or self.title
        self.errors = errors
        self.retry_after = retry_after
        self.registration_id = registration_id
        self.identity = identity

    @override
    def __str__(self) -> str:
        """Return the detail alone, as a person reads it."""
        return self.detail


class InvalidInput(SemelError):
    """A field is missing, malformed or not allowed; ``errors`` names each and its remedy. Nothing was changed."""

    code = "invalid_input"
    status = 422
    title = "The request is not valid"


class UserAlreadyExists(SemelError):
    """An account owns one of the identifiers; ``errors`` names every one that is taken."""

    code = "user_already_exists"
    status = 409
    title = "An account with these details already exists"


class IdentityAlreadyExists(SemelError):
    """The provider has an identity with this email which is none of ours. It was left alone."""

    code = "identity_already_exists"
    status = 409
    title = "The identity provider already has an identity with this email"


class IdempotencyKeyReused(SemelError):
    """The idempotency key was used before with another payload or another password. Nothing is told of the other."""

    code = "idempotency_key_reused"
    status = 422
    title = "This idempotency key was used for another request"


class RegistrationInFlight(SemelError):
    """A registration that stands in the way did not end within the wait. Come back after ``retry_after`` seconds."""

    code = "registration_in_flight"
    status = 409
    title = "A registration with these details is in progress"


class OutcomeUnknown(SemelError):
    """Whether it happened is not known yet; the same request (with the same key) finds out, or upkeep does."""

    code = "outcome_unknown"
    status = 503
    title = "The outcome is not known yet"


class RegistrationWithdrawn(SemelError):
    """The account that this key made has been deleted since; the key makes no other."""

    code = "registration_withdrawn"
    status = 410
    title = "The account made by this request was deleted"


class ApplicationRefused(SemelError):
    """The application's own row or callback refused the account. The registration failed.

    ``identity`` says whether its identity is removed already, or will be.
    """

    code = "application_refused"
    status = 409
    title = "The application refused the account"


class ProviderRefused(SemelError):
    """The identity provider refused the identity for good (a password rule, a malformed email); nothing is left."""

    code = "provider_refused"
    status = 422
    title = "The identity provider refused the request"


class ProviderUnavailable(SemelError):
    """The identity provider did not answer, and nothing of ours hangs on it.

    Come back after ``retry_after`` seconds.
    """

    code = "provider_unavailable"
    status = 503
    title = "The identity provider is not available"


class InvalidCredentials(SemelError):
    """The email is unknown or the password is wrong: the two are not told apart."""

    code = "invalid_credentials"
    status = 401
    title = "Email or password is wrong"


class InvalidToken(SemelError):
    """An access or refresh token is malformed, expired, of an older epoch, or was used before: sign in again."""

    code = "invalid_token"
    status = 401
    title = "The token is not valid"


class AccountInactive(SemelError):
    """The password is right, but the account is switched off."""

    code = "account_inactive"
    status = 403
    title = "The account is not active"


class EmailNotVerified(SemelError):
    """The password is right, but nobody has proved the account's email yet: the link in the mail does."""

    code = "email_not_verified"
    status = 403
    title = "Please verify your email before logging in"


class Forbidden(SemelError):
    """The token is good, but its account has no administrator's role, or the API key has not the scope."""

    code = "forbidden"
    status = 403
    title = "This is not yours to do"


class PreconditionFailed(SemelError):
    """The account is no longer at the version that ``If-Match`` names: read it again. Nothing was changed."""

    code = "precondition_failed"
    status = 412
    title = "The account has changed meanwhile"


class NotFound(SemelError):
    """No such account, registration or path."""

    code = "not_found"
    status = 404
    title = "Not found"


class InvitationUnknown(SemelError):
    """No invitation has this token: it is misspelt, or the invitation was sent again, and a newer mail has another."""

    code = "invitation_unknown"
    status = 404
    title = "There is no such invitation"


class InvitationUsed(SemelError):
    """The invitation was accepted before. Nothing was changed."""

    code = "invitation_used"
    status = 409
    title = "The invitation has been accepted already"


class InvitationExpired(SemelError):
    """The invitation's time is over. Nothing was changed."""

    code = "invitation_expired"
    status = 410
    title = "The invitation has expired"


class InvitationRevoked(SemelError):
    """Whoever invites took the invitation back. Nothing was changed."""

    code = "invitation_revoked"
    status = 410
    title = "The invitation was taken back"


class AlreadyInvited(SemelError):
    """The email has an invitation that has not ended. Nothing was changed."""

    code = "already_invited"
    status = 409
    title = "This email has a pending invitation"


class LinkUnknown(SemelError):
    """No link has this token: it is misspelt, or its account has gone, or a newer mail has another."""

    code = "link_unknown"
    status = 404
    title = "There is no such link"


class LinkUsed(SemelError):
    """The link was opened before, and did what it is for. Nothing was changed."""

    code = "link_used"
    status = 409
    title = "The link has been used already"


class LinkExpired(SemelError):
    """The link's time is over, or the account has changed since in a way that ends its links. Nothing was changed."""

    code = "link_expired"
    status = 410
    title = "The link is no longer good"


class ChangeInProgress(SemelError):
    """An earlier change of the account's password or email may still land at the identity provider.

    Come back after ``retry_after`` seconds. Nothing was changed.
    """

    code = "change_in_progress"
    status = 409
    title = "Another change is under way"


class EventNotDead(SemelError):
    """The outbox's event was delivered already, so there is nothing to replay. Nothing was changed."""

    code = "event_not_dead"
    status = 409
    title = "The event was delivered already"


class Overloaded(SemelError):
    """A bounded queue (of password hashes, say) is full; nothing was done. Come back after ``retry_after`` seconds."""

    code = "overloaded"
    status = 503
    title = "The server is busy"


class RateLimited(SemelError):
    """This was tried too often, from this address or for this account; nothing was done.

    Come back after ``retry_after`` seconds. Whether there is such an account plays no part. Over HTTP alone.
    """

    code = "rate_limited"
    status = 429
    title = "Too many attempts"


class ConfigurationInvalid(SemelError):
    """A setting is missing or contradicts another; the start is refused."""

    code = "configuration_invalid"
    title = "The configuration is not valid"


class MalformedBody(SemelError):
    """The body is not JSON (RFC 8259) in UTF-8, or is nested too deeply. Nothing was changed."""

    code = "malformed_body"
    status = 400
    title = "The body is not valid JSON"


class IdempotencyKeyInvalid(SemelError):
    """The ``Idempotency-Key`` header is given twice, is too short or too long, or is no string. Nothing was changed."""

    code = "idempotency_key_invalid"
    status = 400
    title = "The Idempotency-Key header is not valid"


class MethodNotAllowed(SemelError):
    """The path exists, but not for this method; the header ``Allow`` names those that it has."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class RequestTimeout(SemelError):
    """The request did not arrive whole in time (its body: ``SEMEL_BODY_SECONDS``). Nothing was changed."""

    code = "request_timeout"
    status = 408
    title = "The request did not arrive in time"


class BodyTooLarge(SemelError):
    """The body is larger than the server takes (``SEMEL_MAX_BODY_BYTES``). Nothing was changed."""

    code = "body_too_large"
    status = 413
    title = "The body is too large"


class UnsupportedMediaType(SemelError):
    """The body is not announced as ``application/json`` in UTF-8, or it is compressed. Nothing was changed."""

    code = "unsupported_media_type"
    status = 415
    title = "Send the body as application/json"


class RequestHeadTooLarge(SemelError):
    """The request's line and headers are longer than 64 KiB. Nothing was changed."""

    code = "request_head_too_large"
    status = 431
    title = "The headers are too large"


class MalformedRequest(SemelError):
    """What was sent is no HTTP request (RFC 9112). Nothing was changed."""

    code = "malformed_request"
    status = 400
    title = "This is no HTTP request"


class InternalError(SemelError):
    """An error in the program. The server's log has it under the request id that the answer names."""

    code = "internal_error"
    status = 500
    title = "Something went wrong on the server"


class NotReady(SemelError):
    """The server should get no requests now; ``errors`` says why, part by part."""

    code = "not_ready"
    status = 503
    title = "The server is not ready"


class StoreError(SemelError):
    """The store did not do what was asked, and nothing was changed unless a subclass says otherwise."""

    code = "store_error"
    status = 503
    title = "The store failed"


class StoreInconsistent(StoreError):
    """The store refuses a write that no record explains: somebody edited its tables."""

    code = "store_inconsistent"
    title = "The store contradicts itself"


class StoreUnavailable(StoreError):
    """The store cannot be reached, is locked or is overloaded; nothing was changed. It may work a moment later."""

    code = "store_unavailable"
    title = "The store is not available"


class StoreRejected(StoreError):
    """The store refuses this commit for good, and not because of a record of ours.

    A missing table, a missing right, a full disk, a constraint that somebody added. Nothing was changed, but that a
    registration failed, where it had begun; ``identity`` says what became of its identity.
    """

    code = "store_rejected"
    title = "The store refused the change"


class CommitFailed(StoreError):
    """What a commit can come to besides done; the engine settles both kinds itself."""


class WriteRefused(CommitFailed):
    """A conditional write met another state, so the whole commit did nothing.

    ``positions`` are indices into the commit's writes, at least one of those refused; empty where only ``constraint``,
    the name of a secondary constraint, is known.
    """

    def __init__(self, positions: tuple[int, ...] = (), constraint: str | None = None) -> None:
        super().__init__(f"refused: {positions or constraint}")
        self.args = (positions, constraint)
        self.positions = positions
        self.constraint = constraint


class CommitUnknown(CommitFailed):
    """The answer to a commit was lost: it happened, or did not, or will happen later."""


def every_error(root: type[SemelError] = SemelError) -> list[type[SemelError]]:
    """Return the errors that a caller can meet, in the order of the tree."""
    found: list[type[SemelError]] = []
    for kind in root.__subclasses__():
        if not issubclass(kind, CommitFailed):
            found += [] if kind is StoreError else [kind]
            found += every_error(kind)
    return found
