"""The tables of allocation pools: shares of stock that are kept for channels."""

import sqlalchemy as sa

from inventory.tables import ZERO, count, instant, metadata, version

pool = sa.Table(
    "pool",
    metadata,
    sa.Column("pool_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    instant("changed_at", default=True),
)

pool_channel = sa.Table(
    "pool_channel",
    metadata,
    # The key is what makes a channel take from one pool at most.
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("pool_id", sa.Text, nullable=False),
    sa.Index(None, "pool_id"),
    comment="Which pool a channel takes from; one that is not here has the common stock alone.",
)

quota = sa.Table(
    "quota",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("pool_id", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False, server_default=ZERO),
    count("used"),
    count("consumed"),
    version(),
    sa.PrimaryKeyConstraint("sku", "node_id", "pool_id"),
    # A right is used once: by a live reservation, and for good by the goods that left.
    sa.CheckConstraint("used >= 0 AND consumed >= 0", name="counters"),
    sa.CheckConstraint("used + consumed <= quantity", name="quantity"),
    comment="Units of one stock record kept for a pool; written under the stock record's lock.",
)
