"""``semel user create`` is the administrator's door as well; it takes no key, so the same words are the same intent."""

from __future__ import annotations

import asyncio
from subprocess import CompletedProcess
from uuid import uuid4

import pytest

from semel.cli.exits import Exit
from tests.doors.conftest import Houses
from tests.doors.house import House, left
from tests.doors.table import DOORS
from tests.servers import Servers

pytestmark = pytest.mark.asyncio(loop_scope="session")

ADMIN = next(row for row in DOORS if row.name == "admin")


async def test_the_command_makes_an_account_once(houses: Houses, servers: Servers) -> None:
    """Two at once are one account with the records of that door; with other words the email is taken."""
    house = await houses("sqlite", remote=False)
    person = [f"{uuid4().hex}@example.com", "--username", f"u{uuid4().hex[:16]}", "--password", servers.secret()]
    told = await asyncio.gather(*(_create(servers, house, *person, "--json") for _ in range(2)))
    assert [one.returncode for one in told] == [0, 0], told[0].stderr + told[1].stderr
    assert told[0].stdout == told[1].stdout
    assert (await _create(servers, house, *person, "--full-name", "Another")).returncode == Exit.REFUSED
    assert left(await house.rest()) == ADMIN.leaves(1, remote=False)


async def _create(servers: Servers, house: House, *words: str) -> CompletedProcess[str]:
    return await asyncio.to_thread(servers.run, "user", "create", *words, database_url=house.url)
