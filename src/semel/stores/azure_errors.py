"""What the SDK raises, as the errors of the port. This is the one place that knows the service's error codes [1]_.

A change is known not to have been done only where the service says so by a code of its own, or no connection was made.
Everything else leaves it in doubt: a time-out, a broken connection, any 5xx. That holds for 503 ``ServerBusy`` too: the
service's pages call it a server that receives no requests as well as one past its limits, and promise for neither
that nothing was done.

The SDK's own errors show addresses with keys in them, so they are neither quoted nor chained.

.. [1] Status and error codes, and Table Storage error codes, learn.microsoft.com.
"""

from __future__ import annotations

import json
from typing import Any, Final

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)

from semel.errors import ConfigurationInvalid, StoreError, StoreRejected, StoreUnavailable
from semel.stores.azure_entities import ConditionFailed, NotAnswered
from semel.stores.azure_url import CONNECTION_STRING, AzureTarget

__all__ = [
    "SDK_ERRORS",
    "change_error",
    "credential_error",
    "is_absent",
    "is_broken",
    "is_busy",
    "is_held_back",
    "read_error",
    "start_error",
    "table_exists",
]

SDK_ERRORS: Final = (AzureError, ValueError, AttributeError, TimeoutError)
"""All that a call of the SDK raises. ``ValueError`` for an answer that is none; ``AttributeError`` where
``create_entity`` stumbles over an error without an answer, such as a token that was not given."""

_REFUSED: Final = frozenset(
    {"ConditionNotMet", "EntityAlreadyExists", "EntityNotFound", "ResourceNotFound", "UpdateConditionNotSatisfied"}
)
_ABSENT: Final = frozenset({"EntityNotFound", "ResourceNotFound"})
_NO_TABLE: Final = "TableNotFound"
_LIMITS: Final = {
    "EntityTooLarge": "an entity has at most 1 MiB",
    "KeyValueTooLarge": "a key has at most 1 KiB",
    "PropertyValueTooLarge": "a value has at most 64 KiB, in UTF-16",
    "RequestBodyTooLarge": "a transaction has at most 4 MiB",
    "TooManyProperties": "an entity has at most 252 properties",
}
_REQUEST_TIMEOUT: Final = 408
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_FORBIDDEN: Final = frozenset({401, 403})

MISSING_TABLE: Final = "The table does not exist: run `semel migrate`."


def is_absent(error: Exception) -> bool:
    """Tell whether the service says that there is no such entity, in a table that is there."""
    return _code(_met(error)) in _ABSENT


def is_held_back(error: Exception) -> bool:
    """Tell whether the request was turned away unread for coming too fast (RFC 6585), so that nothing was done."""
    return _status(_met(error)) == _TOO_MANY


def is_busy(error: Exception) -> bool:
    """Tell whether the service asks to come again later. What a change did is not known then."""
    return is_held_back(error) or _status(_met(error)) == _UNAVAILABLE


def is_broken(error: Exception) -> bool:
    """Tell whether a connection broke that was there: perhaps a kept one, which the server had just closed."""
    met = _met(error)
    answered = isinstance(met, HttpResponseError | ServiceResponseTimeoutError)
    return isinstance(met, AzureError) and not answered and not _unsent(met)


def table_exists(error: Exception) -> bool:
    """Tell whether a table could not be made since it is there."""
    return _code(_met(error)) == "TableAlreadyExists"


def change_error(error: Exception) -> StoreError | ConditionFailed | NotAnswered:
    """Return what a change came to whose call raised this."""
    met = _met(error)
    if _code(met) in _REFUSED:
        return ConditionFailed("refused for its condition")
    return NotAnswered("no answer to a change") if _in_doubt(met) else _plain_error(met)


def read_error(error: Exception) -> StoreError:
    """Return the error of a request that changes nothing."""
    met = _met(error)
    return StoreUnavailable("Azure Tables did not answer.") if _in_doubt(met) else _plain_error(met)


def start_error(target: AzureTarget, error: Exception) -> StoreError | ConfigurationInvalid:
    """Return the error of the very first request: what the settings can mend is said as such."""
    met = _met(error)
    if _code(met) == _NO_TABLE:
        return ConfigurationInvalid(MISSING_TABLE)
    if _status(met) in _FORBIDDEN:
        right = "the key, or the role Storage Table Data Contributor, is missing"
        return ConfigurationInvalid(f"Azure Tables refuses the credential ({_name(met)}): {right}.")
    if isinstance(met, ClientAuthenticationError):
        return ConfigurationInvalid(_no_credential(target))
    return read_error(met)


def credential_error(error: Exception) -> ConfigurationInvalid:
    """Return the error of a credential that could not even be made from the environment."""
    what = "AZURE_TENANT_ID, AZURE_AUTHORITY_HOST, AZURE_TOKEN_CREDENTIALS or a certificate's path is wrong"
    return ConfigurationInvalid(f"Microsoft Entra ID cannot be asked ({type(error).__name__}): {what}.")


def _no_credential(target: AzureTarget) -> str:
    if target.host is None:
        return f"{CONNECTION_STRING} is malformed: copy it again from the account's access keys."
    return "Microsoft Entra ID gave no token: set AZURE_CLIENT_ID and its like, or give the machine a managed identity."


def _plain_error(error: Exception) -> StoreError:
    """Return the error of a request of which is known that nothing came of it."""
    code, status = _code(error), _status(error)
    if status == _TOO_MANY:
        return StoreUnavailable("Azure Tables is busy (429).")
    if isinstance(error, ClientAuthenticationError) and status is None:
        return StoreUnavailable(f"No credential for Azure Tables could be had ({type(error).__name__}).")
    if status is None:
        return StoreUnavailable("Azure Tables cannot be reached.")
    if code == _NO_TABLE:
        return StoreRejected(MISSING_TABLE)
    if code in _LIMITS:
        return StoreRejected(f"Azure Tables refuses the change: {_LIMITS[code]} ({code}).")
    return StoreRejected(f"Azure Tables refuses the request ({_name(error)}).")


def _in_doubt(error: Exception) -> bool:
    """Tell whether it is not known what the service made of the request."""
    status = _status(error)
    if status is None:
        return not (_unsent(error) or isinstance(error, ClientAuthenticationError))
    return status == _REQUEST_TIMEOUT or not 400 <= status < 500  # noqa: PLR2004 - HTTP's classes


def _unsent(error: Exception) -> bool:
    """Tell whether not even a connection was made. The SDK calls a broken one an error of the request as well."""
    made = getattr(error, "inner_exception", None)
    return isinstance(error, ServiceRequestTimeoutError) or (
        isinstance(error, ServiceRequestError) and isinstance(made, aiohttp.ClientConnectorError)
    )


def _met(error: Exception) -> Exception:
    """Return the error itself, or the one over which the SDK stumbled."""
    met = error.__context__ if isinstance(error, AttributeError) else None
    return met if isinstance(met, AzureError) else error


def _status(error: Exception) -> int | None:
    """Return the answer's status; ``None`` where there was no answer of the service."""
    return error.status_code if isinstance(error, HttpResponseError) and error.response is not None else None


def _name(error: Exception) -> str:
    """Return the service's code, or else the status: neither has a value in it."""
    return _code(error) or str(_status(error))


def _code(error: Exception) -> str:
    """Return the service's error code, or the empty string. ``create_entity`` leaves its errors undecoded."""
    answer: Any = error.response if isinstance(error, HttpResponseError) else None
    if answer is None:
        return ""
    if code := answer.headers.get("x-ms-error-code"):
        return str(code)
    try:
        return str(json.loads(answer.text())["odata.error"]["code"])
    except (ValueError, LookupError, TypeError):
        return ""  # somebody else's page
