"""Records and the values they are made of."""

from __future__ import annotations

import pickle

import pytest

from semel.model import RECORD_TYPES, Identity, KeyRecord, Secret
from semel.states import IdentityState
from semel.testing.clock import START


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


def test_a_record_shows_neither_keys_nor_hashes() -> None:
    """What lands in a log or a traceback names the record and says nothing of its content."""
    key = KeyRecord(id="signing/1", algorithm="ES256", secret="hunter2", wrapped=False, created_at=START)
    identity = Identity(id="i1", state=IdentityState.OWNED, credential="$argon2id$hunter2")
    assert [repr(key), repr(identity)] == ["KeyRecord(signing/1 at 0)", "Identity(i1 at 0)"]
