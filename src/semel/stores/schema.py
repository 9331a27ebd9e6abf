"""The tables of both SQL stores, declared once: one table a record type, one column a field.

On PostgreSQL they stand in a schema of their own, on SQLite, which has none, under a prefix: either way they meet
nothing of the application's. The migrations build the same tables; a test compares the two.

Text is compared byte by byte (collation ``C``; SQLite does nothing else), so that no upgrade of the system's locales
can corrupt an index that referees a race. Structured fields are JSON text and come back to the letter. A moment is
``timestamptz`` on PostgreSQL and ISO 8601 text in UTC of a fixed width on SQLite, whose order is the order of time.
Stores name no state, so no constraint names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from semel.errors import ConfigurationInvalid
from semel.model import (
    RECORD_TYPES,
    Account,
    ApiKey,
    Identifier,
    Identity,
    Invitation,
    Invited,
    KeyRecord,
    Link,
    OutboxEvent,
    Record,
    Registration,
    SessionFamily,
)

__all__ = [
    "ACCOUNT_EMAIL",
    "ACCOUNT_FOLLOWS",
    "ACCOUNT_IDENTITY",
    "ACCOUNT_USERNAME",
    "IDENTIFIER_ACCOUNT",
    "LINK_ACCOUNT",
    "PREFIX",
    "REVISION",
    "SCHEMA",
    "SESSION_ACCOUNT",
    "VERSION_TABLE",
    "Field",
    "Migrated",
    "Reference",
    "Shape",
    "constraint_names",
    "declare",
    "fields",
    "is_semel_table",
    "quoted",
    "references",
    "require_revision",
    "table_name",
    "version_table",
]

SCHEMA: Final = "semel"
"""The PostgreSQL schema, unless a setting says otherwise."""
PREFIX: Final = "semel_"
"""What the names of our tables start with on SQLite."""
VERSION_TABLE: Final = "alembic_version"
"""The table that says which revision the others have; in our schema, or with our prefix, as they are."""
REVISION: Final = "0003"
"""The revision of the tables that this release works on: the newest of the migrations. Later ones sort after it."""

ACCOUNT_EMAIL: Final = "uq_semel_accounts_email_canonical"
ACCOUNT_USERNAME: Final = "uq_semel_accounts_username_canonical"
ACCOUNT_IDENTITY: Final = "fk_semel_accounts_id"
ACCOUNT_FOLLOWS: Final = "fk_semel_accounts_identity_id"
"""Not declared: it refers to a table of the identity provider's, where a setting names one (PostgreSQL alone)."""
IDENTIFIER_ACCOUNT: Final = "fk_semel_identifiers_account_id"
LINK_ACCOUNT: Final = "fk_semel_links_account_id"
SESSION_ACCOUNT: Final = "fk_semel_sessions_account_id"


class Migrated(NamedTuple):
    """The revision found and the revision left; ``None`` for a store without our tables."""

    before: str | None
    after: str
    follows: str | None = None
    """The identity provider's table that accounts refer to, as ``schema.table``; on PostgreSQL alone."""


class Shape(Enum):
    """How a field is stored."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    MOMENT = "moment"
    JSON = "json"
    """JSON that the record carries as text."""
    STRUCTURE = "structure"
    """JSON made of the record's structured value."""


class Field(NamedTuple):
    """A field of a record and the column of the same name."""

    name: str
    shape: Shape
    nullable: bool


class Reference(NamedTuple):
    """A foreign key, checked at the end of a transaction: ``column`` of ``kind`` is the key of a ``target``."""

    name: str
    kind: type[Record]
    column: str
    target: type[Record]


class _Declared(NamedTuple):
    """What the record type itself does not say of its table."""

    name: str
    comment: str
    comments: Mapping[str, str]
    unique: Mapping[str, str] = {}
    """Constraint names by column."""
    references: Mapping[str, tuple[str, type[Record]]] = {}
    """Constraint names, and the types referred to, by column."""
    defaults: Mapping[str, str] = {}
    """What the database itself fills in, by column: the release before, which still runs while servers are exchanged,
    does not know a column that was added."""


_DUE: Final = "From when upkeep has something to do with this row; null for never."
_VERSION: Final = "The token of the commit that wrote this row: 64 random bits, no counter."

_TABLES: Final[Mapping[type[Record], _Declared]] = {
    Account: _Declared(
        "accounts",
        "The people: one row each.",
        {
            "id": "UUID7; also the id of the account's identity.",
            "email": "As shown to people.",
            "email_canonical": "Unique. The same as the value of the account's identifier of kind email.",
            "username": "As shown to people.",
            "username_canonical": "Unique. The same as the value of the account's identifier of kind username.",
            "full_name": "As the person gave it.",
            "role": "The role chosen at sign-up.",
            "roles": "All roles: a JSON array of strings.",
            "is_active": "False switches sign-in off.",
            "banned_until": "Until when nobody may sign in as this person; null for no ban.",
            "onboarding_completed": "False until the application says that the person's first steps are done.",
            "attributes": "The application's own values: a JSON object.",
            "created_at": "When the account was made.",
            "updated_at": "When its values last changed.",
            "last_sign_in_at": "When the person last signed in; null for never.",
            "epoch": "Raised to end all sessions at once: those of an older epoch are dead.",
            "identifiers": "What it owns: a JSON array of the identifiers' [kind, value], the deciding one first.",
            "registration": "The id of the registration that made it, which may be forgotten by now.",
            "sessions": "The ids of its session families: a JSON array of strings.",
            "email_verified_at": "Since when the email is proved; null while nobody has proved it.",
            "links": "The ids of its links that are still kept: a JSON array of strings.",
            "pending_email": "While a change of the email is under way: the one that it will have, as shown to people.",
        },
        unique={"email_canonical": ACCOUNT_EMAIL, "username_canonical": ACCOUNT_USERNAME},
        references={"id": (ACCOUNT_IDENTITY, Identity)},
        defaults={"links": "[]"},
    ),
    ApiKey: _Declared(
        "api_keys",
        "What programs show to be let in as administrators.",
        {
            "id": "UUID7.",
            "name": "What people call it.",
            "token_hash": "SHA-256 of the key, which is 256 random bits.",
            "scopes": "What it may do: a JSON array of strings.",
            "created_by": "The id of the account or key that made it; cli for the command line.",
            "created_at": "When it was made.",
            "expires_at": "From when it lets nobody in; null for never.",
            "revoked_at": "When it was taken back; null while it is good.",
        },
    ),
    OutboxEvent: _Declared(
        "events",
        "The outbox: side effects still to be delivered, at least once each.",
        {
            "id": "The delivery id, the same at every try.",
            "kind": "What happened, such as account.created.",
            "account_id": "Whom it is about; the account may be gone by now. Empty where it is about no account.",
            "created_at": "When it happened.",
            "subject": "The id of the link or the invitation that it is about.",
            "state": "waiting, delivered or dead.",
            "attempts": "How often a delivery began, since it was made or replayed.",
            "delivered": "The endpoints that have taken it: a JSON array of strings.",
            "refused": "The endpoints that refuse it for good: a JSON array of strings.",
            "failure": "Why the last attempt failed, in a few words.",
        },
        defaults={"state": "delivered", "attempts": "0", "delivered": "[]", "refused": "[]"},
    ),
    Identifier: _Declared(
        "identifiers",
        "What leads to an account: the primary key lets one person have it and referees every race for it.",
        {
            "kind": "email, username, phone or federated.",
            "value": "The canonical value.",
            "account_id": "The account that owns it; null while a registration holds it.",
            "attempt_id": "The account id that the holding attempt chose; the owner's id once it is owned.",
            "registration": "The id of the registration that holds it, or made its owner.",
            "proved": "Whether somebody proved that it is theirs.",
            "canonical_version": "The version of the rules that made the canonical value.",
        },
        references={"account_id": (IDENTIFIER_ACCOUNT, Account)},
    ),
    Identity: _Declared(
        "identities",
        "The identities that were ever meant to exist, each with its fate.",
        {
            "id": "The id that we chose, the same as its account's.",
            "state": "held by a registration, owned by an account, or condemned to be removed.",
            "provider_id": "The identity provider's own id, where it differs and is known.",
            "registration": "The id of the registration that holds it, or condemned another's; else null.",
            "credential": "The password hash, with the embedded provider only.",
            "details": "What Supabase's API on the embedded provider keeps beyond the account: a JSON object, or null.",
            "condemned_at": "While condemned: since when.",
            "look_until": "While condemned: until when upkeep looks for what comes late: a create, a sign-in.",
            "tries": "How often upkeep tried to remove it without an answer.",
            "wanted_email": "While owned: the email that a remote provider must come to say; null for no wish.",
            "wanted_disabled": "While owned: whether a remote provider must keep it from signing in; null for no wish.",
            "wanted_confirmed": "While owned: whether a remote provider must say that the email is confirmed.",
            "wanted_until": "While something is wished: until when upkeep repeats it.",
            "secret_until": "While its password is being changed at a remote provider: until when another is refused.",
        },
    ),
    Invitation: _Declared(
        "invitations",
        "The invitations, each with its fate.",
        {
            "id": "UUID7.",
            "state": "pending, processing, accepted, expired or revoked.",
            "email": "As shown to people; null once whoever accepted it has been erased.",
            "email_canonical": "The canonical email, which its token proves; null likewise.",
            "role": "What the account will be given.",
            "note": "What the inviter says to the invited.",
            "token_hash": "SHA-256 of the token that was sent last.",
            "sending": "How often it was sent: tokens of an earlier sending are dead.",
            "invited_by": "The id of the account or API key that invites.",
            "created_at": "When it was made.",
            "expires_at": "From when nobody can accept it.",
            "registration": "The id of the registration that accepts it, or has.",
            "account_id": "The account that it became.",
            "ended_at": "When it was accepted, revoked, or found expired.",
        },
    ),
    Invited: _Declared(
        "invited",
        "The emails with an invitation that has not ended: the primary key lets there be one each.",
        {
            "email": "Canonical.",
            "invitation": "The id of the invitation.",
        },
    ),
    KeyRecord: _Declared(
        "keys",
        "Secrets that Semel made for itself once.",
        {
            "id": "Purpose and number, such as signing/1.",
            "algorithm": "What the key is for.",
            "secret": "The key; wrapped with SEMEL_SECRET_KEY where that was given.",
            "wrapped": "Whether the key is wrapped.",
            "created_at": "When it was made.",
        },
    ),
    Link: _Declared(
        "links",
        "The single-use links in mails.",
        {
            "id": "UUID7.",
            "purpose": "verify, recover, set_password or change_email.",
            "account_id": "Whose it is.",
            "epoch": "The account's epoch when it was made.",
            "token_hash": "SHA-256 of the token in the mail.",
            "email": "The canonical email that it proves.",
            "shown": "The same as the person gave it.",
            "created_at": "When it was made.",
            "expires_at": "When it ends by itself.",
            "used_at": "When it was opened; null before.",
            "former": "Of a change of the email that it made: the email before, as shown to people.",
        },
        references={"account_id": (LINK_ACCOUNT, Account)},
    ),
    Registration: _Declared(
        "registrations",
        "The durable record of each intent to create an account, which makes repeating it harmless.",
        {
            "id": "Derived from the caller's scope and idempotency key; random where there was no key.",
            "state": "pending, completed, withdrawn or failed.",
            "door": "The way in.",
            "keyed": "Whether the caller gave an idempotency key.",
            "account_id": "The account id that this attempt chose.",
            "fingerprint": "An HMAC over the request without its secrets; tells another request under the same key.",
            "owner": "The worker that has the lease; null unless pending.",
            "lease_until": "Until when the worker has it; null unless pending.",
            "created_at": "When this attempt began.",
            "completed_at": "When the account was made.",
            "identifiers": "What this attempt holds: a JSON array of [kind, value].",
            "proved": "Whether its deciding identifier is proved.",
            "profile": "What the account will say, as a JSON object; null unless pending.",
            "failure": "The code of the error that it failed with.",
            "invitation": "The id of the invitation that it accepts.",
        },
    ),
    SessionFamily: _Declared(
        "sessions",
        "The sign-ins, each with the refresh tokens that descend from it.",
        {
            "id": "The family's id.",
            "account_id": "Who signed in.",
            "epoch": "The account's epoch at sign-in.",
            "leaves": "The live refresh tokens, hashed: JSON.",
            "created_at": "When the person signed in.",
            "expires_at": "When the sign-in ends by itself.",
        },
        references={"account_id": (SESSION_ACCOUNT, Account)},
    ),
}

_JSON_TEXT: Final = frozenset({"attributes", "details", "leaves"})
_SHAPES: Final[Mapping[type[msgspec.inspect.Type], Shape]] = {
    msgspec.inspect.StrType: Shape.TEXT,
    msgspec.inspect.EnumType: Shape.TEXT,
    msgspec.inspect.IntType: Shape.INTEGER,
    msgspec.inspect.BoolType: Shape.BOOLEAN,
    msgspec.inspect.DateTimeType: Shape.MOMENT,
    msgspec.inspect.StructType: Shape.STRUCTURE,
    msgspec.inspect.VarTupleType: Shape.STRUCTURE,
}
_PLAIN: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_JSON: Final = Text().with_variant(postgresql.JSON(), "postgresql")
_COLUMN_TYPES: Final[Mapping[Shape, TypeEngine[Any]]] = {
    Shape.TEXT: _PLAIN,
    Shape.INTEGER: BigInteger().with_variant(sqlite.INTEGER(), "sqlite"),
    Shape.BOOLEAN: Boolean().with_variant(sqlite.INTEGER(), "sqlite"),
    Shape.MOMENT: Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
    Shape.JSON: _JSON,
    Shape.STRUCTURE: _JSON,
}


@cache
def fields(kind: type[Record]) -> tuple[Field, ...]:
    """Return a record type's fields in the order of its columns: its own first, then ``due_at`` and ``version``."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - every record is one; for the type checker
    base = len(Record.__struct_fields__)
    return tuple(_field(each) for each in (*info.fields[base:], *info.fields[:base]))


def _field(field: msgspec.inspect.Field) -> Field:
    held, nullable = field.type, False
    if isinstance(held, msgspec.inspect.UnionType):
        (held,) = (each for each in held.types if not isinstance(each, msgspec.inspect.NoneType))
        nullable = True
    return Field(field.name, Shape.JSON if field.name in _JSON_TEXT else _SHAPES[type(held)], nullable)


def table_name(kind: type[Record], schema: str | None) -> str:
    """Return the table's name without its schema; ``None`` for SQLite, which has prefixes in place of schemas."""
    return _TABLES[kind].name if schema else PREFIX + _TABLES[kind].name


def version_table(schema: str | None) -> str:
    """Return the version table's name without its schema; ``None`` for SQLite."""
    return VERSION_TABLE if schema else PREFIX + VERSION_TABLE


def declare(schema: str | None) -> MetaData:
    """Return the tables in the given PostgreSQL schema, or with ``None`` as they are on SQLite."""
    metadata = MetaData(schema=schema)
    for kind in RECORD_TYPES:
        _declare_table(metadata, kind)
    return metadata


def _declare_table(metadata: MetaData, kind: type[Record]) -> None:
    declared = _TABLES[kind]
    comments = {**declared.comments, "due_at": _DUE, "version": _VERSION}
    columns = [
        Column(
            name,
            _COLUMN_TYPES[shape],
            nullable=nullable,
            comment=comments[name],
            server_default=declared.defaults.get(name),
        )
        for name, shape, nullable in fields(kind)
    ]
    table = Table(
        table_name(kind, metadata.schema),
        metadata,
        *columns,
        PrimaryKeyConstraint(*kind.KEY, name=f"pk_semel_{declared.name}"),
        *(UniqueConstraint(column, name=name) for column, name in declared.unique.items()),
        *(_reference(metadata, column, *target) for column, target in declared.references.items()),
        comment=declared.comment,
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    due = table.c.due_at
    Index(f"ix_semel_{declared.name}_due_at", due, postgresql_where=due.is_not(None), sqlite_where=due.is_not(None))
    for column in declared.references.keys() - set(kind.KEY):
        Index(f"ix_semel_{declared.name}_{column}", table.c[column])


def _reference(metadata: MetaData, column: str, name: str, kind: type[Record]) -> ForeignKeyConstraint:
    (key,) = kind.KEY
    target = ".".join(filter(None, (metadata.schema, table_name(kind, metadata.schema), key)))
    return ForeignKeyConstraint([column], [target], name=name, deferrable=True, initially="DEFERRED")


def references() -> tuple[Reference, ...]:
    """Return all foreign keys."""
    return tuple(
        Reference(name, kind, column, target)
        for kind, declared in _TABLES.items()
        for column, (name, target) in declared.references.items()
    )


def constraint_names() -> frozenset[str]:
    """Return the names of all our keys, unique constraints and references: a refusal by another is not one of ours."""
    tables = declare(SCHEMA).tables.values()
    return frozenset(str(constraint.name) for table in tables for constraint in table.constraints)


def quoted(*names: str) -> str:
    """Return names, joined by dots, as SQL identifiers."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def is_semel_table(name: str | None, schema: str | None = None, *, ours: str = SCHEMA) -> bool:
    """Tell whether a table is Semel's: on PostgreSQL whatever stands in its schema ``ours``, on SQLite by its name.

    For an application whose own Alembic works on the same file, or on all schemas of the same database: give
    ``include_name`` in its ``env.py`` a function that excludes these, else autogenerate drops what it does not know.
    """
    return schema == ours if schema else name in _names_without_schema()


@cache
def _names_without_schema() -> frozenset[str]:
    return frozenset({version_table(None), *(table_name(kind, None) for kind in RECORD_TYPES)})


def require_revision(stored: str | None) -> None:
    """Raise ``ConfigurationInvalid`` unless a database's revision (``None``: it has none) is this release's own."""
    if stored is None:
        raise ConfigurationInvalid("The database has no tables of Semel yet: run `semel migrate`, then start again.")
    if stored == REVISION:
        return
    stands = f"The database is at revision {stored}, this release works on {REVISION}:"
    if stored < REVISION:
        raise ConfigurationInvalid(f"{stands} run `semel migrate`, then start again.")
    raise ConfigurationInvalid(f"{stands} a newer release's `semel migrate` was run; start that release.")
