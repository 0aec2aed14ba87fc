"""Give customers windows in which they receive their orders."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "slot",
        sa.Column("slot_id", sa.Text(), nullable=False),
        sa.Column(
            "service",
            sa.Text(),
            nullable=True,
            comment="The carrier service that delivers in it.",
        ),
        sa.Column("zone_ids", pg.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "node_id",
            sa.Text(),
            nullable=True,
            comment="Where the customer collects, if nobody delivers.",
        ),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.Column("weekdays", pg.ARRAY(sa.Integer()), nullable=False),
        sa.Column("places", sa.BigInteger(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lead_minutes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("days_ahead", sa.Integer(), nullable=False),
        sa.Column("dates", pg.JSONB(), server_default="[]", nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("(service IS NULL) <> (node_id IS NULL)", name=op.f("slot_kind_check")),
        sa.CheckConstraint("opens < closes", name=op.f("slot_window_check")),
        sa.CheckConstraint("places >= 0 AND price_minor >= 0", name=op.f("slot_places_check")),
        sa.CheckConstraint("lead_minutes >= 0 AND days_ahead >= 0", name=op.f("slot_ahead_check")),
        sa.PrimaryKeyConstraint("slot_id", name=op.f("slot_pkey")),
        comment="Their places by date are rows of capacity that belong to no node.",
    )


def downgrade() -> None:
    """Undo; places taken are given up with the slots."""
    op.execute("DELETE FROM capacity_hold WHERE node_id = ''")
    op.execute("DELETE FROM capacity WHERE node_id = ''")
    op.drop_table("slot")
