"""Let lanes state when carriers collect and what they emit, and nodes belong to groups."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "node", sa.Column("groups", pg.ARRAY(sa.Text), nullable=False, server_default="{}")
    )
    op.add_column(
        "lane",
        sa.Column("cut_off", sa.Time, comment="When the carrier collects; the node's own without."),
    )
    for name in ("co2_grams", "co2_grams_per_kg"):
        zero = sa.text("0")
        op.add_column("lane", sa.Column(name, sa.Integer, nullable=False, server_default=zero))
    op.create_check_constraint(
        op.f("lane_co2_check"), "lane", "co2_grams >= 0 AND co2_grams_per_kg >= 0"
    )


def downgrade() -> None:
    """Undo."""
    op.drop_constraint(op.f("lane_co2_check"), "lane")
    for name in ("cut_off", "co2_grams", "co2_grams_per_kg"):
        op.drop_column("lane", name)
    op.drop_column("node", "groups")
