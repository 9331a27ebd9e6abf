"""DynamoDB URLs: ``dynamodb:///table``, or ``dynamodb://region/table``.

Whatever else it takes to reach the service is found where the AWS SDKs look for it: ``AWS_ENDPOINT_URL_DYNAMODB``, the
region, credentials of the environment, a profile or a role.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from semel.errors import ConfigurationInvalid

__all__ = ["DynamoUrl", "parse_url"]

_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
"""DynamoDB's own rule for the names of tables."""
_REGION: Final = re.compile(r"[a-z0-9-]*")


class DynamoUrl(msgspec.Struct, frozen=True):
    """Where the table is. Without a region, the SDK's."""

    table: str
    region: str | None = None


def parse_url(url: str) -> DynamoUrl:
    """Read a URL. Raises ``ConfigurationInvalid`` naming what is wrong and the remedy, never a value."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong("say dynamodb:///table or dynamodb://region/table") from None
    if "@" in parts.netloc:
        raise _wrong("credentials are the SDK's own: a profile, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not _REGION.fullmatch(parts.netloc):
        raise _wrong("before the table stands a region or nothing; AWS_ENDPOINT_URL_DYNAMODB names another endpoint")
    table = parts.path.removeprefix("/")
    if not _TABLE.fullmatch(table) or parts.query or parts.fragment:
        raise _wrong("it ends with the table's name: 3 to 255 letters, digits, dots, dashes and underscores")
    return DynamoUrl(table, parts.netloc or None)


def _wrong(what: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"The database URL is not valid: {what}.")
