"""What Supabase's API on the embedded provider keeps beyond the account, bans, and removals of somebody else's."""

from semel.stores.migrations.tables import add_column, comment_column, json, moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two columns that the release before neither reads nor writes, and say what another may hold by now."""
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
    comment_column(
        "identities", "registration", "The id of the registration that holds it, or condemned another's; else null."
    )
