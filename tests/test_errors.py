"""One tree of errors, one list of codes."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest

from semel import errors
from semel.errors import FieldError, IdentityOutcome, SemelError, UserAlreadyExists, WriteRefused, every_error

DOCUMENTED = Path(__file__).parent.parent / "docs" / "errors.md"


def test_the_tree_drawn_at_the_top_is_the_tree() -> None:
    """The module's picture names each error with the code and status it has."""
    drawn = re.findall(r"── (\w+) +([a-z_]+) +(\d{3})$", errors.__doc__ or "", re.MULTILINE)
    assert drawn == [(kind.__name__, kind.code, str(kind.status)) for kind in every_error()]


def test_every_code_is_documented_once() -> None:
    """The list in the documentation is the list in the code, in the same order."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", DOCUMENTED.read_text(), re.MULTILINE)
    assert rows == [(kind.code, str(kind.status)) for kind in every_error()]


def test_codes_are_unique() -> None:
    """No two errors share a code."""
    codes = [kind.code for kind in every_error()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_an_error_survives_pickling(kind: type[SemelError]) -> None:
    """What it says is the same on the other side of a process boundary."""
    error = kind("why", (FieldError("email", "taken", "Email is taken"),), 1.5, "r1", IdentityOutcome.REMOVED)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.errors, again.retry_after, again.registration_id) == ("why", error.errors, 1.5, "r1")
    assert again.identity is IdentityOutcome.REMOVED


def test_a_refusal_survives_copying() -> None:
    """Positions and constraint are arguments, so that copies and pickles keep them."""
    again = copy.copy(WriteRefused((1, 2), "accounts_email"))
    assert (again.positions, again.constraint) == ((1, 2), "accounts_email")


def test_an_error_without_detail_says_its_title() -> None:
    """There is always a sentence for people."""
    assert str(UserAlreadyExists()) == "An account with these details already exists"
