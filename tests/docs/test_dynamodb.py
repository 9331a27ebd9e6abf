"""The how-to of DynamoDB: its table is the one that is made, its rights are those needed, its commands run."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from semel import Semel, Settings
from semel.ports import Insert
from semel.states import RegistrationState
from semel.stores.dynamodb import open_dynamodb
from semel.stores.dynamodb_items import EXPIRES, table_definition
from semel.stores.dynamodb_migrate import migrate_table
from semel.testing.aws_faults import AwsFaults
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import registration
from tests.docs.how_to import HowTo
from tests.emulators import Emulator

PAGE = HowTo.read("dynamodb")
TEMPLATE, POLICY = (json.loads(block.code) for block in PAGE.blocks if block.language == "json")
PARTS = {"TransactGetItems": {"GetItem"}, "TransactWriteItems": {"PutItem", "DeleteItem"}}


@pytest.fixture
def url(dynamodb: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a table that is still to be made."""
    for name, value in dynamodb.variables.items():
        monkeypatch.setenv(name, value)
    return dynamodb.new_url()


def test_the_table_is_the_one_that_is_made() -> None:
    """In whichever of the two ways."""
    properties: dict[str, Any] = TEMPLATE["Resources"]["Semel"]["Properties"]
    assert {name: properties[name] for name in table_definition("semel")} == table_definition("semel")
    assert properties["TimeToLiveSpecification"] == {"AttributeName": EXPIRES, "Enabled": True}


async def test_the_rights_are_those_needed(url: str) -> None:
    """Neither more nor fewer, for the servers and for the migration: by what they send in a whole life."""
    faults, ids = AwsFaults(jitter=SequentialIds().jitter), SequentialIds("rights")
    await migrate_table(url, faults.session())
    migrating = needed(faults)
    faults.sent.clear()
    store = await open_dynamodb(url, jitter=ids.jitter, session=faults.session())
    cheap = Settings(_env_file=None, argon2_memory_kib=8, argon2_iterations=1, upkeep=False)
    failed = registration(ids).but(state=RegistrationState.FAILED, due_at=datetime(2020, 1, 1, tzinfo=UTC))
    await store.commit([Insert(failed)], ids.token())
    async with Semel(cheap, store=store) as semel:
        account = (await semel.register(email="ada@gmail.com", password="an engine of 1843")).account
        await semel.sign_in("ada@gmail.com", "an engine of 1843")
        await semel.accounts()
        await semel.ready()
        await semel.delete_account(account.id)
        await semel.upkeep_once()
    await store.close()
    servers, both = ({action.removeprefix("dynamodb:") for action in each["Action"]} for each in POLICY["Statement"])
    assert servers == needed(faults)
    assert servers | both >= migrating
    assert both == migrating - servers


def needed(faults: AwsFaults) -> set[str]:
    """Return the rights that the requests so far needed."""
    return {part for operation in faults.sent for part in PARTS.get(operation, {operation})}


def test_the_commands_run(url: str, tmp_path: Path, dynamodb: Emulator) -> None:
    """As the page says, but for the server, which is there already."""
    (script,) = (block.code for block in PAGE.blocks if block.language == "bash")
    after = "\n".join(line for line in script.splitlines() if not line.startswith("dynoxide")).replace(
        "127.0.0.1:8001", f"127.0.0.1:{dynamodb.port}"
    )
    after = after.replace("dynamodb:///semel", url)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-euc", after], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["The tables are migrated from nothing to 0001.", "There are no accounts."]
