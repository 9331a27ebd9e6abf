"""Tokens for the recorded requests: good ones and bad ones, signed here with the secret that the server shares."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

SECRET: Final = "the-shared-secret-of-the-tests-never-to-be-seen"
_OTHER: Final = "another-secret-that-no-server-has-ever-been-told"
_DIGESTS: Final[Mapping[str, Callable[[], Any]]] = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}
_HOUR: Final = 3600


def signed(claims: Mapping[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    """Return a JSON Web Token; with the algorithm ``none``, one without a signature."""
    head = {"alg": algorithm, "typ": "JWT"}
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
    digest = _DIGESTS.get(algorithm)
    signature = hmac.new(secret.encode(), text.encode(), digest).digest() if digest else b""
    return f"{text}.{_encoded(signature)}"


def decoded(token: str) -> dict[str, Any]:
    """Return a token's header and claims, whoever signed it."""
    head, claims, _ = token.split(".")
    return {"header": _read(head), "claims": _read(claims)}


def key(role: str, **more: object) -> str:
    """Return what Supabase calls a key: a token of a role that stands for nobody."""
    now = int(time.time())
    return signed({"role": role, "iss": "supabase", "iat": now, "exp": now + _HOUR, **more})


def person(sub: str | None, **more: object) -> str:
    """Return an access token of somebody, of no session."""
    now = int(time.time())
    whose = {} if sub is None else {"sub": sub}
    return signed({"aud": "authenticated", "role": "authenticated", "iat": now, "exp": now + _HOUR, **whose, **more})


def bad(why: str, *, admin: bool) -> str:
    """Return an ``Authorization`` header that is refused, or ought to be."""
    now = int(time.time())
    role = "service_role" if admin else "authenticated"
    good = {"sub": str(uuid4()), "aud": "authenticated", "role": role, "iat": now, "exp": now + _HOUR}
    old = {"iat": now - 2 * _HOUR, "exp": now - _HOUR}
    headers: dict[str, Callable[[], str]] = {
        "garbage": lambda: "Bearer garbage",
        "three-parts": lambda: "Bearer %.%.%",
        "not-bearer": lambda: f"Basic {signed(good)}",
        "expired": lambda: f"Bearer {signed({**good, **old})}",
        "signature": lambda: f"Bearer {signed(good, _OTHER)}",
        "alg-none": lambda: f"Bearer {signed(good, algorithm='none')}",
        "hs512": lambda: f"Bearer {signed(good, algorithm='HS512')}",
        "no-sub": lambda: f"Bearer {person(None)}",
        "sub-not-uuid": lambda: f"Bearer {person('ada')}",
        "unknown-user": lambda: f"Bearer {person(str(uuid4()))}",
        "role-unknown": lambda: f"Bearer {key('gardener')}",
        "service-role-expired": lambda: f"Bearer {key('service_role', **old)}",
    }
    return headers[why]()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(part: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


HEAD: Final = signed({}).partition(".")[0]
"""What every token that a shared secret signs begins with."""
