"""Keep what each day's decisions cost against perfect knowledge."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "hindsight",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False, comment="Those looked at."),
        sa.Column("orders_in_all", sa.Integer(), nullable=False),
        sa.Column("cost_minor", sa.BigInteger(), nullable=False),
        sa.Column("bound_minor", sa.BigInteger(), nullable=False),
        sa.Column("best_minor", sa.BigInteger(), nullable=False),
        sa.Column("converged", sa.Boolean(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "orders BETWEEN 0 AND orders_in_all", name=op.f("hindsight_orders_check")
        ),
        sa.CheckConstraint(
            "bound_minor <= best_minor AND best_minor <= cost_minor",
            name=op.f("hindsight_bound_check"),
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("hindsight_pkey")),
        comment="What a day's decisions cost, and the least they could have cost; see routing/README.",
    )


def downgrade() -> None:
    """Undo; days that decision records still cover can be looked back on again."""
    op.drop_table("hindsight")
