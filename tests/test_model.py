"""Records and the values they are made of."""

from __future__ import annotations

import pickle

import pytest

from semel.model import RECORD_TYPES, Secret


def test_record_types_stand_in_the_order_of_their_names() -> None:
    """The order in which every store applies writes is visible in one place."""
    names = [kind.TYPE for kind in RECORD_TYPES]
    assert names == sorted(names)


@pytest.mark.parametrize("shown", [repr, str, "{}".format, lambda secret: f"{[secret]}"])
def test_a_secret_does_not_show(shown: object) -> None:
    """Neither repr, text nor format tells what is inside."""
    assert callable(shown)
    assert "hunter2" not in shown(Secret("hunter2"))


def test_a_secret_is_not_pickled() -> None:
    """What is pickled is written somewhere."""
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret("hunter2"))
