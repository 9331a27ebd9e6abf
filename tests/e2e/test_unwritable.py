"""The rename test of a sign-up: the accounts table is away, so no account can be written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.e2e.grounds import SQL
from tests.e2e.rows import Rows
from tests.e2e.site import SIGN_UP, Site, key

pytestmark = pytest.mark.parametrize("site", SQL, indirect=True)


@asynccontextmanager
async def _away(rows: Rows, table: str) -> AsyncIterator[None]:
    """Take a table away for a while."""
    await rows.rename(table, "away")
    try:
        yield
    finally:
        await rows.rename("away", table)


async def test_an_account_that_cannot_be_written_leaves_nothing(site: Site) -> None:
    """503 with a registration id; nothing at rest after upkeep; the same request succeeds once the table is back."""
    body, headers = site.person(), key()
    rows = Rows(site.url)
    before = [await rows.count(table) for table in ("identities", "identifiers")]
    async with httpx.AsyncClient(base_url=site.first.url, timeout=60) as client:
        async with _away(rows, "accounts"):
            refused = await client.post(SIGN_UP, json=body, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_rejected")
            assert refused.json()["registration_id"]
            upkeep = site.servers.run("upkeep", "--once", database_url=rows.url)
            assert upkeep.returncode == 0, upkeep.stderr
            assert [await rows.count(table) for table in ("identities", "identifiers")] == before
            assert await rows.count("registrations", "state = 'pending'") == 0
        accepted = await client.post(SIGN_UP, json=body, headers=headers)
    assert accepted.status_code == 201
    assert await rows.count("accounts", f"email = '{body['email']}'") == 1
