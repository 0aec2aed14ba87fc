"""The tables of learned prices. All of them can be learned again; nothing else is kept in them."""

import sqlalchemy as sa

from inventory.tables import ZERO, instant, metadata

__all__ = ["metadata"]

price_version = sa.Table(
    "price_version",
    metadata,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    instant("since_at"),
    instant("started_at"),
    instant("published_at", default=True),
    instant("valid_until_at"),
    sa.Column("sold_units", sa.BigInteger, nullable=False),
    sa.Column("asked_lines", sa.BigInteger, nullable=False),
    sa.Column("walk_in_records", sa.BigInteger, nullable=False),
    sa.Column("refusal_cells", sa.BigInteger, nullable=False),
    sa.Column("pace_nodes", sa.BigInteger, nullable=False),
    sa.Column("priced_orders", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("order_price_records", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("place_prices", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("order_price_gap", sa.REAL, nullable=False, server_default=ZERO),
    sa.Column("walk_in_weight", sa.REAL, nullable=False, server_default=sa.text("1")),
    sa.Column("order_weight", sa.REAL, nullable=False, server_default=ZERO),
    sa.Column(
        "weighed_at",
        sa.DateTime(timezone=True),
        comment="When the weights were last tried on what had been.",
    ),
    comment="What was learned when, from what; the newest is in force.",
)

price_page = sa.Table(
    "price_page",
    metadata,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_sku", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="msgpack, zlib"),
    comment="What units are worth where they stand, some skus together.",
)

refusal = sa.Table(
    "refusal",
    metadata,
    sa.Column("node_id", sa.Text, nullable=False, comment="Or * for all nodes."),
    sa.Column("category", sa.Text, nullable=False, comment="Or * for all categories."),
    sa.Column(
        "day_part", sa.SmallInteger, nullable=False, comment="Quarter of the local day; -1 for all."
    ),
    sa.Column("asked", sa.REAL, nullable=False, comment="Lines, older ones counting less."),
    sa.Column("refused", sa.REAL, nullable=False),
    sa.Column("chance", sa.REAL, nullable=False),
    instant("learned_at"),
    sa.PrimaryKeyConstraint("node_id", "category", "day_part"),
    sa.CheckConstraint("chance BETWEEN 0 AND 1", name="chance"),
    sa.CheckConstraint("day_part BETWEEN -1 AND 3", name="day_part"),
    comment="How likely a node refuses a line.",
)

work_pace = sa.Table(
    "work_pace",
    metadata,
    sa.Column("node_id", sa.Text, primary_key=True),
    sa.Column("orders_per_day", sa.REAL, nullable=False),
    sa.Column("units_per_day", sa.REAL, nullable=False),
    instant("learned_at"),
    comment="How much work a node is given on a day it works.",
)

work_place = sa.Table(
    "work_place",
    metadata,
    sa.Column("node_id", sa.Text, primary_key=True),
    sa.Column("work_on", sa.Date, primary_key=True),
    sa.Column(
        "place_minor",
        sa.BigInteger,
        nullable=False,
        comment="What one more fulfillment is worth to orders to come.",
    ),
    instant("learned_at"),
    comment="What places are worth, of the dates on which they are worth anything.",
)
