"""Where a store on Azure Tables is: the URL, read without the SDK.

``azure-tables:///table`` takes the account and its key from ``AZURE_STORAGE_CONNECTION_STRING``;
``azure-tables://account.table.core.windows.net/table`` names the account, and signs in through Microsoft Entra ID.
"""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from semel.errors import ConfigurationInvalid
from semel.model import Secret

__all__ = ["CONNECTION_STRING", "AzureTarget", "connection_string", "parse_url", "require_storage"]

CONNECTION_STRING: Final = "AZURE_STORAGE_CONNECTION_STRING"
"""The environment variable of the Azure command line and of its samples."""

_SCHEME: Final = "azure-tables"
_TABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
"""Understanding the Table service data model, learn.microsoft.com; ``tables`` is taken by the service itself."""
_HOST: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class AzureTarget(msgspec.Struct, frozen=True):
    """A table, and its account's host; ``None`` where the connection string names the account."""

    table: str
    host: str | None = None


def parse_url(url: str) -> AzureTarget:
    """Read a URL. Raises ``ConfigurationInvalid`` naming what is wrong and the remedy, never a value."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong("it has no valid host") from None
    if not url.lower().startswith(f"{_SCHEME}://") or "@" in parts.netloc or parts.query or parts.fragment:
        raise _wrong(f"it is {_SCHEME}:///table or {_SCHEME}://account.table.core.windows.net/table, and no more")
    if parts.netloc and not _HOST.fullmatch(parts.netloc):
        raise _wrong("its host is the account's, such as account.table.core.windows.net, without a port")
    require_storage(parts.netloc)
    table = parts.path.removeprefix("/")
    if not _TABLE.fullmatch(table) or table.lower() == "tables":
        raise _wrong("a table's name is 3 to 63 letters and digits, begins with a letter, and is not tables")
    return AzureTarget(table, parts.netloc or None)


def connection_string() -> Secret:
    """Return the environment's connection string. Raises ``ConfigurationInvalid`` where there is none."""
    found = os.environ.get(CONNECTION_STRING, "")
    if not found:
        remedy = f"set it, or name the account in the URL: {_SCHEME}://account.table.core.windows.net/table"
        raise ConfigurationInvalid(f"{CONNECTION_STRING} is missing: {remedy}")
    return Secret(found)


def require_storage(host: str) -> None:
    """Raise ``ConfigurationInvalid`` where the host is of Azure Cosmos DB, whose readings may be stale."""
    if ".cosmos." in host.lower():
        raise ConfigurationInvalid("Azure Cosmos DB is no store of Semel's: name a storage account's table service.")


def _wrong(what: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"The database URL is not valid: {what}.")
