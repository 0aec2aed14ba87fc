"""Add what companies we exchange webhooks with need."""

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
