"""Keep why work that was not released yet was given to other nodes, with the window it was in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "rearrangement",
        sa.Column("allocation_id", sa.Uuid(), nullable=False),
        sa.Column("window_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("saving_minor", sa.BigInteger(), nullable=False),
        sa.Column("seen", pg.JSONB(), nullable=False, comment="What its window came to."),
        sa.Column("before", pg.JSONB(), nullable=False, comment="The fulfillments that were left."),
        sa.Column(
            "record",
            sa.LargeBinary(),
            nullable=False,
            comment="Of the new plan, as in decision: on what other orders left.",
        ),
        sa.PrimaryKeyConstraint(
            "allocation_id", "window_id", "created_at", name=op.f("rearrangement_pkey")
        ),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.execute("CREATE TABLE rearrangement_default PARTITION OF rearrangement DEFAULT")


def downgrade() -> None:
    """Undo."""
    op.drop_table("rearrangement")
