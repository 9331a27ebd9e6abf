"""What the page on Supabase names is there."""

import re

from semel.checking import EmailState
from semel.config import PREFIX, Settings, variable
from semel.errors import every_error
from tests.docs.how_to import HOW_TOS

PAGE = (HOW_TOS / "supabase.md").read_text()


def test_every_variable_is_a_setting() -> None:
    """Those of the tests aside; and the numbers in brackets are the defaults."""
    named = set(re.findall(rf"{PREFIX}(?!TEST_)[A-Z_]+", PAGE))
    assert named <= {variable(name) for name in Settings.model_fields}
    for name, number in re.findall(r"`(SEMEL_[A-Z_]+)`[a-z ]*\((\d+)\)", PAGE):
        assert Settings.model_fields[name.removeprefix(PREFIX).lower()].default == int(number)


def test_every_code_is_an_error() -> None:
    """Whatever the page says that a caller gets."""
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", PAGE)) - {"service_role", "identity_id"}
    assert named <= {one.code for one in every_error()} | set(EmailState)
