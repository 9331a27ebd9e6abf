"""How the suites see that something came back otherwise, and say so."""

from datetime import timedelta, timezone

import pytest

from semel.model import Name
from semel.states import RegistrationState
from semel.testing import BrokenPromiseError, SequentialIds
from semel.testing.promises import expect
from semel.testing.store_contract.bench import difference
from semel.testing.store_contract.samples import WHEN, bare, family, filled, registration


def test_what_was_not_kept_is_said() -> None:
    """The sentence is the error's, which any runner shows as a failed assertion."""
    expect(kept=True, seen="nothing")
    with pytest.raises(AssertionError, match="two winners"):
        expect(kept=False, seen="two winners")
    assert issubclass(BrokenPromiseError, AssertionError)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, ""),
        ({"fingerprint": "g"}, "fingerprint"),
        ({"keyed": 1}, "keyed is a int, was a bool"),
        ({"state": "pending"}, "state is a str"),
        ({"created_at": WHEN.astimezone(timezone(timedelta(hours=1)))}, "created_at"),
        ({"identifiers": (("email", "a"),)}, "identifiers.0 is a tuple, was a Name"),
        ({"identifiers": ()}, "identifiers"),
    ],
)
def test_differences_are_named_by_field(changes: dict[str, object], seen: str) -> None:
    """Equal values of another type, and the same moment in another zone, are differences."""
    record = registration(SequentialIds()).but(identifiers=(Name("email", "a"),), state=RegistrationState.PENDING)
    assert difference(record, record.but(**changes)).startswith(seen)
    assert bool(difference(record, record.but(**changes))) is bool(changes)


def test_samples_fill_and_empty_every_field() -> None:
    """No field of a filled record has its default; a bare one has every default; both keep key and version."""
    ids = SequentialIds()
    for record in family(ids):
        full, empty = filled(type(record), ids), bare(record)
        for field in set(record.__struct_fields__) - {"version", *record.KEY}:
            assert getattr(full, field) not in (None, (), "", "{}", False, 0), field
        assert empty.key == record.key
        assert bare(empty) == empty
