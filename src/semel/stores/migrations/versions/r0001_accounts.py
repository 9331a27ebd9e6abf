"""The accounts and all that makes them once: the first release's tables."""

from semel.stores.migrations.tables import (
    boolean,
    create_refuse,
    create_table,
    due_index,
    index,
    integer,
    json,
    moment,
    primary_key,
    reference,
    text,
    unique,
)

revision = "0001"
down_revision = None

DUE_AT = "From when upkeep has something to do with this row; null for never."
VERSION = "The token of the commit that wrote this row: 64 random bits, no counter."


def upgrade() -> None:
    """Create the tables, those first that others refer to."""
    _identities()
    _accounts()
    _events()
    _identifiers()
    _keys()
    _registrations()
    _sessions()
    create_refuse()


def _identities() -> None:
    create_table(
        "identities",
        "The identities that were ever meant to exist, each with its fate.",
        text("id", "The id that we chose, the same as its account's."),
        text("state", "held by a registration, owned by an account, or condemned to be removed."),
        text("provider_id", "The identity provider's own id, where it differs and is known.", nullable=True),
        text("registration", "The id of the registration that holds it; null unless held.", nullable=True),
        text("credential", "The password hash, with the embedded provider only.", nullable=True),
        moment("condemned_at", "While condemned: since when.", nullable=True),
        moment(
            "look_until",
            "While condemned: until when upkeep looks for what comes late: a create, a sign-in.",
            nullable=True,
        ),
        integer("tries", "How often upkeep tried to remove it without an answer."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("identities", "id"),
    )
    due_index("identities")


def _accounts() -> None:
    create_table(
        "accounts",
        "The people: one row each.",
        text("id", "UUID7; also the id of the account's identity."),
        text("email", "As shown to people.", nullable=True),
        text(
            "email_canonical", "Unique. The same as the value of the account's identifier of kind email.", nullable=True
        ),
        text("username", "As shown to people.", nullable=True),
        text(
            "username_canonical",
            "Unique. The same as the value of the account's identifier of kind username.",
            nullable=True,
        ),
        text("full_name", "As the person gave it.", nullable=True),
        text("role", "The role chosen at sign-up.", nullable=True),
        json("roles", "All roles: a JSON array of strings."),
        boolean("is_active", "False switches sign-in off."),
        boolean("onboarding_completed", "False until the application says that the person's first steps are done."),
        json("attributes", "The application's own values: a JSON object."),
        moment("created_at", "When the account was made."),
        moment("updated_at", "When its values last changed."),
        moment("last_sign_in_at", "When the person last signed in; null for never.", nullable=True),
        integer("epoch", "Raised to end all sessions at once: those of an older epoch are dead."),
        json("identifiers", "What it owns: a JSON array of the identifiers' [kind, value], the deciding one first."),
        text("registration", "The id of the registration that made it, which may be forgotten by now."),
        json("sessions", "The ids of its session families: a JSON array of strings."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("accounts", "id"),
        unique("accounts", "email_canonical"),
        unique("accounts", "username_canonical"),
        reference("accounts", "id", "identities"),
    )
    due_index("accounts")


def _events() -> None:
    create_table(
        "events",
        "The outbox: side effects still to be delivered, at least once each.",
        text("id", "The delivery id, the same at every try."),
        text("kind", "What happened, such as account.created."),
        text("account_id", "Whom it is about; the account may be gone by now."),
        moment("created_at", "When it happened."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("events", "id"),
    )
    due_index("events")


def _identifiers() -> None:
    create_table(
        "identifiers",
        "What leads to an account: the primary key lets one person have it and referees every race for it.",
        text("kind", "email, username, phone or federated."),
        text("value", "The canonical value."),
        text("account_id", "The account that owns it; null while a registration holds it.", nullable=True),
        text("attempt_id", "The account id that the holding attempt chose; the owner's id once it is owned."),
        text("registration", "The id of the registration that holds it, or made its owner."),
        boolean("proved", "Whether somebody proved that it is theirs."),
        integer("canonical_version", "The version of the rules that made the canonical value."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("identifiers", "kind", "value"),
        reference("identifiers", "account_id", "accounts"),
    )
    due_index("identifiers")
    index("identifiers", "account_id")


def _keys() -> None:
    create_table(
        "keys",
        "Secrets that Semel made for itself once.",
        text("id", "Purpose and number, such as signing/1."),
        text("algorithm", "What the key is for."),
        text("secret", "The key; wrapped with SEMEL_SECRET_KEY where that was given."),
        boolean("wrapped", "Whether the key is wrapped."),
        moment("created_at", "When it was made."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("keys", "id"),
    )
    due_index("keys")


def _registrations() -> None:
    create_table(
        "registrations",
        "The durable record of each intent to create an account, which makes repeating it harmless.",
        text("id", "Derived from the caller's scope and idempotency key; random where there was no key."),
        text("state", "pending, completed, withdrawn or failed."),
        text("door", "The way in."),
        boolean("keyed", "Whether the caller gave an idempotency key."),
        text("account_id", "The account id that this attempt chose."),
        text("fingerprint", "An HMAC over the request without its secrets; tells another request under the same key."),
        text("owner", "The worker that has the lease; null unless pending.", nullable=True),
        moment("lease_until", "Until when the worker has it; null unless pending.", nullable=True),
        moment("created_at", "When this attempt began."),
        moment("completed_at", "When the account was made.", nullable=True),
        json("identifiers", "What this attempt holds: a JSON array of [kind, value]."),
        boolean("proved", "Whether its deciding identifier is proved."),
        json("profile", "What the account will say, as a JSON object; null unless pending.", nullable=True),
        text("failure", "The code of the error that it failed with.", nullable=True),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("registrations", "id"),
    )
    due_index("registrations")


def _sessions() -> None:
    create_table(
        "sessions",
        "The sign-ins, each with the refresh tokens that descend from it.",
        text("id", "The family's id."),
        text("account_id", "Who signed in."),
        integer("epoch", "The account's epoch at sign-in."),
        json("leaves", "The live refresh tokens, hashed: JSON."),
        moment("created_at", "When the person signed in."),
        moment("expires_at", "When the sign-in ends by itself."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("sessions", "id"),
        reference("sessions", "account_id", "accounts"),
    )
    due_index("sessions")
    index("sessions", "account_id")
