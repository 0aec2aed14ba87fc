"""Add staff, their sessions, and whom an order is for."""

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
