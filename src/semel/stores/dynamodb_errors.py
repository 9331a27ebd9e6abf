"""What the SDK raises, as the errors of the port. This is the one place that knows DynamoDB's error codes.

An answer with a status below 500 says that nothing was changed. Whatever else comes of a request (it broke, timed out,
was answered with 500 or more, or with what nobody can read) leaves a commit in doubt, unless it is certain that the
request was never sent.

The service's own messages may show values of items, so they are neither quoted nor chained.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as TransportError,
)
from botocore.parsers import ResponseParserError

from semel.errors import (
    CommitUnknown,
    ConfigurationInvalid,
    SemelError,
    StoreError,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)

__all__ = [
    "DRIVER_ERRORS",
    "UnforeseenError",
    "code",
    "commit_error",
    "is_broken",
    "is_in_progress",
    "is_retried",
    "missing_table",
    "read_error",
    "sdk_errors_alone",
    "start_error",
]

DRIVER_ERRORS: Final = (BotoCoreError, ClientError, ResponseParserError)
"""All that the SDK raises for a request, within ``sdk_errors_alone``."""

_REFUSED: Final = "ConditionalCheckFailed"
_CANCELLED: Final = "TransactionCanceledException"
_IN_PROGRESS: Final = "TransactionInProgressException"
"""A request of this very token is under way: somebody between us and the service sent ours twice."""
_RETRIED: Final = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
    }
)
"""Undone only because of others that ran beside it, or of how many they were."""
_LOGIN: Final = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
"""Credentials that are wrong, or have expired and will be replaced."""
_RIGHTS: Final = frozenset({"AccessDeniedException", "OptInRequired"})
_MISSING: Final = frozenset({"ResourceNotFoundException", "TableNotFoundException"})
_TRANSPORT: Final = (HTTPClientError, TransportError)
_UNREADABLE: Final = (FileNotFoundError, NotADirectoryError, PermissionError, ssl.SSLError)
"""What comes of reading a file of certificates; the SDK reads it with each connection, and calls that an HTTP error."""
_UNSENT: Final = (
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
"""What is raised before a request leaves. Whatever is not named here may come after it."""
_BEFORE_CONNECTING: Final = (aiohttp.ClientConnectorError, socket.gaierror)


class UnforeseenError(BotoCoreError):
    """An error that the SDK lets through and that is none of its own."""

    fmt = "The SDK let an error through that is none of its own."


@contextmanager
def sdk_errors_alone() -> Iterator[None]:
    """Let none but the SDK's errors out of it: a file of credentials may be missing, an answer may be no text."""
    try:
        yield
    except (*DRIVER_ERRORS, SemelError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, a commit is in doubt
        raise UnforeseenError(error=error) from None


def code(error: Exception) -> str:
    """Return the service's code, or the class of an error that is none of the service's: neither has a value in it."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or error.response["ResponseMetadata"]["HTTPStatusCode"])
    return type(error.kwargs["error"] if isinstance(error, UnforeseenError) else error).__name__


def is_retried(error: Exception) -> bool:
    """Tell whether nothing was done only because of others, so that the same does as well a moment later."""
    codes = set(_reasons(error)) or {code(error)}
    return _is_answer(error) and codes <= _RETRIED


def is_in_progress(error: Exception) -> bool:
    """Tell whether the service is at work on a request of the same token, and will tell by it how that ended."""
    return code(error) == _IN_PROGRESS


def is_broken(error: Exception) -> bool:
    """Tell whether a look is worth another one: its connection, idle for too long, broke, or the service stumbled."""
    return _is_lost(error) and not isinstance(error, ReadTimeoutError)


def commit_error(error: Exception, order: Sequence[int], *, doubt: bool = False) -> StoreError:
    """Return what a commit came to that raised this; ``order`` has the positions of the writes by place.

    ``doubt`` says that the same request was met before: it may be what refuses this one.
    """
    if doubt or _is_lost(error) or is_in_progress(error):
        return CommitUnknown("DynamoDB's answer to a commit was lost.")
    if code(error) == "ConditionalCheckFailedException":
        return WriteRefused((order[0],))
    refused = [order[place] for place, reason in enumerate(_all_reasons(error)) if reason == _REFUSED]
    return WriteRefused(tuple(sorted(refused))) if refused else read_error(error)


def read_error(error: Exception) -> StoreError:
    """Return the error of a request that changes nothing."""
    if _is_lost(error):
        return StoreUnavailable("DynamoDB did not answer.")
    said = ", ".join(sorted({code(error), *_reasons(error)}))
    if is_retried(error):
        return StoreUnavailable(f"DynamoDB is busy ({said}).")
    if code(error) in _LOGIN:
        return StoreUnavailable(f"DynamoDB does not take the credentials, for now ({code(error)}).")
    if isinstance(error, ParamValidationError) or _is_answer(error):
        return StoreRejected(f"DynamoDB refuses the request ({said}): for want of a table or a right, or by a limit.")
    return StoreUnavailable(f"DynamoDB cannot be reached ({code(error)}).")


def start_error(error: Exception) -> StoreError | ConfigurationInvalid:
    """Return the error of the very first request: what the settings can mend is said as such."""
    if code(error) in _MISSING:
        return missing_table()
    if code(error) in _LOGIN:
        return ConfigurationInvalid(f"DynamoDB does not take the credentials that the SDK found ({code(error)}).")
    if code(error) in _RIGHTS:
        return ConfigurationInvalid(
            "The credentials lack a right at the DynamoDB table: docs/how-to/dynamodb.md lists those needed."
        )
    if type(error) is HTTPClientError and isinstance(error.kwargs.get("error"), _UNREADABLE):
        return ConfigurationInvalid(
            f"The AWS SDK cannot use its certificates ({code(error.kwargs['error'])}): "
            "AWS_CA_BUNDLE, or ca_bundle in the profile, must name a file of them in PEM format."
        )
    if isinstance(error, (*_TRANSPORT, ChecksumError, ClientError, ResponseParserError)):
        return read_error(error)
    return ConfigurationInvalid(
        f"The AWS SDK finds no way to DynamoDB ({code(error)}): name a region (in the URL or AWS_REGION), "
        "and give credentials (a profile, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."
    )


def missing_table() -> ConfigurationInvalid:
    """Return what is said where the table is not there."""
    return ConfigurationInvalid("The DynamoDB table does not exist yet: run `semel migrate`, then start again.")


def _is_answer(error: Exception) -> bool:
    """Tell whether the service answered, and thereby said that it did nothing."""
    return isinstance(error, ClientError) and _status(error) < HTTPStatus.INTERNAL_SERVER_ERROR


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _is_lost(error: Exception) -> bool:
    """Tell whether it is not known what the service made of the request."""
    if isinstance(error, ClientError):
        return not _is_answer(error)
    return not _is_unsent(error)


def _is_unsent(error: Exception) -> bool:
    # The SDK says "could not connect" of a connection that broke halfway as well: only the cause tells.
    return isinstance(error, _UNSENT) or (
        isinstance(error, EndpointConnectionError) and isinstance(error.kwargs.get("error"), _BEFORE_CONNECTING)
    )


def _all_reasons(error: Exception) -> list[str]:
    """Return a cancelled transaction's reasons, one a write."""
    if not isinstance(error, ClientError) or code(error) != _CANCELLED:
        return []
    reasons: list[dict[str, str]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return [reason.get("Code", "None") for reason in reasons]


def _reasons(error: Exception) -> list[str]:
    return [reason for reason in _all_reasons(error) if reason != "None"]
