"""Passwords at the embedded provider: one record, one answer, and the same time for those who do not exist."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from semel.errors import Overloaded
from semel.model import Identity, Secret
from semel.ports import EmbeddedProvider, Hasher
from semel.providers.embedded import EmbeddedPasswords
from semel.states import IdentityState
from semel.system import Argon2Hasher, Argon2Options
from semel.testing.hashers import CheapHasher

IDENTITY = Identity(id="0197", state=IdentityState.OWNED)
PASSWORD = Secret("StrongPass123$")


@pytest.fixture(params=["argon2", "cheap"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedPasswords]:
    """Give the provider over each hasher."""
    if request.param == "cheap":
        yield EmbeddedPasswords(CheapHasher())
        return
    hasher = Argon2Hasher(Argon2Options(memory_kib=8, time_cost=1, threads=1))
    yield EmbeddedPasswords(hasher)
    hasher.close()


async def test_enrolling_writes_the_credential_and_nothing_else(provider: EmbeddedPasswords) -> None:
    """The record is returned with a hash that verifies the password; the password is not in it."""
    assert isinstance(provider, EmbeddedProvider)
    enrolled = await provider.enrol(IDENTITY, PASSWORD)
    assert enrolled.but(credential=None) == IDENTITY
    assert PASSWORD.reveal() not in repr(enrolled)
    assert await provider.verify(enrolled, PASSWORD)
    assert not await provider.verify(enrolled, Secret("another password"))


async def test_nobody_has_no_right_password(provider: EmbeddedPasswords) -> None:
    """Neither an unknown email nor an identity without a credential."""
    assert not await provider.verify(None, PASSWORD)
    assert not await provider.verify(IDENTITY, PASSWORD)
    assert not provider.outdated(IDENTITY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: CheapHasher("1"), lambda: CheapHasher("2")),
        (
            lambda: Argon2Hasher(Argon2Options(memory_kib=8, time_cost=1)),
            lambda: Argon2Hasher(Argon2Options(memory_kib=8, time_cost=2)),
        ),
    ],
    ids=["cheap", "argon2"],
)
async def test_a_credential_of_another_profile_is_outdated(
    before: Callable[[], Hasher], after: Callable[[], Hasher]
) -> None:
    """It verifies as before, and one of the present profile is not outdated."""
    then, now = before(), after()
    enrolled = await EmbeddedPasswords(then).enrol(IDENTITY, PASSWORD)
    assert not EmbeddedPasswords(then).outdated(enrolled)
    assert EmbeddedPasswords(now).outdated(enrolled)
    assert await EmbeddedPasswords(now).verify(enrolled, PASSWORD)
    for hasher in (then, now):
        if isinstance(hasher, Argon2Hasher):
            hasher.close()


def test_whether_a_look_is_worth_it_is_the_hashers_to_say() -> None:
    """A cheap hash is not worth a round trip to spare it."""
    assert not EmbeddedPasswords(CheapHasher()).slow
    hasher = Argon2Hasher()
    assert EmbeddedPasswords(hasher).slow
    hasher.close()


async def test_an_unknown_person_costs_the_time_of_a_known_one() -> None:
    """Both burn one hash: the processor time of the two is alike, so an answer's time tells no email apart."""
    hasher = Argon2Hasher(Argon2Options(threads=1))
    provider = EmbeddedPasswords(hasher)
    enrolled = await provider.enrol(IDENTITY, PASSWORD)
    spent = {}
    for identity in (enrolled, None, IDENTITY, enrolled):
        began = time.process_time()
        for _ in range(5):
            await provider.verify(identity, Secret("wrong password"))
        spent[identity] = time.process_time() - began
    hasher.close()
    assert max(spent.values()) < 2 * min(spent.values())


async def test_an_unknown_person_waits_in_the_same_queue() -> None:
    """Under load, too, the two are answered alike: whoever comes second is told to come back."""
    hasher = Argon2Hasher(Argon2Options(time_cost=10, threads=1, queue=0))
    provider = EmbeddedPasswords(hasher)
    enrolled = await provider.enrol(IDENTITY, PASSWORD)
    for pair in ((enrolled, None), (None, enrolled)):
        asked = (provider.verify(identity, Secret("wrong password")) for identity in pair)
        first, second = await asyncio.gather(*asked, return_exceptions=True)
        assert first is False
        assert isinstance(second, Overloaded)
    hasher.close()
