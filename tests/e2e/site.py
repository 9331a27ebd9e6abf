"""Two servers on one database."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.e2e.rows import Rows
from tests.servers import Server, Servers

SIGN_UP = "/api/auth/signup"


@dataclass(frozen=True)
class Site:
    """Two server processes that know of each other by the database alone, and what a test asks of them."""

    servers: Servers
    rows: Rows
    first: Server
    second: Server

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
