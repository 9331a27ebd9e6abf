"""People who sign up in tests."""

from typing import Any
from uuid import uuid4

from tests.servers import Servers

SIGN_UP = "/api/auth/signup"


def person(servers: Servers) -> dict[str, Any]:
    """Return the body of a new person's sign-up; no server may ever print the password."""
    name = f"u{uuid4().hex[:20]}"
    return {
        "email": f"{name}@example.com",
        "username": name,
        "name": "Ada",
        "password": servers.secret(),
        "role": "Creator",
    }


def key() -> dict[str, str]:
    """Return the header with a new idempotency key."""
    return {"Idempotency-Key": f'"{uuid4()}"'}
