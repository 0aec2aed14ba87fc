"""Keep what a place of a node is worth by work date, where it was one figure for all days.

Learned figures are dropped with the column they were in, and learned again by the next run of the job.
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

WORTH = "What one more fulfillment is worth to orders to come."


def upgrade() -> None:
    """Apply."""
    op.drop_column("work_pace", "place_minor")
    op.add_column(
        "price_version",
        sa.Column("place_prices", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_table(
        "work_place",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("work_on", sa.Date(), nullable=False),
        sa.Column("place_minor", sa.BigInteger(), nullable=False, comment=WORTH),
        sa.Column(
            "learned_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("node_id", "work_on", name=op.f("work_place_pkey")),
        comment="What places are worth, of the dates on which they are worth anything.",
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("work_place")
    op.drop_column("price_version", "place_prices")
    op.add_column(
        "work_pace",
        sa.Column(
            "place_minor",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment=WORTH,
        ),
    )
