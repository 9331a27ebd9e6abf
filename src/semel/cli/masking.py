"""Settings as they may be shown: whatever could be a secret is masked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from semel.config import Settings
from semel.config_names import variable

__all__ = ["masked", "shown_settings"]

_MASK: Final = "***"
_HARMLESS: Final = frozenset(
    {
        "host",
        "port",
        "pool_size",
        "pooler",
        "schema",
        "sslmode",
        "tls",
        "connect_timeout",
        "statement_timeout",
        "lock_timeout",
    }
)
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.%\w]*\]|[^:\[\]]*)(:([1-9][0-9]{0,4})?)?")
"""One of several that commas part, each with a port of its own."""


def shown_settings(settings: Settings) -> dict[str, object]:
    """Return every setting by its variable."""
    return {variable(name): _shown(name, getattr(settings, name)) for name in type(settings).model_fields}


def _shown(name: str, value: object) -> object:
    if not isinstance(value, SecretStr):
        return str(value) if isinstance(value, Path) else value
    return masked(value.get_secret_value()) if name.endswith("_url") else _MASK


def masked(url: str) -> str:
    """Return a URL without its password; of one that was not written by the rules, the scheme alone."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or _ambiguous(parts):
        return f"{url.partition(':')[0]}:{_MASK}"
    user, _, place = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}:{_MASK}@{place}" if colon else parts.netloc
    query = [(key, value if key in _HARMLESS else _MASK) for key, value in parse_qsl(parts.query)]
    shown = f"{parts.scheme}:{f'//{netloc}' if '//' in url else ''}{parts.path}"
    return f"{shown}?{urlencode(query, safe='*')}" if query else shown


def _ambiguous(parts: SplitResult) -> bool:
    """Tell whether a password may stand where none belongs: a ``/``, ``?``, ``#`` or ``@`` in it must be encoded."""
    hosts = parts.netloc.rpartition("@")[2]
    return (
        not all(map(_HOST.fullmatch, hosts.split(",")))
        or parts.netloc.count("@") > 1
        or any("@" in part for part in (parts.path, parts.query, parts.fragment))
    )
