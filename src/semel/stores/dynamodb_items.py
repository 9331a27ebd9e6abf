"""Records as items of the one DynamoDB table, and the table itself.

An item's key is its record's type and key, alone: every record lies in a partition of its own choosing, so the load
spreads evenly. Its attributes are the record's columns, moments as text; an empty one is left out.

What is due is found by a sparse index, whose hash key is the type and one of a few shards: the type alone would put all
that is due into one partition. It holds keys alone, and it lags.

Some records expire by themselves: DynamoDB deletes them some time after the moment in ``expires``, behind everybody's
back and one at a time. That may only ever happen to a record which is worth nothing from then on, and whose absence
means the same to whoever looks: a session whose time is over. Its account may list it for longer, as it does when a
session is ended by somebody else; nobody is let in by that. A registration is what a key's answer rests on, and what is
condemned must be looked for: those go by upkeep's commits alone. So do events, which are to be delivered first.
Upkeep ends sessions as well, and normally comes first: the grace is long.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec

from semel.errors import ConfigurationInvalid, InvalidInput
from semel.model import Key, Record, SessionFamily
from semel.stores.codec import Codecs, moment_text

__all__ = [
    "EXPIRES",
    "INDEX",
    "REVISION",
    "Item",
    "as_item",
    "as_record",
    "cursor_of",
    "due_query",
    "fits",
    "key_of",
    "page_filter",
    "primary_key",
    "require_shape",
    "shards",
    "start_of",
    "table_definition",
]

R = TypeVar("R", bound=Record)
Item = Mapping[str, Mapping[str, Any]]
"""An item as the service has it: each attribute's value under the name of its type."""

REVISION: Final = "0001"
"""The shape of the table that this release works on."""
INDEX: Final = "due"
EXPIRES: Final = "expires"
_SHARDS: Final = 8
"""Each is a partition of the index of its own, of a thousand changes a second; a look at what is due asks all."""
_KEY_BYTES: Final = 2048
"""The service's limit for a partition key."""
_EXPIRES_AT: Final[Mapping[type[Record], str]] = {SessionFamily: "expires_at"}
"""The record types that may be deleted behind the engine's back, and the field that says from when."""
_GRACE_SECONDS: Final = 7 * 86_400

_CODECS: Final = Codecs(moments_as_text=True)
_encode: Final = msgspec.json.Encoder().encode
_decode_key: Final = msgspec.json.Decoder(tuple[str, ...]).decode


def primary_key(kind: type[Record], key: Key) -> str:
    """Return the partition key: the type's name and the key as JSON, whose parts never run together.

    Raises ``UnicodeError`` for a key that is no text.
    """
    return f"{kind.TYPE}#{_encode(key).decode()}"


def fits(name: str) -> bool:
    """Tell whether the service takes it for a partition key. What does not fit was never stored."""
    return len(name.encode()) <= _KEY_BYTES


def key_of(name: str) -> dict[str, Any]:
    """Return the key of an item, as requests have it."""
    return {"pk": {"S": name}}


def as_item(record: Record, version: int) -> dict[str, Any]:
    """Return the item of a record at this version."""
    kind = type(record)
    codec, name = _CODECS[kind], primary_key(kind, record.key)
    values = zip(codec.columns, codec.row(record, version), strict=True)
    item = {column: _attribute(value) for column, value in values if value is not None}
    item["pk"] = {"S": name}
    if record.due_at is not None:
        item["due_shard"] = {"S": _shard(kind, int.from_bytes(blake2b(name.encode(), digest_size=2).digest()))}
    if (field := _EXPIRES_AT.get(kind)) is not None:
        moment: datetime = getattr(record, field)
        item[EXPIRES] = {"N": str(int(moment.timestamp()) + _GRACE_SECONDS)}
    return item


def _attribute(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, int) else {"S": str(value)}


def as_record(kind: type[R], item: Item) -> R:
    """Return the record of an item. Raises ``StoreInconsistent`` where it cannot be one."""
    codec = _CODECS[kind]
    return codec.record([_value(item.get(column)) for column in codec.columns])


def _value(attribute: Mapping[str, Any] | None) -> object:
    """Return an attribute's value. The codec reads numbers as text, and refuses what a field cannot be."""
    return None if attribute is None or "NULL" in attribute else next(iter(attribute.values()))


def _shard(kind: type[Record], number: int) -> str:
    return f"{kind.TYPE}#{number % _SHARDS}"


def shards(kind: type[Record]) -> list[str]:
    """Return the index's hash keys of a type."""
    return [_shard(kind, number) for number in range(_SHARDS)]


def due_query(shard: str, before: datetime) -> dict[str, Any]:
    """Return the parameters of a query for the keys of a shard that are due."""
    return {
        "IndexName": INDEX,
        "KeyConditionExpression": "due_shard = :shard AND due_at <= :before",
        "ExpressionAttributeValues": {":shard": {"S": shard}, ":before": {"S": moment_text(before)}},
    }


def page_filter(kind: type[Record]) -> dict[str, Any]:
    """Return the parameters by which a scan passes over records of other types."""
    return {
        "FilterExpression": "begins_with(pk, :type)",
        "ExpressionAttributeValues": {":type": {"S": primary_key(kind, ()).removesuffix("]")}},
    }


def cursor_of(record: Record) -> str:
    """Return the cursor that leads on from behind this record."""
    return _encode(record.key).decode()


def start_of(kind: type[Record], cursor: str) -> dict[str, Any]:
    """Return the key from behind which a scan goes on.

    Raises ``InvalidInput`` for a cursor that no page of the type gave.
    """
    try:
        key = _decode_key(cursor)
    except (msgspec.MsgspecError, UnicodeError):
        key = ()
    if len(key) != len(kind.KEY) or not fits(primary_key(kind, key)):
        raise InvalidInput("The cursor is none that a page of this list gave: start without one.")
    return key_of(primary_key(kind, key))


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────────

_KEY_SCHEMA: Final = [{"AttributeName": "pk", "KeyType": "HASH"}]
_INDEX_SCHEMA: Final = [
    {"AttributeName": "due_shard", "KeyType": "HASH"},
    {"AttributeName": "due_at", "KeyType": "RANGE"},
]
_INDEX_PROJECTION: Final = {"ProjectionType": "KEYS_ONLY"}
_ATTRIBUTES: Final = {"due_at": "S", "due_shard": "S", "pk": "S"}


def table_definition(table: str) -> dict[str, Any]:
    """Return the parameters of ``CreateTable``."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _KEY_SCHEMA,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in _ATTRIBUTES.items()],
        "GlobalSecondaryIndexes": [{"IndexName": INDEX, "KeySchema": _INDEX_SCHEMA, "Projection": _INDEX_PROJECTION}],
    }


def require_shape(description: Mapping[str, Any]) -> None:
    """Raise ``ConfigurationInvalid`` unless a table, as ``DescribeTable`` describes it, is one of ours.

    Its billing, encryption, backups and further indexes are whoever runs it's own affair.
    """
    indexes = {index["IndexName"]: index for index in description.get("GlobalSecondaryIndexes", ())}
    index = indexes.get(INDEX, {})
    types = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}
    ours = (
        description["KeySchema"] == _KEY_SCHEMA
        and index.get("KeySchema") == _INDEX_SCHEMA
        and types.items() >= _ATTRIBUTES.items()
    )
    if not ours:
        raise ConfigurationInvalid(
            "The DynamoDB table of the URL is not one that `semel migrate` made: its keys or its index are others. "
            "Name another table, and let `semel migrate` make it."
        )
