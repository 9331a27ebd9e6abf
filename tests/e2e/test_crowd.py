"""The tests of races test something: a crowd does collide."""

from collections import Counter

import pytest

from tests.e2e.crowd import Crowd
from tests.e2e.rows import Rows
from tests.e2e.site import Site
from tests.servers import Servers

_ROUNDS = 100


async def _without_referee(rows: Rows) -> None:
    """Drop the keys that refuse a second owner of an identifier."""
    for table, constraint in (
        ("identifiers", "pk_semel_identifiers"),
        ("accounts", "uq_semel_accounts_email_canonical"),
        ("accounts", "uq_semel_accounts_username_canonical"),
    ):
        await rows.select(f"ALTER TABLE {rows.table(table)} DROP CONSTRAINT {constraint}")


async def test_without_the_primary_key_a_crowd_makes_several_accounts(servers: Servers, postgres_database: str) -> None:
    """With the referee gone the same ten requests get several 201: nothing but the key was between them."""
    rows = Rows(postgres_database)
    servers.migrate(rows.url)
    await _without_referee(rows)
    with servers.running(rows.url) as first, servers.running(rows.url) as second:
        site = Site(servers, rows.url, first, second)
        async with Crowd([first, second]) as crowd:
            for _ in range(_ROUNDS):
                person = site.person()
                bodies = [{**person, "name": f"Ada {number}"} for number in range(crowd.size)]
                answers = await crowd.sign_up(bodies, [None] * crowd.size)
                if Counter(answer.status_code for answer in answers)[201] > 1:
                    return
    pytest.fail("ten requests never met")
