"""The tables of counts and of what a counter holds for its customers."""

import sqlalchemy as sa

from inventory.tables import count, instant, metadata

__all__ = ["metadata"]

stock_count = sa.Table(
    "stock_count",
    metadata,
    sa.Column("count_id", sa.Uuid, primary_key=True),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("blind", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("actor", sa.Text, nullable=False),
    instant("begun_at"),
    instant("ended_at", nullable=True),
    sa.CheckConstraint("state IN ('open', 'closed', 'cancelled')", name="state"),
    sa.Index(None, "node_id", postgresql_where=sa.text("state = 'open'")),
)

stock_count_line = sa.Table(
    "stock_count_line",
    metadata,
    sa.Column("count_id", sa.Uuid, nullable=False),
    sa.Column("sku", sa.Text, nullable=False),
    count("expected_at_begin"),
    sa.Column("counted", sa.BigInteger, comment="None until somebody has counted."),
    sa.Column("unavailable", sa.BigInteger, comment="Of them; as it was when null."),
    instant("counted_at", nullable=True),
    sa.Column("counted_by", sa.Text),
    sa.Column("expected", sa.BigInteger, comment="On hand when it was counted; set at the end."),
    sa.Column("outcome", sa.Text, comment="What the end of the count made of it."),
    sa.PrimaryKeyConstraint("count_id", "sku"),
    sa.CheckConstraint("counted >= 0 AND unavailable BETWEEN 0 AND counted", name="counted"),
    sa.CheckConstraint("(counted IS NULL) = (counted_at IS NULL)", name="counted_at"),
    sa.CheckConstraint(
        "outcome IN ('agrees', 'corrected', 'overtaken', 'uncounted')", name="outcome"
    ),
)

counter_reservation = sa.Table(
    "counter_reservation",
    metadata,
    sa.Column("reservation_id", sa.Uuid, primary_key=True),
    sa.Column("node_id", sa.Text, nullable=False, comment="Where the customer stood."),
    sa.Column("from_node_id", sa.Text, nullable=False, comment="Where the goods are."),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("customer", sa.Text, comment="A reference of the store's, no personal data."),
    sa.Column("transfer_id", sa.Uuid, comment="What brings the goods to the customer's node."),
    sa.Column("order_id", sa.Text, comment="The order it became."),
    sa.Column("allocation_id", sa.Uuid),
    instant("created_at", default=True),
    sa.CheckConstraint("delivery IN ('collect', 'transfer', 'ship')", name="delivery"),
)
