"""Nothing that the driver raises goes unmapped."""

import inspect

import asyncpg
import pytest

from semel.errors import (
    ApplicationRefused,
    CommitUnknown,
    ConfigurationInvalid,
    StoreError,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)
from semel.stores.postgres_errors import DRIVER_ERRORS, commit_error, connect_error, is_lost, read_error, start_error
from semel.stores.schema import ACCOUNT_EMAIL, IDENTIFIER_ACCOUNT

RAISED = [
    kind
    for _, kind in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(kind, Exception) and not issubclass(kind, Warning)
]


def server_error(state: str, **fields: str) -> asyncpg.PostgresError:
    """Return the error that the driver makes of a server's answer."""
    codes = {"severity_en": "V", "detail": "D", "constraint_name": "n"}
    error = asyncpg.PostgresError.new(
        {"V": "ERROR", "C": state, "M": "a message", **{codes[name]: value for name, value in fields.items()}}
    )
    assert isinstance(error, asyncpg.PostgresError)
    return error


def named(value: Exception | type[Exception]) -> str:
    return (value if isinstance(value, type) else type(value)).__name__


def test_every_class_of_the_driver_is_known() -> None:
    """All of them are caught, and each becomes an error of the port, whatever was asked of the server."""
    assert len(RAISED) > 200
    for kind in RAISED:
        assert issubclass(kind, DRIVER_ERRORS), kind
        error = kind("a message")
        assert isinstance(commit_error(error, (0,)), StoreError), kind
        assert isinstance(read_error(error), (StoreUnavailable, StoreRejected)), kind
        assert isinstance(start_error(error), (StoreUnavailable, ConfigurationInvalid)), kind


@pytest.mark.parametrize(
    ("error", "commit", "read"),
    [
        (TimeoutError(), CommitUnknown, StoreUnavailable),
        (ConnectionResetError(), CommitUnknown, StoreUnavailable),
        (asyncpg.InterfaceError("closed"), CommitUnknown, StoreUnavailable),
        (asyncpg.DataError("not sent"), StoreRejected, StoreRejected),
        (asyncpg.InternalClientError("what?"), CommitUnknown, StoreUnavailable),
        (server_error("08006"), CommitUnknown, StoreUnavailable),
        (server_error("40003"), CommitUnknown, StoreUnavailable),
        (server_error("57P01", severity_en="FATAL"), CommitUnknown, StoreUnavailable),
        (server_error("XX000", severity_en="PANIC"), CommitUnknown, StoreUnavailable),
        (server_error("40001"), StoreUnavailable, StoreUnavailable),
        (server_error("40P01"), StoreUnavailable, StoreUnavailable),
        (server_error("53200"), StoreUnavailable, StoreUnavailable),
        (server_error("55P03"), StoreUnavailable, StoreUnavailable),
        (server_error("57014"), StoreUnavailable, StoreUnavailable),
        (server_error("23505", constraint_name="of somebody else"), StoreRejected, StoreRejected),
        (server_error("23514", constraint_name=ACCOUNT_EMAIL), StoreRejected, StoreRejected),
        (server_error("25006"), StoreRejected, StoreRejected),
        (server_error("42501"), StoreRejected, StoreRejected),
        (server_error("42P01"), StoreRejected, StoreRejected),
        (server_error("53100"), StoreRejected, StoreRejected),
        (server_error("P0001"), StoreRejected, StoreRejected),
    ],
    ids=named,
)
def test_what_it_means(error: Exception, commit: type[Exception], read: type[Exception]) -> None:
    """After ERROR nothing was changed; after anything else a commit is in doubt."""
    assert type(commit_error(error, (0,))) is commit
    assert type(read_error(error)) is read
    assert is_lost(error) is (commit is CommitUnknown)


def test_places_become_positions() -> None:
    """Places are in the order of the store, positions in that of the caller."""
    refused = commit_error(server_error("SEMEL", detail="0,2"), (2, 0, 1))
    assert isinstance(refused, WriteRefused)
    assert refused.positions == (1, 2)


def test_a_place_behind_ours_is_the_applications() -> None:
    """Unless one of ours was refused as well."""
    assert isinstance(commit_error(server_error("SEMEL", detail="3"), (2, 0, 1)), ApplicationRefused)
    both = commit_error(server_error("SEMEL", detail="1,3"), (2, 0, 1))
    assert isinstance(both, WriteRefused)
    assert both.positions == (0,)


@pytest.mark.parametrize(("state", "constraint"), [("23505", ACCOUNT_EMAIL), ("23503", IDENTIFIER_ACCOUNT)])
def test_our_own_constraints_refuse(state: str, constraint: str) -> None:
    """By name, since the server knows no place."""
    refused = commit_error(server_error(state, constraint_name=constraint, detail="Key (email)=(a@b)"), (0,))
    assert isinstance(refused, WriteRefused)
    assert refused.constraint == constraint
    assert "a@b" not in str(refused)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (server_error("28P01"), ConfigurationInvalid),
        (server_error("3D000"), ConfigurationInvalid),
        (server_error("08P01"), ConfigurationInvalid),
        (asyncpg.ClientConfigurationError("no certificate"), ConfigurationInvalid),
        (server_error("53300", severity_en="FATAL"), StoreUnavailable),
        (server_error("57P03", severity_en="FATAL"), StoreUnavailable),
        (ConnectionRefusedError(), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
    ],
    ids=named,
)
def test_what_a_start_comes_to(error: Exception, kind: type[Exception]) -> None:
    """What the settings can mend, and what time can."""
    assert type(start_error(error)) is kind
    assert type(connect_error(error)) is StoreUnavailable, "a server that runs is not misconfigured"
