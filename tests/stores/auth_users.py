"""A remote provider whose identities are rows of the store's own database, as Supabase Auth's are."""

from typing import Any

import asyncpg
from typing_extensions import override

from semel.testing.fake_provider import FakeProvider

__all__ = ["AUTH_USERS", "TableProvider"]

AUTH_USERS = """
    CREATE SCHEMA auth;
    CREATE TABLE auth.users (id uuid PRIMARY KEY, email text UNIQUE)
"""


class TableProvider(FakeProvider):
    """The fake provider, and ``auth.users`` as it stands after each of its answers; ``lost`` keeps that from it."""

    def __init__(self, database: "asyncpg.Connection[Any]") -> None:
        super().__init__()
        self.lost = False
        self._database = database

    @override
    async def ask(self, operation: str, *args: Any) -> Any:
        answer = await super().ask(operation, *args)
        if not self.lost:
            await self.write()
        return answer

    async def write(self) -> None:
        """Bring the table to what the provider has."""
        there = {one.identity_id: one.email for one in self.everybody()}
        await self._database.execute("DELETE FROM auth.users WHERE id <> ALL ($1::uuid[])", list(there))
        for identity_id, email in there.items():
            await self._database.execute(
                "INSERT INTO auth.users VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = $2", identity_id, email
            )
