"""Two servers on one store."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from semel.model import Account
from semel.testing.invariants import Snapshot, records_of
from tests.e2e.killing import open_store
from tests.servers import Server, Servers

SIGN_UP = "/api/auth/signup"


@dataclass(frozen=True)
class Site:
    """Two server processes that know of each other by the store alone, and what a test asks of them."""

    servers: Servers
    url: str
    first: Server
    second: Server

    async def look(self) -> Snapshot:
        """Return every record that is there now."""
        async with open_store(self.url) as store:
            return Snapshot(records=await records_of(store))

    async def accounts(self, email: str) -> list[Account]:
        """Return the accounts with this email, by whatever way they were made."""
        return [one for one in (await self.look()).all(Account) if one.email == email]

    def person(self) -> dict[str, Any]:
        """Return the body of a new person's sign-up; no server may ever print the password."""
        name = f"u{uuid4().hex[:20]}"
        return {
            "email": f"{name}@example.com",
            "username": name,
            "name": "Ada",
            "password": self.servers.secret(),
            "role": "Creator",
        }


def key() -> dict[str, str]:
    """Return the header with a new idempotency key."""
    return {"Idempotency-Key": f'"{uuid4()}"'}
