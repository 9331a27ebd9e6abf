"""What may be chosen as a password, and that one keyboard's spelling verifies another's."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semel import passwords
from semel.model import Secret

NAMES = ("anna.smith@example.org", "wanderer99", "jürgen", "https://id.example.org 4711")


def code(password: str, names: tuple[str, ...] = NAMES) -> str:
    faults = passwords.check(Secret(password), names)
    assert {fault.field for fault in faults} <= {"password"}
    return " ".join(fault.code for fault in faults)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("", "too_short"),
        ("1234567", "too_short"),
        ("🐟" * 7, "too_short"),
        ("🐟" * 8, ""),
        ("x" * 128, ""),
        ("x" * 129, "too_long"),
        ("StrongPass123$", ""),
        ("correct horse battery staple", ""),
        ("contraseña única", ""),
        ("with\0zero", "hidden_character"),
        ("with\ttabulator", "hidden_character"),
        ("with surrogate \ud800", "hidden_character"),
    ],
)
def test_length_and_characters(password: str, expected: str) -> None:
    """Characters count, not bytes; whatever can be seen may be used."""
    assert code(password) == expected


@pytest.mark.parametrize("password", ["password", "12345678", "PassWord1", "ｐａｓｓｗｏｒｄ", "lizaveta"])
def test_the_commonest_are_refused(password: str) -> None:
    """In any case and width."""
    assert code(password) == "too_common"


def test_what_is_merely_common_is_taken() -> None:
    """The line is drawn after the first ten thousand; this one stands just behind it."""
    assert code("bluenote") == ""


@pytest.mark.parametrize(
    "password",
    [
        "anna.smith@example.org",
        "Anna.Smith@EXAMPLE.org",
        "anna.smith",
        "AnnaSmith",
        "anna-smith-2026!",
        "12annasmith34",
        "wanderer99",
        "Wanderer_1999",
        "JÜRGEN12",
        unicodedata.normalize("NFD", "jürgen99"),
        "ｊürgen99",
    ],
)
def test_the_own_names_are_refused(password: str) -> None:
    """Also with other signs and digits, in another case, or as another keyboard spells them."""
    assert code(password) == "too_similar"


@pytest.mark.parametrize("password", ["annasmithers", "smith.anna", "jürgen;83%7!4610", "47114711", "92!73#10(55"])
def test_what_merely_reminds_of_a_name_is_taken(password: str) -> None:
    """Other letters, or more signs and digits than letters, make another password."""
    assert code(password) == ""


def test_a_name_without_letters_is_compared_as_it_is() -> None:
    """Two texts without letters are not alike for having none."""
    assert code("4711471147", ("4711471147",)) == "too_similar"
    assert code("9999471101", ("4711471147",)) == ""


@given(st.text(st.characters(exclude_categories=()), max_size=140))
def test_any_text_is_judged_and_prepared(password: str) -> None:
    """A password that a policy would refuse can still be offered at a sign-in: nothing raises."""
    assert len(passwords.check(Secret(password), NAMES)) <= 1
    assert len(passwords.prepared(Secret(password))) >= len(password)


@given(st.text(min_size=8, max_size=128))
def test_composed_and_decomposed_spellings_are_one_password(password: str) -> None:
    """What is hashed does not depend on how a keyboard composes its letters."""
    composed, decomposed = (unicodedata.normalize(form, password) for form in ("NFC", "NFD"))
    assert passwords.prepared(Secret(composed)) == passwords.prepared(Secret(decomposed))


def test_distinct_passwords_stay_distinct() -> None:
    """Preparing folds neither case nor width: that would make guessing easier."""
    prepared = {
        passwords.prepared(Secret(one)) for one in ("password", "Password", "ｐassword", "password ", " password")
    }
    assert len(prepared) == 5


def test_the_dictionaries_of_zxcvbn_are_not_kept() -> None:
    """The list of passwords is all that stays in memory."""
    program = "import sys, semel.passwords; sys.exit('zxcvbn' in sys.modules or 'frequency_lists' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
