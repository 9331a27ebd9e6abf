"""The rename test of the FastAPI document: the accounts table is away, so no account can be written."""

import httpx

from tests.e2e.people import SIGN_UP, key, person
from tests.e2e.rows import Rows
from tests.servers import Server, Servers


async def test_an_account_that_cannot_be_written_leaves_nothing(
    pair: tuple[Server, Server], rows: Rows, servers: Servers
) -> None:
    """503 with a registration id; nothing at rest after upkeep; the same request succeeds once the table is back."""
    body, headers = person(servers), key()
    accounts, away = rows.table("accounts"), "away"
    async with httpx.AsyncClient(base_url=pair[0].url, timeout=60) as client:
        await rows.select(f"ALTER TABLE {accounts} RENAME TO {away}")
        try:
            refused = await client.post(SIGN_UP, json=body, headers=headers)
        finally:
            await rows.select(
                f"ALTER TABLE {accounts.replace('semel_accounts', away).replace('accounts', away)} RENAME TO {accounts.partition('.')[2] or accounts}"
            )
        assert (refused.status_code, refused.json()["code"]) == (503, "store_rejected")
        assert refused.json()["registration_id"]
        assert servers.run("upkeep", "--once", database_url=rows.url).returncode == 0
        for table in ("accounts", "identities", "identifiers"):
            assert await rows.count(table) == 0
        assert await rows.count("registrations", "state = 'pending'") == 0
        accepted = await client.post(SIGN_UP, json=body, headers=headers)
    assert accepted.status_code == 201
    assert await rows.count("accounts") == 1
