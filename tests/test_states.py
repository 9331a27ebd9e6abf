"""The tables of transitions are complete and closed."""

from __future__ import annotations

from enum import StrEnum

import pytest

from semel.states import TRANSITIONS, IdentityState, RegistrationState, allowed


@pytest.mark.parametrize("kind", [RegistrationState, IdentityState])
def test_every_state_is_reached_and_left(kind: type[StrEnum]) -> None:
    """No state is a dead end: something leads in, and retention or a removal leads out to nothing."""
    steps = TRANSITIONS[kind]
    reached, todo = set[StrEnum | None](), [None]
    while todo:
        here = todo.pop()
        for before, after in steps:
            if before == here and after not in reached:
                reached.add(after)
                todo.append(after)  # type: ignore[arg-type]
    assert reached == {None, *kind}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (RegistrationState.COMPLETED, RegistrationState.PENDING),
        (RegistrationState.COMPLETED, RegistrationState.FAILED),
        (RegistrationState.WITHDRAWN, RegistrationState.COMPLETED),
        (RegistrationState.PENDING, None),
        (IdentityState.CONDEMNED, IdentityState.OWNED),
        (IdentityState.CONDEMNED, IdentityState.HELD),
    ],
)
def test_what_must_never_happen_is_not_allowed(before: StrEnum | None, after: StrEnum | None) -> None:
    """A success is not undone, a pending registration is not forgotten, a removal is not taken back."""
    assert not allowed(before, after)


def test_states_of_two_kinds_do_not_mix() -> None:
    """A step from one record's state to another's is no step."""
    assert not allowed(RegistrationState.PENDING, IdentityState.OWNED)
