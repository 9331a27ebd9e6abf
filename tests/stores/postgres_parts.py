"""What the tests of the PostgreSQL store share."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from semel.model import Account, Identity, Name
from semel.ports import Also, Ids, Insert, Write
from semel.states import IdentityState
from semel.stores.postgres import PostgresStore, open_postgres
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import WHEN, identifier, registration

PROFILES = """
    CREATE TABLE public.profiles (
        id uuid PRIMARY KEY,
        name text,
        email text UNIQUE,
        role text NOT NULL,
        onboarding_completed boolean NOT NULL DEFAULT false
    )
"""
"""The table of an application that signs people up, as FastAPI projects on Supabase have it."""


@asynccontextmanager
async def opened(url: str, also: Also | None = None, **parameters: object) -> AsyncIterator[PostgresStore]:
    """Open a store, with more parameters in its URL."""
    if parameters:
        url += ("&" if "?" in url else "?") + urlencode(parameters, quote_via=quote)
    store = await open_postgres(url, also=also, jitter=SequentialIds(url).jitter)
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def silent_host() -> Iterator[str]:
    """Yield host and port of a listener whose system takes connections, and which never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Open a connection of somebody else's."""
    connection = await asyncpg.connect(url.partition("?")[0])
    try:
        yield connection
    finally:
        await connection.close()


def account(ids: Ids, **given: Any) -> Account:  # noqa: ANN401 - the fields differ in type
    """Return an account that fits nobody else."""
    some = {"email": "A@example.org", "role": "Creator", "full_name": "A Person", **given}
    return Account(id=ids.uuid(), created_at=WHEN, updated_at=WHEN, registration=ids.uuid(), **some)


def sign_up(ids: Ids, **given: Any) -> list[Write]:  # noqa: ANN401 - the fields differ in type
    """Return the writes of a registration that completes at once, the account's first, then its identity's."""
    new = account(ids, **given)
    owned = identifier(ids).but(account_id=new.id)
    records = (
        new.but(identifiers=(Name(owned.kind, owned.value),)),
        Identity(id=new.id, state=IdentityState.OWNED, credential="$argon2id$not-for-logs"),
        owned,
        registration(ids),
    )
    return [Insert(record) for record in records]


@asynccontextmanager
async def table_locked(url: str, table: str = "semel.keys") -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Let every write to the table wait, until the block ends. Readers go on."""
    async with connected(url) as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield connection


async def blocked(connection: "asyncpg.Connection[Any]") -> int:
    """Return, once a statement in this database waits for a lock, the process of the server that does."""
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database() AND pid <> pg_backend_pid()
    """
    while (process := await connection.fetchval(query)) is None:
        # Activity is shown as of the transaction's first look, unless that is forgotten.
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        await asyncio.sleep(0.005)
    return int(process)


async def finished(connection: "asyncpg.Connection[Any]", process: int) -> None:
    """Return once the server's process has come to the end of its statement."""
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
    while await connection.fetchval(query, process):
        continue
