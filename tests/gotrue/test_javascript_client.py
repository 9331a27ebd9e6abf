"""``@supabase/auth-js``, the official JavaScript client, unchanged, against ``semel serve``: see ``stories.mjs``."""

from __future__ import annotations

import pytest

from tests.gotrue.clients import story
from tests.gotrue.conftest import Api


@pytest.mark.parametrize("name", ["people", "scopes", "admin", "errors"])
async def test_a_story_of_the_client_comes_to_its_end(name: str, api: Api) -> None:
    """Its assertions hold."""
    process = await story(name, api("on"))
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert output.decode().splitlines() == ["done"]
