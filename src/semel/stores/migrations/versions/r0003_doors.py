"""Invitations, links that prove an email, API keys, wishes at a remote provider, and an outbox that is delivered."""

from semel.stores.migrations.tables import (
    add_column,
    boolean,
    comment_column,
    create_table,
    due_index,
    index,
    integer,
    json,
    moment,
    primary_key,
    reference,
    text,
)

revision = "0003"
down_revision = "0002"

DUE_AT = "From when upkeep has something to do with this row; null for never."
VERSION = "The token of the commit that wrote this row: 64 random bits, no counter."


def upgrade() -> None:
    """Add tables, and columns that the release before neither reads nor writes."""
    _accounts()
    _identities()
    _events()
    add_column("registrations", text("invitation", "The id of the invitation that it accepts.", nullable=True))
    _invitations()
    _links()
    _api_keys()


def _accounts() -> None:
    add_column(
        "accounts",
        moment("email_verified_at", "Since when the email is proved; null while nobody has proved it.", nullable=True),
    )
    add_column(
        "accounts",
        json("links", "The ids of its links that are still kept: a JSON array of strings.", default="[]"),
    )
    pending = "While a change of the email is under way: the one that it will have, as shown to people."
    add_column("accounts", text("pending_email", pending, nullable=True))


def _identities() -> None:
    email = "While owned: the email that a remote provider must come to say; null for no wish."
    disabled = "While owned: whether a remote provider must keep it from signing in; null for no wish."
    confirmed = "While owned: whether a remote provider must say that the email is confirmed."
    secret = "While its password is being changed at a remote provider: until when another is refused."  # noqa: S105
    for column in (
        text("wanted_email", email, nullable=True),
        boolean("wanted_disabled", disabled, nullable=True),
        boolean("wanted_confirmed", confirmed, nullable=True),
        moment("wanted_until", "While something is wished: until when upkeep repeats it.", nullable=True),
        moment("secret_until", secret, nullable=True),
    ):
        add_column("identities", column)


def _events() -> None:
    whom = "Whom it is about; the account may be gone by now. Empty where it is about no account."
    comment_column("events", "account_id", whom)
    for column in (
        text("subject", "The id of the link or the invitation that it is about.", nullable=True),
        text("state", "waiting, delivered or dead.", default="delivered"),
        integer("attempts", "How often a delivery began, since it was made or replayed.", default="0"),
        json("delivered", "The endpoints that have taken it: a JSON array of strings.", default="[]"),
        json("refused", "The endpoints that refuse it for good: a JSON array of strings.", default="[]"),
        text("failure", "Why the last attempt failed, in a few words.", nullable=True),
    ):
        add_column("events", column)


def _invitations() -> None:
    create_table(
        "invitations",
        "The invitations, each with its fate.",
        text("id", "UUID7."),
        text("state", "pending, processing, accepted, expired or revoked."),
        text("email", "As shown to people; null once whoever accepted it has been erased.", nullable=True),
        text("email_canonical", "The canonical email, which its token proves; null likewise.", nullable=True),
        text("role", "What the account will be given.", nullable=True),
        text("note", "What the inviter says to the invited.", nullable=True),
        text("token_hash", "SHA-256 of the token that was sent last."),
        integer("sending", "How often it was sent: tokens of an earlier sending are dead."),
        text("invited_by", "The id of the account or API key that invites."),
        moment("created_at", "When it was made."),
        moment("expires_at", "From when nobody can accept it."),
        text("registration", "The id of the registration that accepts it, or has.", nullable=True),
        text("account_id", "The account that it became.", nullable=True),
        moment("ended_at", "When it was accepted, revoked, or found expired.", nullable=True),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("invitations", "id"),
    )
    due_index("invitations")
    create_table(
        "invited",
        "The emails with an invitation that has not ended: the primary key lets there be one each.",
        text("email", "Canonical."),
        text("invitation", "The id of the invitation."),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("invited", "email"),
    )
    due_index("invited")


def _links() -> None:
    create_table(
        "links",
        "The single-use links in mails.",
        text("id", "UUID7."),
        text("purpose", "verify, recover, set_password or change_email."),
        text("account_id", "Whose it is."),
        integer("epoch", "The account's epoch when it was made."),
        text("token_hash", "SHA-256 of the token in the mail."),
        text("email", "The canonical email that it proves."),
        text("shown", "The same as the person gave it."),
        moment("created_at", "When it was made."),
        moment("expires_at", "When it ends by itself."),
        moment("used_at", "When it was opened; null before.", nullable=True),
        text("former", "Of a change of the email that it made: the email before, as shown to people.", nullable=True),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("links", "id"),
        reference("links", "account_id", "accounts"),
    )
    due_index("links")
    index("links", "account_id")


def _api_keys() -> None:
    create_table(
        "api_keys",
        "What programs show to be let in as administrators.",
        text("id", "UUID7."),
        text("name", "What people call it."),
        text("token_hash", "SHA-256 of the key, which is 256 random bits."),
        json("scopes", "What it may do: a JSON array of strings."),
        text("created_by", "The id of the account or key that made it; cli for the command line."),
        moment("created_at", "When it was made."),
        moment("expires_at", "From when it lets nobody in; null for never.", nullable=True),
        moment("revoked_at", "When it was taken back; null while it is good.", nullable=True),
        moment("due_at", DUE_AT, nullable=True),
        integer("version", VERSION),
        primary_key("api_keys", "id"),
    )
    due_index("api_keys")
