"""Find orders by when they became firm, for the key figures of a period."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply."""
    op.create_index(
        op.f("allocation_confirmed_at_idx"),
        "allocation",
        ["confirmed_at"],
        postgresql_where=sa.text("confirmed_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("allocation_confirmed_at_idx"), table_name="allocation")
