"""``ports.Search``: accounts found by a part of what people call them; the same on every store that can."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from semel.errors import InvalidInput
from semel.model import Account, Identity
from semel.ports import Insert, Search, Store
from semel.states import IdentityState
from semel.stores.memory import MemoryStore
from semel.stores.postgres import open_postgres
from semel.stores.sqlite import open_sqlite

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = {
    "1": ("ada@example.org", "countess", "Ada Lovelace"),
    "2": ("grace@example.org", None, "Grace ADAMS"),
    "3": ("50%@example.org", "under_score", None),
    "4": ("alan@example.net", "turing", "Ålan"),
}


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The URL of each store that can search; ``None`` for the one in memory."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('sqlite_path')}"
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None


async def opening(url: str | None) -> Store:
    """Open a store."""
    if url is None:
        return MemoryStore(lambda: NOW)
    return await (open_sqlite(url) if url.startswith("sqlite") else open_postgres(url, jitter=lambda: 0.5))


@pytest.fixture
async def store(url: str | None) -> AsyncIterator[Store]:
    """The store, with the same people in it."""
    opened = await opening(url)
    for key, (email, username, name) in PEOPLE.items():
        account = Account(
            id=key,
            email=email,
            email_canonical=email,
            username=username,
            username_canonical=username,
            full_name=name,
            created_at=NOW,
            updated_at=NOW,
            registration="r",
        )
        await opened.commit([Insert(account), Insert(Identity(id=key, state=IdentityState.OWNED))], int(key))
    yield opened
    await opened.close()


async def found(store: Store, words: str, limit: int = 10) -> list[str]:
    """Return the ids of all that are found, page by page."""
    assert isinstance(store, Search)
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = await store.search(words, cursor, limit)
        assert len(page.records) <= limit
        ids += [record.key[0] for record in page.records]
        cursor = page.cursor
        if cursor is None:
            return ids


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("ada", ["1", "2"]),
        ("ADA", ["1", "2"]),
        ("lovelace", ["1"]),
        ("turing", ["4"]),
        ("Ålan", ["4"]),
        ("%", ["3"]),
        ("_", ["3"]),
        ("'; --", []),
        ("example", ["1", "2", "3", "4"]),
        ("nobody", []),
        ("\0", []),
    ],
)
async def test_a_part_of_email_username_or_name_finds_an_account(store: Store, words: str, ids: list[str]) -> None:
    assert await found(store, words) == ids
    assert await found(store, words, limit=1) == ids


@pytest.mark.parametrize("cursor", ["nonsense", "7", '["a","b"]', '["\\u0000"]', "{}"])
async def test_a_cursor_of_somewhere_else_is_refused(store: Store, cursor: str) -> None:
    """By name, in a search as in a list."""
    assert isinstance(store, Search)
    for asked in (store.search("ada", cursor, 10), store.page(Account, cursor, 10)):
        with pytest.raises(InvalidInput) as refused:
            await asked
        assert [one.field for one in refused.value.errors] == ["cursor"]
