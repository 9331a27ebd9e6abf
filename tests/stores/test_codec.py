"""Records come back from rows exactly as they went in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semel.errors import StoreInconsistent
from semel.model import RECORD_TYPES, Record, Registration
from semel.stores.codec import Codecs, moment_text
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import bare, filled, registration

TOKEN = -(2**63)


@pytest.mark.parametrize("moments_as_text", [True, False])
@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.TYPE)
def test_a_row_is_the_record_with_the_new_version(kind: type[Record], *, moments_as_text: bool) -> None:
    """Every field of every type, full and empty; the version is the commit's token."""
    codec = Codecs(moments_as_text=moments_as_text)[kind]
    full = filled(kind, SequentialIds())
    for record in (full, bare(full)):
        row = codec.row(record, TOKEN)
        assert len(row) == len(codec.columns)
        assert codec.record(row) == record.but(version=TOKEN)


def test_moments_stay_or_become_text_of_one_width() -> None:
    """A driver that knows moments is given moments."""
    record = registration(SequentialIds())
    at = Codecs(moments_as_text=False)[Registration].columns.index("created_at")
    assert Codecs(moments_as_text=False)[Registration].row(record, 1)[at] is record.created_at
    assert Codecs(moments_as_text=True)[Registration].row(record, 1)[at] == "2026-02-28T23:59:59.999999+00:00"


@given(
    first=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    second=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone(timedelta(hours=9)))),  # noqa: DTZ001
)
def test_the_order_of_texts_is_the_order_of_moments(first: datetime, second: datetime) -> None:
    """To the microsecond, in whatever zone, and each text says its moment."""
    one, other = moment_text(first), moment_text(second)
    assert (one < other) == (first < second)
    assert (one == other) == (first == second)
    assert datetime.fromisoformat(other) == second
    assert len(one) == len(other) == 32


@pytest.mark.parametrize(("column", "value"), [("identifiers", "[["), ("state", "s3cret"), ("created_at", None)])
def test_a_row_that_is_no_record_is_an_error_that_tells_no_value(column: str, value: object) -> None:
    """Broken JSON, a state of another release, a null: the tables were edited, or are ahead of this release."""
    codec = Codecs(moments_as_text=True)[Registration]
    row = codec.row(registration(SequentialIds()), 1)
    row[codec.columns.index(column)] = value
    with pytest.raises(StoreInconsistent, match="registration") as raised:
        codec.record(row)
    assert "s3cret" not in str(raised.value)
