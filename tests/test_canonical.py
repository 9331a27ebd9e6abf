"""Every way of typing a value meets in one canonical form, and what would confuse is refused."""

import unicodedata
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from semel import canonical
from semel.canonical import Canonical
from semel.errors import InvalidInput
from semel.model import Name

UNSEEN = (
    "\0\t\n\x1b\x7f\x85\xad\u034f\u061c\u115f\u180e\u200b\u200d\u202e\u2028\u2066\u2800\u3164\ufe0f\ufeff\U000e0041"
)
LETTERS = st.characters(categories=("L", "M", "N"), exclude_characters=UNSEEN)
ANYTHING = st.characters(exclude_categories=())
LOCALS = st.text(LETTERS | st.sampled_from("._+-'"), min_size=1, max_size=12)
DOMAINS = st.sampled_from(
    ["example.org", "Bücher.Example", "xn--bcher-kva.example", "straße.de", "例え．jp", "x-y.co.uk", "ﬁ.org"]
)
PLAIN = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20)
ATOMS = st.text(st.sampled_from("aZ09!#$%&'*+/=?^_`{|}~-..,\"( "), min_size=1, max_size=12)
PLAIN_EMAILS = st.builds(
    "{}@{}".format, ATOMS, st.from_regex(r"[A-Za-z0-9.-]{1,9}\.(org|Test|xn--p1ai|c-m|1)", fullmatch=True)
)


def refusal(make: Callable[..., object], *given: object, **options: object) -> tuple[str, str]:
    """Return field and code of the one fault, or two empty texts where there is none.

    No refusal may lead to an error of a library as its cause: that one quotes what was typed.
    """
    refused = None
    try:
        make(*given, **options)
    except InvalidInput as error:
        refused = error
    if refused is None:
        return "", ""
    assert refused.__suppress_context__ or refused.__context__ is None
    assert refused.__cause__ is None
    (fault,) = refused.errors
    return fault.field, fault.code


def accepted(make: Callable[..., Canonical], *given: str) -> Canonical:
    try:
        return make(*given)
    except InvalidInput:
        assume(condition=False)
        raise


@pytest.mark.parametrize(
    "typed",
    [
        "Änna.Müller@Bücher.example",
        "änna.müller@bücher.example",
        "ÄNNA.MÜLLER@BÜCHER.EXAMPLE",
        "  änna.müller@bücher.example ",
        "\u3000änna.müller@bücher.example\u00a0",
        unicodedata.normalize("NFD", "änna.müller@bücher.example"),
        "änna.müller@xn--bcher-kva.example",
        "Änna.müller@XN--BCHER-KVA.example",
        "änna．müller@bücher.example",
        "äｎｎａ.müller@bücher.example",
        "änna.müller@ｂücher.example",
        "änna.müller@bücher。example",
    ],
)
def test_every_spelling_of_an_email_meets(typed: str) -> None:
    """Case, spaces around, Unicode's forms, full width, and both forms of the domain make no difference."""
    assert canonical.email(typed).name == Name("email", "änna.müller@xn--bcher-kva.example")


def test_an_email_is_shown_as_typed_with_a_readable_domain() -> None:
    """The canonical form is for machines; people see what they typed."""
    assert canonical.email(" Anna.Smith@XN--BCHER-KVA.Example").shown == "Anna.Smith@bücher.example"
    assert canonical.email("Info@Example.COM").shown == "Info@example.com"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "required"),
        ("   ", "required"),
        ("anna", "malformed"),
        ("@example.org", "malformed"),
        ("anna@", "malformed"),
        ("anna@@example.org", "malformed"),
        ("anna@example", "malformed"),
        ("anna@127.0.0.1", "malformed"),
        ("anna@[127.0.0.1]", "malformed"),
        ('"anna smith"@example.org', "malformed"),
        ('"anna"@example.org', "malformed"),
        ("Anna <anna@example.org>", "malformed"),
        ("anna..smith@example.org", "malformed"),
        ("anna＠other@example.org", "malformed"),
        ("＂anna＂@example.org", "malformed"),
        ("anna\u037e@example.org", "malformed"),
        ("anna@exa⒈mple.org", "malformed"),
        ("anna@xn--a.org", "malformed"),
        ("a" * 250 + "@example.org", "too_long"),
        ("\ufdfa" * 40 + "@example.org", "malformed"),
        ("\u0301anna@example.org", "hidden_character"),
        ("anna@localhost", "special_use_domain"),
        ("anna@Printer.Local", "special_use_domain"),
        ("anna@example.test", "special_use_domain"),
        ("änna@example.invalid", "special_use_domain"),
    ],
)
def test_what_is_no_email_is_refused(typed: str, code: str) -> None:
    """Also what would become something else by folding: another @, quotes, a dot more, a longer address."""
    assert refusal(canonical.email, typed) == ("email", code)


@pytest.mark.parametrize("typed", ["dev@localhost", "Dev@app.localhost", "dëv@example.test", "dev@example.invalid"])
def test_special_use_domains_are_for_development(typed: str) -> None:
    """The setting lets them through, and they come to the same form as any other."""
    made = canonical.email(typed, allow_special_use=True)
    assert made == Canonical(Name("email", typed.lower()), typed)
    assert refusal(canonical.email, "dev@@localhost", allow_special_use=True) == ("email", "malformed")


def test_the_example_domains_are_taken() -> None:
    """RFC 6761 asks applications to treat them as any other; every quickstart uses them."""
    assert canonical.email("test@example.com").name.value == "test@example.com"


@given(LOCALS, DOMAINS)
@example("ΑΣ", "example.org")
@example("ſt.ẞ", "example.org")
@example("\u1fb4\u0345", "example.org")
def test_email_is_idempotent_and_blind_to_spelling(local: str, domain: str) -> None:
    """Canonical and shown form lead back to the canonical one; so does whatever Unicode calls the same."""
    made = accepted(canonical.email, f"{local}@{domain}")
    a_labels = made.name.value.rpartition("@")[2].upper()
    spellings = [made.name.value, made.shown, f" {local.casefold()}@{domain}", f"{local}@{a_labels}"]
    spellings += [f"{unicodedata.normalize(form, local)}@{domain}" for form in ("NFC", "NFD", "NFKC", "NFKD")]
    for spelling in spellings:
        assert accepted(canonical.email, spelling).name == made.name


@given(PLAIN_EMAILS)
@example("a@" + "b" * 63 + ".org")
@example("a@" + "b" * 64 + ".org")
@example("a@b.o--g.org")
@example("Postmaster@example.org")
@example("a" * 242 + "@example.org")
@example("a" * 243 + "@example.org")
def test_the_fast_path_of_emails_agrees_with_the_library(typed: str) -> None:
    """Whatever the fast path takes, the library takes, and makes the same of it."""
    fast = canonical.email_if_plain(typed)
    assert fast is None or fast == canonical.email_by_library(typed)


def test_the_fast_path_of_emails_is_taken() -> None:
    """What nearly everybody types never reaches the library."""
    for typed in ("test@example.com", "Anna.Smith+news@mail.example.co.uk", " o'neil_99@x-y.org "):
        assert canonical.email_if_plain(typed) is not None


@pytest.mark.parametrize(
    "typed", ["Jürgen", "jürgen", "JÜRGEN ", unicodedata.normalize("NFD", "jürgen"), "ｊüｒｇｅｎ"]
)
def test_every_spelling_of_a_username_meets(typed: str) -> None:
    """Case, spaces around, Unicode's forms and full width make no difference."""
    assert canonical.username(typed).name == Name("username", "jürgen")


def test_a_username_is_shown_as_typed() -> None:
    """Its case is kept for the eye; width and composition are not."""
    assert canonical.username("AnnaSmith").shown == "AnnaSmith"
    assert canonical.username(unicodedata.normalize("NFD", "ＪÜRGEN")).shown == "JÜRGEN"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "required"),
        ("a", "bad_length"),
        ("ä", "bad_length"),
        ("a" * 65, "too_long"),
        ("İ" * 64, "bad_length"),
        ("anna smith", "malformed"),
        ("anna@example.org", "malformed"),
        ("anna＠example", "malformed"),
        ("ﬁna", "malformed"),
        ("anna\u0660\u06f0", "malformed"),
        ("\u0301anna", "hidden_character"),
    ],
)
def test_what_is_no_username_is_refused(typed: str, code: str) -> None:
    """No spaces, no @ in any width, no compatibility characters, no mixture of digits that look alike."""
    assert refusal(canonical.username, typed) == ("username", code)


@given(st.text(LETTERS, min_size=2, max_size=12))
@example("ΑΣΑΣ")
@example("İİ")
def test_username_is_idempotent(typed: str) -> None:
    """Canonical and shown form lead back to the canonical one; so do composed and decomposed spellings."""
    made = accepted(canonical.username, typed)
    decomposed, composed = unicodedata.normalize("NFD", typed), unicodedata.normalize("NFC", typed)
    for spelling in (made.name.value, made.shown, decomposed, composed, f"  {typed} "):
        assert canonical.username(spelling).name == made.name


@given(PLAIN)
@example("a" * 64)
@example("~`")
def test_the_fast_path_of_usernames_agrees_with_the_library(typed: str) -> None:
    """Whatever the fast path takes, the library takes, and makes the same of it."""
    fast = canonical.username_if_plain(typed)
    assert fast is None or fast == canonical.username_by_library(typed)


def test_the_fast_path_of_usernames_is_taken() -> None:
    """What nearly everybody types never reaches the library."""
    assert canonical.username_if_plain("Anna_Smith.99") is not None


def test_a_phone_number_of_every_region_meets_itself() -> None:
    """However it is spaced, punctuated or widened, a number comes to E.164, and stays there."""
    numbers = [phonenumbers.example_number(region) for region in sorted(phonenumbers.SUPPORTED_REGIONS)[::5]]
    for number in filter(None, numbers):
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        spaced = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        full_width = "".join(chr(ord(one) + 0xFEE0) for one in e164)
        for typed in (e164, spaced, spaced.replace(" ", "-"), f" {spaced.replace('-', chr(0x2011))} ", full_width):
            assert canonical.phone(typed) == Canonical(Name("phone", e164), e164)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "required"),
        ("020 7946 0958", "malformed"),
        ("0044 20 7946 0958", "malformed"),
        ("+44", "malformed"),
        ("+999 123 456 789", "malformed"),
        ("+1 555 0123", "malformed"),
        ("+1 800 FLOWERS", "malformed"),
        ("+1 202 555 0123 ext. 5", "malformed"),
        ("tel:+12025550123", "malformed"),
        ("+1 202 555 0123" + "0" * 40, "too_long"),
    ],
)
def test_what_is_no_phone_number_is_refused(typed: str, code: str) -> None:
    """A number without its country, one that cannot exist, letters, extensions."""
    assert refusal(canonical.phone, typed) == ("phone", code)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://accounts.example.org",
        "https://id.example.org:8443/realms/A",
        "http://localhost:9000/x",
        "http://[::1]:9000",
    ],
)
def test_federated_keeps_issuer_and_subject_to_the_letter(issuer: str) -> None:
    """Nothing is folded or trimmed: another letter is another person."""
    assert canonical.federated(issuer, "Ab c").name == Name("federated", f"{issuer} Ab c")
    assert canonical.federated(issuer, " Ab c").name != canonical.federated(issuer, "Ab c").name


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), min_size=1, max_size=5),
    st.text(st.sampled_from("/a.~- "), max_size=3),
)
def test_no_two_federated_identities_meet(subject: str, more: str) -> None:
    """Issuer and subject are parted at one place only, so nothing moves from one to the other."""
    one = accepted(canonical.federated, "https://id.example.org/a", subject)
    other = accepted(canonical.federated, f"https://id.example.org/a{more}", subject)
    assert (one.name == other.name) is (more == "")
    assert one.name.value.split(" ", 1) == ["https://id.example.org/a", subject]


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "accounts.example.org",
        "http://accounts.example.org",
        "http://localhost.example.org",
        "https://",
        "https:///path",
        "https://user@example.org",
        "https://example.org?tenant=1",
        "https://example.org#me",
        "https://example.org\\@other.org",
        "https://example.org/a b",
        "https://example.org:port",
        "https://[::1",
        "https://bücher.example",
        "https://example.org\n",
        "https://example.org/" + "a" * 250,
    ],
)
def test_what_is_no_issuer_is_refused(issuer: str) -> None:
    """Only an https URL without user, query and fragment; http on this machine alone."""
    assert refusal(canonical.federated, issuer, "1") == ("issuer", "malformed")


@pytest.mark.parametrize("subject", ["", "a" * 256, "ä", "a\0", "a\n"])
def test_what_is_no_subject_is_refused(subject: str) -> None:
    """A subject is 1 to 255 printable ASCII characters."""
    assert refusal(canonical.federated, "https://example.org", subject) == ("subject", "malformed")


@pytest.mark.parametrize(
    "name", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"], ids=["fa", "si"]
)
def test_a_name_is_spelt_as_its_language_spells_it(name: str) -> None:
    """Joiners that shape what is seen stay in a name that people are shown; an identifier has none."""
    assert canonical.text("name", name, 200) == name
    assert refusal(canonical.username, name) == ("username", "hidden_character")


@pytest.mark.parametrize("unseen", [*UNSEEN, "\ud800", "\U0001f1ff\u200d", "\u0378"])
def test_what_cannot_be_seen_is_refused_everywhere(unseen: str) -> None:
    """Controls, surrogates, fillers, joiners, variation selectors, tags, what turns the direction, the unassigned."""
    assert refusal(canonical.email, f"an{unseen}na@example.org") == ("email", "hidden_character")
    assert refusal(canonical.username, f"an{unseen}na") == ("username", "hidden_character")
    assert refusal(canonical.phone, f"+44 20{unseen} 7946 0958") == ("phone", "hidden_character")
    assert refusal(canonical.text, "name", f"An{unseen}na", 200) == ("name", "hidden_character")


@given(st.text(ANYTHING, max_size=20))
@example("a\ud800@example.org")
def test_any_text_is_taken_or_refused(typed: str) -> None:
    """Whatever is typed, no other error leaves."""
    assert refusal(canonical.email, typed)[0] in {"", "email"}
    assert refusal(canonical.username, typed)[0] in {"", "username"}
    assert refusal(canonical.phone, typed)[0] in {"", "phone"}
    assert refusal(canonical.text, "name", typed, 9)[0] in {"", "name"}


def test_a_refusal_does_not_quote() -> None:
    """Neither the message nor the error's text has a piece of the value."""
    for make in (canonical.email, canonical.username, canonical.phone):
        with pytest.raises(InvalidInput) as caught:
            make("secret secret@x")
        assert "secret" not in f"{caught.value!r} {caught.value} {caught.value.errors}"


def test_text_is_trimmed_composed_and_bounded() -> None:
    """A name is kept as it is written, but for its composition and the spaces around it."""
    assert canonical.text("name", f"\u3000{unicodedata.normalize('NFD', 'Änne O’Neil')} ", 11) == "Änne O’Neil"
    assert refusal(canonical.text, "name", "a" * 12, 11) == ("name", "too_long")
    assert refusal(canonical.text, "role", " \u00a0", 11) == ("role", "required")
    assert refusal(canonical.text, "name", "\u0958" * 11, 11) == ("name", "too_long")


def test_attributes_become_json_text() -> None:
    """What JSON can say is kept as it is."""
    value = {"plan": "pro", "tags": ["a", None, True], "limits": {"x": 1.5, "y": -(2**63)}, "": {}}
    assert canonical.attributes(value, 200) == (
        '{"plan":"pro","tags":["a",null,true],"limits":{"x":1.5,"y":-9223372036854775808},"":{}}'
    )


@pytest.mark.parametrize(
    "held",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        2**63,
        "\0",
        "\ud800",
        {1: 2},
        {"\0": 1},
        {None: 1},
        {("a",): 1},
        {1, 2},
        b"x",
        object(),
    ],
)
def test_attributes_refuse_what_json_cannot_say(held: object) -> None:
    """At the top and further in."""
    for value in ({"held": held}, {"deeper": [{"held": held}]}):
        assert refusal(canonical.attributes, value, 500) == ("attributes", "malformed")


def test_attributes_are_bounded_in_size_and_depth() -> None:
    """Bytes are counted, not characters; what unfolds without end is refused as soon as what is merely large."""
    assert canonical.attributes({"a": "é"}, 10) == '{"a":"é"}'
    assert refusal(canonical.attributes, {"a": "é"}, 9) == ("attributes", "too_long")
    shared: list[object] = []
    for _ in range(14):
        shared = [shared, shared, shared, shared]
    assert refusal(canonical.attributes, {"a": shared}, 100) == ("attributes", "too_long")
    deep: dict[str, object] = {"a": 1}
    for _ in range(15):
        deep = {"a": deep}
    assert canonical.attributes(deep, 500)
    assert refusal(canonical.attributes, {"a": deep}, 500) == ("attributes", "too_deep")
    deep["a"] = deep
    assert refusal(canonical.attributes, deep, 500) == ("attributes", "too_deep")
