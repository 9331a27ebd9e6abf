"""A specimen: the registration of a Java service over DynamoDB, after its repair, in the SDK's own calls.

The repair reads: take the look at the email away, save the user under an id of its own if that is absent, then ask the
index for all users with the email; if there are others, delete one's own and say that the user already exists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

__all__ = ["UserAlreadyExistsError", "UserService"]

_INDEX = "email-index"
_USER_ID = "pk"
"""The service calls it ``userId``; ``semel.testing.aws_faults`` knows a key by this name."""

Between = Callable[[], Awaitable[object]]
"""What happens to a request between its save and its look, and again before it acts on what it saw.

Here a test lets the others come up.
"""


class UserAlreadyExistsError(Exception):
    """What the caller is told: USER_ALREADY_EXISTS."""


@dataclass(frozen=True)
class UserService:
    """One instance of the service."""

    client: DynamoDBClient
    table: str

    async def create_table(self) -> None:
        """Make the table of users, whose key is the id, and its index by email."""
        await self.client.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": _USER_ID, "AttributeType": "S"},
                {"AttributeName": "email", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": _USER_ID, "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": _INDEX,
                    "KeySchema": [{"AttributeName": "email", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        await self.client.get_waiter("table_exists").wait(TableName=self.table)

    async def create_user(self, email: str, between: Between) -> str:
        """Return the id of the new user. Raises ``UserAlreadyExistsError``."""
        user_id = str(uuid4())
        await self._save_if_not_exists(user_id, email)
        await between()
        found = await self._find_all_by_email(email)
        await between()
        if any(other != user_id for other in found):
            # The repair tells the caller so even where this fails.
            with suppress(self.client.exceptions.ClientError):
                await self.client.delete_item(TableName=self.table, Key={_USER_ID: {"S": user_id}})
            raise UserAlreadyExistsError
        return user_id

    async def users(self) -> list[str]:
        """Return the email of every row, whatever the index says."""
        found = await self.client.scan(TableName=self.table, ConsistentRead=True)
        return [item["email"]["S"] for item in found["Items"]]

    async def _save_if_not_exists(self, user_id: str, email: str) -> None:
        await self.client.put_item(
            TableName=self.table,
            Item={_USER_ID: {"S": user_id}, "email": {"S": email}},
            ConditionExpression=f"attribute_not_exists({_USER_ID})",
        )

    async def _find_all_by_email(self, email: str) -> list[str]:
        found = await self.client.query(
            TableName=self.table,
            IndexName=_INDEX,
            KeyConditionExpression="email = :email",
            ExpressionAttributeValues={":email": {"S": email}},
        )
        return [item[_USER_ID]["S"] for item in found["Items"]]
