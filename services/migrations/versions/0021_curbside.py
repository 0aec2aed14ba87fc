"""Let work say that its goods are handed over at the curb."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

TABLE = "fulfillment_order"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        TABLE, sa.Column("curbside", sa.Boolean, nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Undo."""
    op.drop_column(TABLE, "curbside")
