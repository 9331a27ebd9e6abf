"""Supabase's API on the embedded provider: what it keeps beyond the account, and bans."""

from semel.stores.migrations.tables import add_column, json, moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two columns that the release before neither reads nor writes."""
    add_column(
        "accounts",
        moment("banned_until", "Until when nobody may sign in as this person; null for no ban.", nullable=True),
    )
    add_column(
        "identities",
        json(
            "details",
            "What Supabase's API on the embedded provider keeps beyond the account: a JSON object, or null.",
            nullable=True,
        ),
    )
