"""Say what kits are made up of."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Apply."""
    op.add_column("item", sa.Column("components", pg.JSONB(), server_default="[]", nullable=False))


def downgrade() -> None:
    """Undo."""
    op.drop_column("item", "components")
