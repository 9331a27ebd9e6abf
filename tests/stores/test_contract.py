"""Every store keeps every promise of its port."""

import pytest

from semel.stores.memory import MemoryStore
from semel.testing.store_contract import STORE_CONTRACT, Promise, StoreBench


@pytest.fixture
def memory() -> StoreBench:
    store = MemoryStore()
    return StoreBench(store, store)


@pytest.fixture(params=["memory"])
def bench(request: pytest.FixtureRequest) -> StoreBench:
    found: StoreBench = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("promise", STORE_CONTRACT)
async def test_keeps_the_promise(promise: Promise, bench: StoreBench) -> None:
    """The promise is kept."""
    await promise(bench)
