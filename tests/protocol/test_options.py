"""The inequalities between the protocol's durations."""

import math

import pytest

from semel.errors import ConfigurationInvalid
from semel.protocol.options import Options

DEFAULT = Options()


@pytest.mark.parametrize(
    ("named", "values"),
    [
        ("provider_timeout", {"provider_timeout": 0.0}),
        ("provider_timeout", {"provider_timeout": math.nan}),
        ("lease", {"lease": 2 * DEFAULT.provider_timeout - 0.1, "skew": 0.0}),
        ("skew", {"skew": -0.1}),
        ("skew", {"skew": DEFAULT.lease / 4 + 0.1}),
        ("poll_first", {"poll_first": 0.0}),
        ("poll_first", {"poll_first": 2 * DEFAULT.poll_most}),
        ("wait", {"wait": 0.0}),
        ("rounds", {"rounds": 1}),
        ("same_intent_window", {"same_intent_window": -1.0}),
        ("removal_retry", {"removal_retry": 0.0}),
        ("removal_horizon", {"removal_horizon": 4 * DEFAULT.lease - 1}),
        ("completed_kept", {"completed_kept": 10 * DEFAULT.longest_request - 1}),
        ("completed_kept", {"same_intent_window": DEFAULT.completed_kept}),
        ("failed_kept", {"failed_kept": 10 * DEFAULT.longest_request - 1}),
        ("events_kept", {"events_kept": 0.0}),
    ],
)
def test_what_the_guarantees_rest_on_is_checked(named: str, values: dict[str, float]) -> None:
    """A value that breaks an inequality is refused, and the line names it."""
    with pytest.raises(ConfigurationInvalid, match=named):
        Options(**values)  # type: ignore[arg-type]


def test_values_at_the_edge_are_taken() -> None:
    """Each inequality holds at its edge."""
    assert Options(provider_timeout=10, lease=20, skew=5, poll_first=0.5, rounds=2, removal_horizon=80) != DEFAULT
