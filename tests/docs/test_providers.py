"""What the pages on identity providers name is there."""

import re

import pytest

from semel.checking import EmailState
from semel.config import Settings
from semel.config_names import PREFIX, variable
from semel.errors import every_error
from semel.providers.keycloak_answers import ID, PROOF
from tests.docs.how_to import HOW_TOS

PAGES = ["supabase", "keycloak"]
OTHERS = {
    "service_role",
    "identity_id",
    "full_name",
    "preferred_username",
    "semel_provider_seconds",
    "statement_timeout",
}
THEIR_OWN = {*OTHERS, ID, PROOF}
"""What is neither a code nor a setting: names of the providers and of PostgreSQL, a field, a metric, our attributes."""


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_is_a_setting(page: str) -> None:
    """Those of the tests aside; and the numbers in brackets are the defaults."""
    text = (HOW_TOS / f"{page}.md").read_text()
    named = set(re.findall(rf"{PREFIX}(?!TEST_)[A-Z_]+", text))
    assert named <= {variable(name) for name in Settings.model_fields}
    for name, number in re.findall(r"`(SEMEL_[A-Z_]+)`[a-z ]*\((\d+)\)", text):
        assert Settings.model_fields[name.removeprefix(PREFIX).lower()].default == int(number)


@pytest.mark.parametrize("page", PAGES)
def test_every_code_is_an_error(page: str) -> None:
    """Whatever the page says that a caller gets."""
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", (HOW_TOS / f"{page}.md").read_text())) - THEIR_OWN
    assert named <= {one.code for one in every_error()} | set(EmailState)


def test_the_attributes_are_named() -> None:
    """As the adapter writes them: the realm must declare them."""
    assert {ID, PROOF} <= set(re.findall(r"`(semel_[a-z_]+)`", (HOW_TOS / "keycloak.md").read_text()))
