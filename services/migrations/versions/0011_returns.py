"""Add returns, exchanges and transfers."""

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
