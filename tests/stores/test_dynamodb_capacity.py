"""What Semel costs on DynamoDB, in requests and in the service's own units, as the how-to page says it."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession

from semel import Semel, Settings
from semel.ports import Insert, Store
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import identifier
from tests.stores.dynamodb_parts import opened

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "dynamodb.md"
ROW = re.compile(r"^\| ([^|]+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)
PERSON: dict[str, Any] = {"email": "ada@gmail.com", "password": "correct horse battery", "full_name": "Ada Lovelace"}

READING = frozenset({"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"})
WRITING = frozenset({"DeleteItem", "PutItem", "TransactWriteItems"})


class Meter:
    """Counts the requests of a session's clients, and what the service says that they consumed."""

    def __init__(self) -> None:
        self.session = AioSession()
        self.session.register("before-parameter-build.dynamodb", self._ask)
        self.session.register("after-call.dynamodb", self._take)
        self._spent: Counter[str] = Counter()
        self._units: dict[str, float] = {}

    def _ask(self, params: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
        if model.name in READING | WRITING:
            params["ReturnConsumedCapacity"] = "TOTAL"

    def _take(self, parsed: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
        told = parsed.get("ConsumedCapacity", [])
        kind = "write" if model.name in WRITING else "read"
        spent = sum(each["CapacityUnits"] for each in (told if isinstance(told, list) else [told]))
        self._units[kind] = self._units.get(kind, 0) + spent
        self._spent["requests"] += 1

    def read(self) -> tuple[int, float, float]:
        """Return requests, read units and write units since the last reading."""
        found = self._spent["requests"], self._units.get("read", 0.0), self._units.get("write", 0.0)
        self._spent.clear()
        self._units.clear()
        return found


async def fill(store: Store, people: int) -> None:
    """Let so many others have an email."""
    ids = SequentialIds("others")
    for start in range(0, people, 100):
        others = [identifier(ids, f"{start + each}@gmail.com") for each in range(100)]
        await store.commit([Insert(each) for each in others], ids.token())


@pytest.mark.parametrize("others", [0, 500])
async def test_it_costs_what_the_page_says(dynamodb_url: str, others: int) -> None:
    """However many others there are: nothing grows with their number."""
    meter, measured = Meter(), {}
    settings = Settings(_env_file=None, argon2_memory_kib=8, argon2_iterations=1, upkeep=False)
    async with opened(dynamodb_url, meter.session) as store, Semel(settings, store=store) as semel:
        await fill(store, others)
        meter.read()
        await semel.register(**PERSON)
        measured["a sign-up"] = meter.read()
        await semel.register(**PERSON)
        measured["the same once more, by a double click"] = meter.read()
        tokens = (await semel.sign_in(PERSON["email"], PERSON["password"])).tokens
        measured["a sign-in"] = meter.read()
        await semel.current_account(tokens.access_token)
        measured["a request by somebody who is signed in"] = meter.read()
        await semel.upkeep_once()
        measured["a pass of upkeep that finds nothing due"] = meter.read()
        async with Semel(settings, store=store):
            measured["a start of another server"] = meter.read()
    said = {row[1]: (int(row[2]), float(row[3]), float(row[4])) for row in ROW.finditer(PAGE.read_text())}
    assert measured == said
