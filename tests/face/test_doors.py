"""What an application may ask of the face, and what it may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from semel import Door, Semel
from semel.errors import ConfigurationInvalid, IdentityAlreadyExists, InvalidInput
from semel.stores.memory import MemoryStore
from semel.testing import Variant
from semel.testing.fake_provider import FakeProvider
from tests.face.conftest import EMAIL, PASSWORD, settings


@pytest.mark.parametrize("door", ["signup", "bogus", Door.FEDERATED, Door.SIGN_IN])
async def test_only_open_doors_are_open(door: Door) -> None:
    """A door's rules hold for the door itself, not for whatever is called so."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.register(email=EMAIL, password=PASSWORD, role="admin", door=door)
        assert [error.field for error in refused.value.errors] == ["door"]


@pytest.mark.parametrize(
    "given", [{"email": 7, "full_name": b"Ada"}, {"password": ["x"]}, {"attributes": [1]}], ids=str
)
async def test_what_is_no_text_names_its_field(given: dict[str, Any]) -> None:
    """A mistake of the application's own is an error of ours that names every field, and quotes nothing."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.register(**{"email": EMAIL, "password": PASSWORD, **given})
    assert [error.field for error in refused.value.errors] == list(given)


@pytest.mark.parametrize(("given", "field"), [({"proved": 1}, "proved"), ({"email": None, "proved": True}, "email")])
async def test_what_is_said_to_be_proved_is_an_email(given: dict[str, Any], field: str) -> None:
    """Anything but yes or no is refused, and so is a proof of nothing."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.register(**{"email": EMAIL, "password": PASSWORD, **given})
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("proved", [True, False])
async def test_a_planted_identity_makes_way_for_a_proof_alone(proved: bool) -> None:  # noqa: FBT001 - a parameter
    """Whoever proved the email to the application has it; who only claims it is told that it is somebody's."""
    provider = FakeProvider(Variant.OWN)
    provider.plant(EMAIL, confirmed=False, created_at=datetime.now(UTC) - timedelta(days=8))
    planting = settings(planted_after_days=7)
    async with Semel(planting, store=MemoryStore(), provider=provider) as semel:
        asked = semel.register(email=EMAIL, password=PASSWORD, proved=proved)
        if proved:
            account = (await asked).account
            assert [one.identity_id for one in provider.everybody()] == [account.id]
        else:
            with pytest.raises(IdentityAlreadyExists):
                await asked


async def test_a_refusal_names_the_argument() -> None:
    """As the application calls it, whatever it is called over HTTP."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.register(email=EMAIL, password=PASSWORD, full_name="x" * 201, idempotency_key="short")
    assert [error.field for error in refused.value.errors] == ["full_name", "idempotency_key"]


async def test_nobody_is_asked_for_by_what_is_no_text() -> None:
    """At a sign-in and wherever an id is given."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        for asked in (semel.sign_in(None, PASSWORD), semel.account(1), semel.delete_account(1), semel.refresh(1)):  # type: ignore[arg-type]
            with pytest.raises(InvalidInput):
                await asked


def test_settings_are_settings() -> None:
    """A URL in their place is told apart at once."""
    with pytest.raises(ConfigurationInvalid):
        Semel("sqlite:///semel.db")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, 0, 1001])
async def test_a_page_has_a_size(limit: int) -> None:
    """Another limit is refused, and names the field."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.accounts(limit=limit)
        assert [error.field for error in refused.value.errors] == ["limit"]


async def test_half_of_a_letter_is_wrong_input() -> None:
    """No store can hold it."""
    odd = "\ud800"
    async with Semel(settings(), store=MemoryStore()) as semel:
        for asked in (semel.account(odd), semel.registration(odd), semel.account_by_email(odd), semel.accounts(odd)):
            with pytest.raises(InvalidInput):
                await asked
