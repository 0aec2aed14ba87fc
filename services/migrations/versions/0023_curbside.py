"""Let work say that its goods are handed over at the curb."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

TABLE = "fulfillment_order"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        TABLE, sa.Column("curbside", sa.Boolean, nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Undo."""
    op.drop_column(TABLE, "curbside")
