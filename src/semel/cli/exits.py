"""What a command's exit code says."""

from __future__ import annotations

from enum import IntEnum
from http import HTTPStatus
from typing import Final

from semel.errors import ConfigurationInvalid, InvalidInput, NotFound, SemelError, StoreInconsistent, StoreRejected

__all__ = ["MEANINGS", "Exit", "exit_of"]


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FINDING = 1
    USAGE = 2
    UNAVAILABLE = 3
    REFUSED = 4


MEANINGS: Final = {
    Exit.OK: "done",
    Exit.FINDING: "what was asked for is not there, or something was found wrong",
    Exit.USAGE: "the command line, a setting or the input is wrong",
    Exit.UNAVAILABLE: "the store, the identity provider or the mail server is not available: try again",
    Exit.REFUSED: "refused; the line on stderr says why",
}
"""What each says."""


def exit_of(error: SemelError) -> Exit:
    """Return the exit code that an error ends a command with."""
    if isinstance(error, ConfigurationInvalid | InvalidInput):
        return Exit.USAGE
    if isinstance(error, NotFound):
        return Exit.FINDING
    if isinstance(error, StoreRejected | StoreInconsistent):  # 503 to the caller of a server, but trying again is vain
        return Exit.REFUSED
    return Exit.UNAVAILABLE if error.status == HTTPStatus.SERVICE_UNAVAILABLE else Exit.REFUSED
