"""Makes the DynamoDB table of a URL, its index and its time to live.

Safe with any number of processes at once: of several only one makes the table, and all wait until it is ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobotocore.session import AioSession
from botocore.exceptions import ClientError, WaiterError

from semel.errors import ConfigurationInvalid, StoreUnavailable
from semel.stores.dynamodb_connect import connected
from semel.stores.dynamodb_errors import DRIVER_ERRORS, code, sdk_errors_alone, start_error
from semel.stores.dynamodb_items import EXPIRES, REVISION, require_shape, table_definition
from semel.stores.dynamodb_url import parse_url
from semel.stores.schema import Migrated

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

__all__ = ["migrate_table"]

_POLL_SECONDS: Final = 1
_POLLS: Final = 300
_IN_USE: Final = "ResourceInUseException"


async def migrate_table(url: str, session: AioSession | None = None) -> Migrated:
    """See ``semel.stores.migrate.migrate``. ``session`` is as for ``open_dynamodb``."""
    target = parse_url(url)
    async with connected(target, session) as client:
        try:
            with sdk_errors_alone():
                made = await _make(client, target.table)
                waiter = client.get_waiter("table_exists")
                await waiter.wait(TableName=target.table, WaiterConfig={"Delay": _POLL_SECONDS, "MaxAttempts": _POLLS})
                require_shape((await client.describe_table(TableName=target.table))["Table"])
                made |= await _expire(client, target.table)
        except WaiterError as error:
            raise StoreUnavailable("DynamoDB has not made the table ready yet: run `semel migrate` again.") from error
        except DRIVER_ERRORS as error:
            raise start_error(error) from None
    return Migrated(None if made else REVISION, REVISION)


async def _make(client: DynamoDBClient, table: str) -> bool:
    """Make the table unless it is there; tell whether it was we who made it."""
    try:
        await client.describe_table(TableName=table)
    except client.exceptions.ResourceNotFoundException:
        pass
    else:
        return False
    try:
        await client.create_table(**table_definition(table))
    except ClientError as error:
        if code(error) != _IN_USE:
            raise
        return False
    return True


async def _expire(client: DynamoDBClient, table: str) -> bool:
    """Let the service delete what has expired, unless it does so already; tell whether it was we who said so."""
    if await _expires(client, table):
        return False
    try:
        await client.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
        )
    except ClientError:
        # Refused to all but one of several who say it at once.
        if not await _expires(client, table):
            raise
        return False
    return True


async def _expires(client: DynamoDBClient, table: str) -> bool:
    told = (await client.describe_time_to_live(TableName=table))["TimeToLiveDescription"]
    if told.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        return False
    if told.get("AttributeName") != EXPIRES:
        raise ConfigurationInvalid(
            f"The DynamoDB table lets items expire by another attribute than {EXPIRES}: name another table."
        )
    return True
