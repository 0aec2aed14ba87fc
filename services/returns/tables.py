"""The tables of returns and amendments, all of them distributed by order."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import count, instant, metadata, version

__all__ = ["metadata"]

goods_return = sa.Table(
    "goods_return",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("return_id", sa.Uuid, nullable=False),
    sa.Column("reference", sa.Text, nullable=False, comment="What the customer writes on it."),
    sa.Column("state", sa.Text, nullable=False, server_default="announced"),
    sa.Column("node_id", sa.Text, comment="Where it came in, or is expected to."),
    sa.Column("exchange_order_id", sa.Text),
    sa.Column("exchange_allocation_id", sa.Uuid),
    sa.Column("actor", sa.Text, nullable=False),
    instant("announced_at", default=True),
    instant("received_at", nullable=True),
    instant("ended_at", nullable=True),
    version(),
    sa.PrimaryKeyConstraint("order_id", "return_id"),
    sa.CheckConstraint("state IN ('announced', 'received', 'cancelled')", name="state"),
    sa.CheckConstraint("(state = 'received') = (received_at IS NOT NULL)", name="received_at"),
    sa.Index(None, "return_id", unique=True),
)

goods_return_line = sa.Table(
    "goods_return_line",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("return_id", sa.Uuid, nullable=False),
    sa.Column("number", sa.Integer, nullable=False, comment="Counts the lines from 1."),
    sa.Column("line_id", sa.Text, nullable=False),
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False, comment="Announced."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("disposition", sa.Text, nullable=False),
    count("received"),
    count("restocked"),
    count("scrapped"),
    count("to_vendor"),
    sa.Column("amount_minor", sa.BigInteger, comment="To refund; null where no price is known."),
    sa.PrimaryKeyConstraint("order_id", "return_id", "number"),
    sa.CheckConstraint("quantity > 0 AND received BETWEEN 0 AND quantity", name="received"),
    sa.CheckConstraint(
        "restocked >= 0 AND scrapped >= 0 AND to_vendor >= 0"
        " AND restocked + scrapped + to_vendor <= received",
        name="decided",
    ),
    sa.CheckConstraint(
        "disposition IN ('restock', 'inspect', 'scrap', 'vendor')", name="disposition"
    ),
)

amendment = sa.Table(
    "amendment",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("amendment_id", sa.Uuid, nullable=False),
    sa.Column("request", pg.JSONB, nullable=False),
    sa.Column("quote", pg.JSONB, nullable=False, comment="What was told before it was accepted."),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("valid_until"),
    instant("applied_at", nullable=True),
    sa.PrimaryKeyConstraint("order_id", "amendment_id"),
)
