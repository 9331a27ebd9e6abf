"""How an intent becomes an ask: canonicalised, checked, and known again by its fingerprint."""

import msgspec
import pytest

from semel.errors import InvalidInput
from semel.intents import Intent, Policy, federated_intent, federated_key, prepare
from semel.model import Name, Profile, Secret
from semel.protocol.commits import Ask
from semel.states import Door
from tests.protocol.worlds import ASK, KEY, OTHER_KEY, OTHER_PASSWORD, World

ENGINE = World().server().engine
POLICY = Policy()


def asked(policy: Policy = POLICY, /, **fields: object) -> Ask:
    return prepare(ENGINE, policy, msgspec.structs.replace(ASK, **fields))


def faults(policy: Policy = POLICY, /, **fields: object) -> list[tuple[str, str]]:
    """Return what is refused, field and code each."""
    with pytest.raises(InvalidInput) as refused:
        asked(policy, **fields)
    return [(error.field, error.code) for error in refused.value.errors]


def test_identifiers_are_canonical_and_the_deciding_one_comes_first() -> None:
    """Each kind that is given becomes an identifier; the email decides, or what is there."""
    ask = asked(email="Ada@Example.ORG", username="Ada", phone="+44 20 7946 0958")
    names = Name("email", "ada@example.org"), Name("username", "ada"), Name("phone", "+442079460958")
    assert (ask.email, ask.names) == ("ada@example.org", names)
    assert asked(email=None, username="ada").names == (Name("username", "ada"),)


def test_an_email_that_comes_with_a_federated_sign_in_owns_nothing() -> None:
    """It is shown, and no identifier: nobody proved that it is the person's."""
    signed_in = ("https://issuer.example", "Subject")
    ask = asked(door=Door.FEDERATED, federated=signed_in, email="Ada@Example.ORG", username="Ada")
    assert ask.names == (Name("federated", "https://issuer.example Subject"), Name("username", "ada"))
    assert (ask.email, ask.profile.email) == (None, "Ada@example.org")


def test_the_profile_is_what_people_are_shown() -> None:
    """What is shown keeps the person's spelling; the role is the policy's unless one was asked for."""
    profile = asked(email="Ada@Example.ORG", username="Ada", full_name="  Ada Lovelace ", attributes={"b": 1}).profile
    assert profile == Profile(
        email="Ada@example.org",
        username="Ada",
        full_name="Ada Lovelace",
        role="Member",
        roles=("Member",),
        attributes='{"b":1}',
    )


def test_one_answer_names_every_field_at_fault() -> None:
    """All that is wrong is said at once."""
    told = faults(
        email="nobody",
        username="a b",
        phone="12",
        password=Secret("short"),
        full_name="x" * 201,
        role="admin",
        attributes={"x": float("nan")},
        idempotency_key="short",
    )
    fields = ["email", "username", "phone", "role", "full_name", "attributes", "idempotency_key", "password"]
    assert [field for field, _ in told] == fields


@pytest.mark.parametrize("role", ["Administrator", "creator", ""])
def test_a_sign_up_asks_for_no_role_beyond_its_list(role: str) -> None:
    """Neither role nor roles give a sign-up more than the policy offers; an administrator's door may."""
    assert faults(role=role) == [("role", "not_allowed")]
    assert faults(roles=("Administrator",)) == [("role", "not_allowed")]
    assert faults(door=Door.ADMIN, roles=tuple(map(str, range(65)))) == [("roles", "too_many")]
    profile = asked(door=Door.ADMIN, role="Administrator").profile
    assert (profile.role, profile.roles) == ("Administrator", ("Administrator",))


@pytest.mark.parametrize("key", ["k" * 15, "k" * 256, "\u00e9" * 16, "a key with a tab \t", ""])
def test_a_key_that_can_be_guessed_or_sent_wrongly_is_refused(key: str) -> None:
    """A key has 16 to 255 printable ASCII characters."""
    assert faults(idempotency_key=key) == [("idempotency_key", "invalid_key")]


@pytest.mark.parametrize("key", ["k" * 16, "k" * 255])
def test_a_key_names_one_registration_of_its_scope(key: str) -> None:
    """The registration's id is a function of scope and key, and shows neither."""
    first, second = asked(idempotency_key=key), asked(idempotency_key=key, email="grace@example.org")
    assert first.registration == second.registration
    assert first.registration != asked(idempotency_key=key, scope="another").registration
    assert key not in first.registration


def test_without_a_key_each_request_is_a_registration_of_its_own() -> None:
    """Two intents without a key never share a registration."""
    first, second = asked(), asked()
    assert first.registration != second.registration
    assert not first.keyed


def test_scope_and_key_cannot_be_shifted_into_each_other() -> None:
    """Joined, the two would read the same; as a registration they differ."""
    first = asked(scope="scope", idempotency_key=f"1{KEY}")
    assert first.registration != asked(scope="scope1", idempotency_key=KEY).registration


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "Ada@example.org"},
        {"username": "ada"},
        {"phone": "+442079460958"},
        {"full_name": "Ada"},
        {"role": "Creator"},
        {"attributes": {"a": 1, "b": 1}},
        {"door": Door.ADMIN},
        {"scope": "another"},
        {"proved": True},
    ],
)
def test_a_fingerprint_tells_payloads_apart(fields: dict[str, object]) -> None:
    """Whatever differs, as the caller gave it, makes another payload."""
    assert asked(**fields).fingerprint != asked().fingerprint


def test_a_fingerprint_knows_neither_password_nor_key_nor_order() -> None:
    """A password is compared by verification alone; a JSON object has no order."""
    first = asked(attributes={"a": 1, "b": {"c": 2, "d": 3}}, idempotency_key=KEY)
    second = asked(attributes={"b": {"d": 3, "c": 2}, "a": 1}, idempotency_key=OTHER_KEY, password=OTHER_PASSWORD)
    assert first.fingerprint == second.fingerprint


def test_a_fingerprint_is_the_first_releases() -> None:
    """An intent that uses no later field is known again: a key may be used for years."""
    payload = b'{"door":"signup","email":"ada@example.org","scope":"anonymous"}'
    assert asked().fingerprint == ENGINE.fingerprint(payload)


def test_a_fingerprint_needs_the_key_of_the_fingerprints() -> None:
    """Who reads the store learns nothing of a payload by trying."""
    world = World()
    world.fingerprint_key = b"another"
    assert prepare(world.server().engine, POLICY, ASK).fingerprint != asked().fingerprint


def test_the_password_is_checked_against_the_persons_names() -> None:
    """The policy of passwords knows what the account is called."""
    assert faults(username="lovelace", password=Secret("Lovelace1")) == [("password", "too_similar")]


def test_an_intent_needs_what_its_door_needs() -> None:
    """Something to be found by; and a password at the sign-up."""
    assert faults(email=None) == [("email", "required")]
    assert faults(password=None) == [("password", "required")]
    assert asked(door=Door.ADMIN, password=None).names


def test_the_policy_bounds_attributes_and_domains() -> None:
    """Limits are the policy's."""
    assert faults(Policy(attributes_max_bytes=10), attributes={"a": "0123456789"}) == [("attributes", "too_long")]
    assert faults(email="ada@localhost.test") == [("email", "special_use_domain")]
    assert asked(Policy(allow_special_use=True), email="ada@localhost.test").email == "ada@localhost.test"


def test_an_intent_shows_no_password() -> None:
    """Whoever logs an intent logs no secret."""
    assert "horse" not in repr(Intent(email="ada@example.org", password=Secret("correct horse battery")))


def test_a_federated_sign_in_has_one_key_whatever_the_issuer_says() -> None:
    """Issuer and subject alone name the registration, in every process and in no anonymous caller's scope."""
    first = federated_intent("https://issuer.example", "Subject", email="ada@example.org", full_name="Ada")
    later = federated_intent("https://issuer.example", "Subject", full_name="Ada Lovelace")
    asks = [prepare(ENGINE, POLICY, one) for one in (first, later)]
    assert len({(ask.registration, ask.fingerprint) for ask in asks}) == 1
    assert (asks[0].keyed, asks[0].proved, asks[0].door) == (True, True, Door.FEDERATED)
    guessed = federated_key("https://issuer.example", "Subject")
    assert asks[0].registration != asked(idempotency_key=guessed).registration


def test_a_later_release_knows_the_payload_again() -> None:
    """A field that it adds, and nobody has set, changes no fingerprint."""

    class LaterIntent(Intent, frozen=True, kw_only=True):
        locale: str | None = None

    first = federated_intent("https://issuer.example", "Subject")
    later = LaterIntent(**msgspec.structs.asdict(first))
    assert len({prepare(ENGINE, POLICY, one).fingerprint for one in (first, later)}) == 1


def test_keys_of_two_people_differ() -> None:
    """Nor can issuer and subject be shifted into each other."""
    people = [("https://a.example", "b"), ("https://a.example", "B"), ("https://a.example/b", ""), ("https://a", "")]
    assert len({federated_key(*person) for person in people}) == len(people)


def test_what_else_is_asked_for_at_the_federated_door_is_another_payload() -> None:
    """A username, unlike what an issuer says each time, is asked for, and a role is given."""
    plain = federated_intent("https://issuer.example", "Subject")
    others = [msgspec.structs.replace(plain, **other) for other in ({"username": "ada"}, {"role": "Creator"})]
    assert len({prepare(ENGINE, POLICY, one).fingerprint for one in (plain, *others)}) == 3
