"""Keep prices in pages by version, what units are worth to orders to come, and how much that counts.

Learned prices are dropped with the table they were in, and learned again by the next run of the job.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0026"
down_revision = "0025"

VERSION: tuple[tuple[str, sa.types.TypeEngine[Any], str], ...] = (
    ("priced_orders", sa.BigInteger(), "0"),
    ("order_price_records", sa.BigInteger(), "0"),
    ("order_price_gap", sa.REAL(), "0"),
    ("walk_in_weight", sa.REAL(), "1"),
    ("order_weight", sa.REAL(), "0"),
)


def upgrade() -> None:
    """Apply."""
    op.drop_table("walk_in")
    op.execute("DELETE FROM price_version")
    op.create_table(
        "price_page",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_sku", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="msgpack, zlib"),
        sa.PrimaryKeyConstraint("version", "last_sku", name=op.f("price_page_pkey")),
        comment="What units are worth where they stand, some skus together.",
    )
    for name, kind, default in VERSION:
        op.add_column(
            "price_version",
            sa.Column(name, kind, server_default=sa.text(default), nullable=False),
        )
    op.add_column(
        "price_version",
        sa.Column(
            "weighed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the weights were last tried on what had been.",
        ),
    )
    op.add_column(
        "work_pace",
        sa.Column(
            "place_minor",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="What one more fulfillment is worth to orders to come.",
        ),
    )
    for column in (
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=True, comment="Before markdown."),
        sa.Column("markdown_on", sa.Date(), nullable=True, comment="From when it costs less."),
        sa.Column(
            "markdown_price_minor",
            sa.BigInteger(),
            nullable=True,
            comment="What it costs then.",
        ),
        sa.Column("style", sa.Text(), nullable=True, comment="What it is a size of."),
        sa.Column("size", sa.Text(), nullable=True),
    ):
        op.add_column("item", column)
    op.drop_constraint(op.f("item_unit_margin_minor_check"), "item")
    op.create_check_constraint(
        op.f("item_minor_check"),
        "item",
        "least(unit_margin_minor, unit_price_minor, markdown_price_minor) >= 0",
    )
    op.create_check_constraint(
        op.f("item_markdown_check"),
        "item",
        "num_nonnulls(markdown_on, markdown_price_minor) <> 1",
    )


def downgrade() -> None:
    """Undo."""
    op.drop_constraint(op.f("item_minor_check"), "item")
    op.create_check_constraint(
        op.f("item_unit_margin_minor_check"), "item", "unit_margin_minor >= 0"
    )
    for column in ("size", "style", "markdown_price_minor", "markdown_on", "unit_price_minor"):
        op.drop_column("item", column)
    op.drop_column("work_pace", "place_minor")
    op.execute("DELETE FROM price_version")
    for name in ("weighed_at", *(name for name, _, _ in VERSION)):
        op.drop_column("price_version", name)
    op.drop_table("price_page")
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
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "cardinality(node_ids) = cardinality(per_day)"
            " AND cardinality(node_ids) = cardinality(days)",
            name=op.f("walk_in_lengths_check"),
        ),
        sa.PrimaryKeyConstraint("sku", name=op.f("walk_in_pkey")),
        comment="Demand of walk-ins at the stores that stock a sku.",
    )
