"""What an application may ask of the face, and what it may not."""

from __future__ import annotations

import pytest

from semel import Door, Semel
from semel.errors import InvalidInput
from semel.stores.memory import MemoryStore
from tests.face.conftest import EMAIL, PASSWORD, settings


@pytest.mark.parametrize("door", ["signup", "bogus", Door.FEDERATED, Door.SIGN_IN])
async def test_only_open_doors_are_open(door: Door) -> None:
    """A door's rules hold for the door itself, not for whatever is called so."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.register(email=EMAIL, password=PASSWORD, role="admin", door=door)
        assert [error.field for error in refused.value.errors] == ["door"]


@pytest.mark.parametrize("limit", [-1, 0, 1001])
async def test_a_page_has_a_size(limit: int) -> None:
    """Another limit is refused, and names the field."""
    async with Semel(settings(), store=MemoryStore()) as semel:
        with pytest.raises(InvalidInput) as refused:
            await semel.accounts(limit=limit)
        assert [error.field for error in refused.value.errors] == ["limit"]
