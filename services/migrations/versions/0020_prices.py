"""Keep what is learned of walk-ins, refusals and work, and the prices that items and nodes state."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0020"
down_revision = "0019"


def instant(name: str, *, default: bool = False) -> sa.Column[object]:
    """Return a column for an instant."""
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        server_default=sa.text("now()") if default else None,
        nullable=False,
    )


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "item",
        sa.Column(
            "unit_margin_minor",
            sa.BigInteger(),
            nullable=True,
            comment="Lost when a walk-in finds none.",
        ),
    )
    op.create_check_constraint(
        op.f("item_unit_margin_minor_check"), "item", "unit_margin_minor >= 0"
    )
    op.add_column(
        "node",
        sa.Column(
            "overload_minor",
            sa.BigInteger(),
            nullable=True,
            comment="Of work beyond what is planned.",
        ),
    )
    op.create_check_constraint(op.f("node_overload_minor_check"), "node", "overload_minor >= 0")
    op.create_table(
        "price_version",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        instant("since_at"),
        instant("started_at"),
        instant("published_at", default=True),
        instant("valid_until_at"),
        sa.Column("sold_units", sa.BigInteger(), nullable=False),
        sa.Column("asked_lines", sa.BigInteger(), nullable=False),
        sa.Column("walk_in_records", sa.BigInteger(), nullable=False),
        sa.Column("refusal_cells", sa.BigInteger(), nullable=False),
        sa.Column("pace_nodes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("price_version_pkey")),
        comment="What was learned when, from what; the newest is in force.",
    )
    op.create_table(
        "walk_in",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("node_ids", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "per_day",
            pg.ARRAY(sa.REAL()),
            nullable=False,
            comment="Units walk-ins want, by node.",
        ),
        sa.Column(
            "days",
            pg.ARRAY(sa.REAL()),
            nullable=False,
            comment="Until the next delivery, by node.",
        ),
        instant("learned_at"),
        sa.CheckConstraint(
            "cardinality(node_ids) = cardinality(per_day)"
            " AND cardinality(node_ids) = cardinality(days)",
            name=op.f("walk_in_lengths_check"),
        ),
        sa.PrimaryKeyConstraint("sku", name=op.f("walk_in_pkey")),
        comment="Demand of walk-ins at the stores that stock a sku.",
    )
    op.create_table(
        "refusal",
        sa.Column("node_id", sa.Text(), nullable=False, comment="Or * for all nodes."),
        sa.Column("category", sa.Text(), nullable=False, comment="Or * for all categories."),
        sa.Column(
            "day_part",
            sa.SmallInteger(),
            nullable=False,
            comment="Quarter of the local day; -1 for all.",
        ),
        sa.Column("asked", sa.REAL(), nullable=False, comment="Lines, older ones counting less."),
        sa.Column("refused", sa.REAL(), nullable=False),
        sa.Column("chance", sa.REAL(), nullable=False),
        instant("learned_at"),
        sa.CheckConstraint("chance BETWEEN 0 AND 1", name=op.f("refusal_chance_check")),
        sa.CheckConstraint("day_part BETWEEN -1 AND 3", name=op.f("refusal_day_part_check")),
        sa.PrimaryKeyConstraint("node_id", "category", "day_part", name=op.f("refusal_pkey")),
        comment="How likely a node refuses a line.",
    )
    op.create_table(
        "work_pace",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("orders_per_day", sa.REAL(), nullable=False),
        sa.Column("units_per_day", sa.REAL(), nullable=False),
        instant("learned_at"),
        sa.PrimaryKeyConstraint("node_id", name=op.f("work_pace_pkey")),
        comment="How much work a node is given on a day it works.",
    )


def downgrade() -> None:
    """Undo."""
    for table in ("work_pace", "refusal", "walk_in", "price_version"):
        op.drop_table(table)
    op.drop_column("node", "overload_minor")
    op.drop_column("item", "unit_margin_minor")
