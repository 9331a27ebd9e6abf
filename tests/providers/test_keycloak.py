"""The adapter for Keycloak, against a real server: the provider contract both ways, and each of the server's traps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from semel.model import Secret
from semel.ports import (
    Absent,
    Done,
    Exists,
    Found,
    FoundPage,
    NewIdentity,
    Rejected,
    RemoteProvider,
    Sessions,
    SignedIn,
    Unknown,
    Verified,
)
from semel.providers.keycloak import KeycloakProvider
from semel.system import SystemIds
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT
from tests.keycloak import Keycloak
from tests.keycloak_realms import PEOPLE, SECRET
from tests.providers.keycloak_parts import Realm, bench, opened

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start


@pytest.fixture
async def provider(keycloak: Keycloak) -> AsyncIterator[KeycloakProvider]:
    async with opened(keycloak.options()) as provider:
        yield provider


@pytest.fixture
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    realm = Realm(keycloak)
    yield realm
    await realm.close()


def new(**changes: object) -> NewIdentity:
    """Return an identity that nobody has."""
    identity = ProviderBench(object(), SystemIds()).identity()  # type: ignore[arg-type]
    return replace(identity, **changes)


@pytest.mark.parametrize("own_usernames", [False, True], ids=["our ids", "own usernames"])
@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_the_adapter_keeps_the_promise(
    promise: ProviderPromise, keycloak: Keycloak, *, own_usernames: bool
) -> None:
    """Whether our id is the username, or people have usernames of their own; with a client apart for sign-in."""
    options = keycloak.options(
        own_usernames=own_usernames, sign_in_client_id=PEOPLE, sign_in_client_secret=Secret(SECRET)
    )
    async with opened(options) as provider:
        assert isinstance(provider, RemoteProvider)
        assert isinstance(provider, Sessions)
        await promise(bench(provider, own_usernames=own_usernames))


async def test_a_create_is_whole_at_the_server(provider: KeycloakProvider, realm: Realm) -> None:
    """Our id as the username, the names, and the attributes that prove it, which nobody but administrators edits."""
    ada = new()
    done = await provider.create(ada)
    assert isinstance(done, Done)
    user = await realm.user(done.provider_id or "")
    assert (user["username"], user["firstName"], user["lastName"]) == (ada.id, "Ada", "Lovelace")
    assert (user["email"], user["emailVerified"], user["enabled"]) == (ada.email, True, True)
    assert sorted(user["attributes"]) == ["semel_id", "semel_proof"]


@pytest.mark.parametrize(("full_name", "first", "last"), [("Plato", "Plato", None), (None, None, None)])
async def test_whoever_has_one_name_or_none_signs_in(
    provider: KeycloakProvider, realm: Realm, full_name: str | None, first: str | None, last: str | None
) -> None:
    """Where the realm's profile requires none."""
    plato = new(full_name=full_name)
    done = await provider.create(plato)
    assert isinstance(done, Done)
    user = await realm.user(done.provider_id or "")
    assert (user.get("firstName"), user.get("lastName")) == (first, last)
    assert isinstance(await provider.sign_in(plato.email or "", plato.password or Secret("")), SignedIn)


async def test_who_is_not_fully_set_up_has_the_right_password_and_is_not_signed_in(keycloak: Keycloak) -> None:
    """In a realm whose profile requires names: a wrong password is told from that."""
    async with opened(keycloak.options("strict")) as provider:
        nameless = new(full_name=None, password=Secret("Enchantress of 1815"))
        assert isinstance(await provider.create(nameless), Done)
        assert await provider.sign_in(nameless.email or "", Secret("Enchantress of 1815")) == Absent()
        for text, expected in (("Enchantress of 1815", Verified.RIGHT), ("wrong of 1815", Verified.WRONG)):
            assert await provider.verify_password(nameless.id, nameless.email, Secret(text)) is expected


async def test_a_password_that_the_realm_refuses_makes_and_changes_nothing(keycloak: Keycloak) -> None:
    """Its policy names the field; nothing of what else was asked for is done."""
    async with opened(keycloak.options("strict")) as provider:
        weak, ada = new(password=Secret("short")), new(password=Secret("Enchantress of 1815"))
        for password in ("short", ""):
            refused = await provider.create(replace(weak, password=Secret(password)))
            assert isinstance(refused, Rejected)
            assert refused.field == "password"
        assert await provider.find(weak.id) == Absent()
        await provider.create(ada)
        before = await provider.find(ada.id)
        for password in ("short", ""):
            answer = await provider.update(ada.id, email=new().email, password=Secret(password), disabled=True)
            assert isinstance(answer, Rejected)
            assert await provider.find(ada.id) == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "not an email"}, "email"),
        ({"email": "nul\0@example.org"}, "email"),
        ({"full_name": "Ada <Lovelace>"}, "full_name"),
        ({"full_name": "Ada\0Lovelace"}, "full_name"),
    ],
)
async def test_what_the_realm_refuses_names_the_field_and_not_the_value(
    provider: KeycloakProvider, changes: dict[str, object], field: str
) -> None:
    """For good: nothing is left, and the same id may be made after all."""
    refused = new(**changes)
    answer = await provider.create(refused)
    assert isinstance(answer, Rejected)
    assert answer.field == field
    assert not [value for value in changes.values() if str(value) in answer.message]
    assert await provider.find(refused.id) == Absent()


async def test_an_update_leaves_what_it_does_not_name(provider: KeycloakProvider, realm: Realm) -> None:
    """Names and attributes stay: `attributes: {}` would have erased the email too."""
    ada = new()
    done = await provider.create(ada)
    assert isinstance(done, Done)
    before = await realm.user(done.provider_id or "")
    assert await provider.update(ada.id, password=Secret("Another of Numbers"), confirmed=False) == Done()
    after = await realm.user(done.provider_id or "")
    # Ending its sessions says so of the user, as well.
    assert {**after, "notBefore": 0} == {**before, "emailVerified": False}


async def test_a_verified_password_leaves_no_session(provider: KeycloakProvider, realm: Realm) -> None:
    """Each try opens one, which is ended; a sign-in's stays until it is signed out."""
    ada = new()
    done = await provider.create(ada)
    assert isinstance(done, Done)
    who, password = done.provider_id or "", ada.password or Secret("")
    assert await provider.verify_password(ada.id, ada.email, password) is Verified.RIGHT
    assert await realm.sessions(who) == 0
    signed_in = await provider.sign_in(ada.email or "", password)
    assert isinstance(signed_in, SignedIn)
    assert await realm.sessions(who) == 1
    assert await provider.sign_out(Secret(signed_in.tokens.access_token)) == Done()
    assert await realm.sessions(who) == 0


async def test_of_who_is_disabled_no_password_is_judged(provider: KeycloakProvider) -> None:
    """The server says the same of a right and of a wrong one."""
    ada = new()
    await provider.create(ada)
    await provider.update(ada.id, disabled=True)
    for password in (ada.password or Secret(""), Secret("wrong")):
        assert await provider.verify_password(ada.id, ada.email, password) is Verified.UNKNOWN


async def test_who_is_disabled_has_no_session_left(provider: KeycloakProvider, realm: Realm) -> None:
    """None that goes on once the user is enabled again."""
    ada = new()
    done = await provider.create(ada)
    assert isinstance(done, Done)
    signed_in = await provider.sign_in(ada.email or "", ada.password or Secret(""))
    assert isinstance(signed_in, SignedIn)
    await provider.update(ada.id, disabled=True)
    assert await realm.sessions(done.provider_id or "") == 0
    await provider.update(ada.id, disabled=False)
    assert await provider.refresh(Secret(signed_in.tokens.refresh_token)) == Absent()


@pytest.mark.parametrize("token", ["", "two words", "a\r\nX: y", "naïve", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_token_that_is_none_ends_nothing(provider: KeycloakProvider, token: str) -> None:
    """Whatever a caller sends."""
    assert await provider.sign_out(Secret(token)) == Absent()


async def test_a_token_that_was_changed_or_is_of_another_realm_ends_nothing(
    keycloak: Keycloak, provider: KeycloakProvider
) -> None:
    """The signature counts, by this realm's keys."""
    ada = new(password=Secret("Enchantress of 1815"))
    async with opened(keycloak.options("strict")) as elsewhere:
        tokens = []
        for one in (provider, elsewhere):
            await one.create(ada)
            signed_in = await one.sign_in(ada.email or "", ada.password or Secret(""))
            assert isinstance(signed_in, SignedIn)
            tokens.append(signed_in.tokens.access_token)
    head, body, signature = tokens[0].split(".")
    for bad in (tokens[1], f"{head}.{tokens[1].split('.')[1]}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA"):
        assert await provider.sign_out(Secret(bad)) == Absent()
    assert await provider.sign_out(Secret(tokens[0])) == Done()


async def test_an_email_of_nobody_or_nothing_is_absent(provider: KeycloakProvider) -> None:
    """An empty search would list everybody, a NUL would be an outage."""
    await provider.create(new())
    for nothing in ("", "\0", "nobody@example.org\0"):
        assert await provider.find_by_email(nothing) == Absent()
        assert await provider.find(nothing) == Absent()


@pytest.mark.parametrize("own_usernames", [False, True])
async def test_what_another_wrote_is_found_as_its_own(keycloak: Keycloak, realm: Realm, *, own_usernames: bool) -> None:
    """By email and by its own id, never by ours: whoever copies an id and a proof of ours, or makes one up."""
    async with opened(keycloak.options(own_usernames=own_usernames)) as provider:
        ada, victim = new(username=f"a{SystemIds().uuid()[:13]}"), new()
        done = await provider.create(ada)
        assert isinstance(done, Done)
        copied = (await realm.user(done.provider_id or ""))["attributes"]
        made_up = {"semel_id": [victim.id], "semel_proof": ["0" * 64]}
        for username, email, attributes in (
            (victim.id, new().email, {}),
            (SystemIds().uuid(), new().email, made_up),
            (SystemIds().uuid(), victim.email, copied),
        ):
            theirs = await realm.add(username=username, email=email, attributes=attributes)
            found = await provider.find_by_email(email or "")
            assert isinstance(found, Found)
            assert (found.provider_id, found.identity_id) == (theirs, theirs)
            assert await provider.find(theirs) == found
        assert await provider.find(victim.id) == Absent()
        ours = await provider.find(ada.id)
        assert isinstance(ours, Found)
        assert ours.provider_id == done.provider_id


async def test_what_was_made_under_another_key_is_somebody_elses(keycloak: Keycloak) -> None:
    """Two stores at one realm leave each other's identities alone."""
    ada = new()
    async with opened(keycloak.options()) as one, opened(keycloak.options(), b"another key") as other:
        done = await one.create(ada)
        assert isinstance(done, Done)
        assert await other.find(ada.id) == Absent()
        found = await other.find_by_email(ada.email or "")
        assert isinstance(found, Found)
        assert found.identity_id == done.provider_id


async def test_an_email_that_is_somebodys_username_is_refused(provider: KeycloakProvider, realm: Realm) -> None:
    """The server says that the email is taken, and no look for it finds anybody: unsettled, it would stay so."""
    ada = new()
    await realm.add(username=ada.email, email=new().email)
    answer = await provider.create(ada)
    assert isinstance(answer, Rejected)
    assert answer.field == "email"


async def test_a_username_that_is_somebodys_is_refused(keycloak: Keycloak, realm: Realm) -> None:
    """Of a stranger for good; one that another identity of ours still has may come free."""
    async with opened(keycloak.options(own_usernames=True)) as provider:
        theirs, ours = f"t{SystemIds().uuid()[:13]}", f"o{SystemIds().uuid()[:13]}"
        await realm.add(username=theirs, email=new().email)
        await provider.create(new(username=ours))
        refused = await provider.create(new(username=theirs))
        assert isinstance(refused, Rejected)
        assert refused.field == "username"
        assert isinstance(await provider.create(new(username=ours)), Unknown)


async def test_a_person_with_an_own_username_signs_in_by_it_and_by_the_email(keycloak: Keycloak) -> None:
    """As the realm has it; whoever has none is made under our id."""
    async with opened(keycloak.options(own_usernames=True)) as provider:
        name = f"ada{SystemIds().uuid()[:13]}"
        for ada in (new(username=name), new()):
            await provider.create(ada)
            for sign_in in (ada.username or ada.id, ada.email or ""):
                signed_in = await provider.sign_in(sign_in, ada.password or Secret(""))
                assert isinstance(signed_in, SignedIn)
                assert signed_in.identity.identity_id == ada.id


async def test_racing_deletes_are_done(provider: KeycloakProvider) -> None:
    """To the losers the server answers 500, or 400."""
    for _ in range(5):
        ada = new(password=None)
        done = await provider.create(ada)
        assert isinstance(done, Done)
        answers = await asyncio.gather(*(provider.delete(done.provider_id or "") for _ in range(8)))
        assert [answer for answer in answers if answer != Done()] == []


async def test_pages_are_no_longer_than_asked_and_end(provider: KeycloakProvider) -> None:
    """Beyond the last user there is nobody."""
    await provider.create(new())
    beyond = await provider.page("1000000", 10)
    assert beyond == FoundPage((), None)
    first = await provider.page(None, 1)
    assert isinstance(first, FoundPage)
    assert (len(first.identities), first.cursor) == (1, "1")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "%2e%2e", "?x=y", "nobody"])
async def test_what_is_no_id_leads_nowhere(provider: KeycloakProvider, name: str) -> None:
    """In a path it would lead elsewhere: to everybody, or to what is another's."""
    await provider.create(new())
    assert await provider.find(name) == Absent()
    assert await provider.update(name, disabled=True) == Absent()
    assert isinstance(await provider.delete(name), Done | Unknown)


async def test_the_same_create_again_is_exists_with_any_password(provider: KeycloakProvider) -> None:
    """Never done, which would say that this very call made it."""
    ada = new()
    assert isinstance(await provider.create(ada), Done)
    assert await provider.create(replace(ada, email=(ada.email or "").upper())) == Exists()
